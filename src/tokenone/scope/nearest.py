"""Which keys a scope may use: the assignments of its workload, else of its project, else of its tenant.

Law: deny by default. A key is never given to another tenant, whatever an assignment, a workload's or an
endpoint's row says: every reference is checked against the scope's tenant. The nearest level that has any
usable key wins, whole. Whether a version can be leased is the vault's table, handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

from tokenone.rows import Assignment, Candidate, Endpoint, Key, KeyVersion
from tokenone.scope.shelf import Shelf
from tokenone.types import KeyState, Mode, Provider, Scope, ScopeKind

Leasable: TypeAlias = Callable[[Key, KeyVersion, int], bool]
"""Says whether a version may be leased at a time (µs); depends on the rows and that time alone."""

FOREVER: Final = 2**63


class Ask(msgspec.Struct, frozen=True, gc=False):
    """Who asks for keys of which provider, and when."""

    scope: Scope
    provider: Provider
    mode: Mode
    now_us: int


class Fitness(StrEnum):
    """Why an assigned key is a candidate or is not."""

    USABLE = "usable"
    FARTHER = "a nearer scope has usable keys"
    GONE = "the key does not exist"
    FOREIGN = "the key belongs to another tenant"
    PROVIDER = "the key is another provider's"
    MODE = "the key is of the other mode"
    ENDPOINT = "the key's endpoint does not exist or is not this tenant's"
    UNUSABLE = "no version of the key may be leased now"


# Constants, because reading a member off its enum costs 0.2 µs in Python 3.11.
_ACTIVE: Final = KeyState.ACTIVE
_PROVIDER: Final = Fitness.PROVIDER
_MODE: Final = Fitness.MODE


class Found(msgspec.Struct, frozen=True):
    """An answer and how long it holds: from `since_us` until the next deadline of a key in it."""

    candidates: tuple[Candidate, ...]
    assigned: bool
    since_us: int
    until_us: int


class Considered(msgspec.Struct, frozen=True):
    """One assignment within the scope and what came of it, for people who ask why."""

    assignment: Assignment
    level: ScopeKind
    fitness: Fitness


def find(shelf: Shelf, leasable: Leasable, ask: Ask) -> Found:
    """Returns the candidates of the nearest level, by priority and key id."""
    now_us = ask.now_us
    deadline, assigned = FOREVER, False
    for level, scope_id in _levels(shelf, ask.scope):
        usable: dict[str, Candidate] = {}
        for assignment in shelf.assigned[level].of(scope_id):
            pair = _fit(shelf, assignment, ask)
            if isinstance(pair, Fitness):
                continue
            assigned = True
            key, endpoint = pair
            version, next_us = _serving(shelf, leasable, key, now_us)
            deadline = min(deadline, next_us)
            if version is not None:
                one = Candidate(key, version, endpoint, level, max(assignment.weight, 0), assignment.priority)
                usable[key.id] = _prefer(usable.get(key.id), one)
        if usable:
            ordered = sorted(usable.values(), key=_order) if len(usable) > 1 else usable.values()
            return Found(tuple(ordered), True, now_us, deadline)
    return Found((), assigned, now_us, deadline)


def survey(shelf: Shelf, leasable: Leasable, ask: Ask) -> tuple[Considered, ...]:
    """Returns every assignment in the scope, nearest first, with its fitness; agrees with `find`."""
    winner: ScopeKind | None = None
    considered: list[Considered] = []
    for level, scope_id in _levels(shelf, ask.scope):
        for assignment in shelf.assigned[level].of(scope_id):
            pair = _fit(shelf, assignment, ask)
            if isinstance(pair, Fitness):
                fitness = pair
            elif _serving(shelf, leasable, pair[0], ask.now_us)[0] is None:
                fitness = Fitness.UNUSABLE
            elif winner is not None and winner != level:
                fitness = Fitness.FARTHER
            else:
                fitness, winner = Fitness.USABLE, level
            considered.append(Considered(assignment, level, fitness))
    return tuple(considered)


def _levels(shelf: Shelf, scope: Scope) -> Iterator[tuple[ScopeKind, str]]:
    """Yields the scope's levels, nearest first; none unless its rows agree with each other."""
    workload = shelf.workloads.get(scope.workload)
    project = shelf.projects.get(scope.project)
    if workload is None or project is None or scope.tenant not in shelf.tenants:
        return
    if workload.project != scope.project or not workload.tenant == project.tenant == scope.tenant:
        return
    yield "workload", scope.workload
    yield "project", scope.project
    yield "tenant", scope.tenant


def _fit(shelf: Shelf, assignment: Assignment, ask: Ask) -> tuple[Key, Endpoint] | Fitness:
    """Checks everything but the key's life."""
    key = shelf.keys.get(assignment.key)
    if key is None:
        return Fitness.GONE
    if key.tenant != ask.scope.tenant:
        return Fitness.FOREIGN
    if key.provider != ask.provider:
        return _PROVIDER
    if key.mode != ask.mode:
        return _MODE
    endpoint = shelf.endpoints.get(key.endpoint)
    if endpoint is None or endpoint.provider != key.provider or endpoint.tenant not in (None, key.tenant):
        return Fitness.ENDPOINT
    return key, endpoint


def _serving(shelf: Shelf, leasable: Leasable, key: Key, now_us: int) -> tuple[KeyVersion | None, int]:
    """Returns the version that serves new calls, and the next time at which that may change.

    A version without an end of overlap comes before one that has it (after a roll-back the higher number is
    the one that goes), then the higher number.
    """
    deadline = FOREVER
    if key.expires_us is not None and key.expires_us > now_us:
        deadline = key.expires_us
    best: KeyVersion | None = None
    for version in shelf.versions.of(key.id):
        for moment in (version.active_us, version.retire_us):
            if moment is not None and now_us < moment < deadline:
                deadline = moment
        if leasable(key, version, now_us) and (best is None or _rank(version) > _rank(best)):
            best = version
    return best, deadline


def _rank(version: KeyVersion) -> tuple[bool, int]:
    staying = version.state is _ACTIVE and version.retire_us is None
    return staying, version.version


def _order(candidate: Candidate) -> tuple[int, str]:
    return candidate.priority, candidate.key.id


def _prefer(known: Candidate | None, one: Candidate) -> Candidate:
    """Keeps one of two grants of the same key at the same level: the lower priority, then the heavier."""
    if known is None or (one.priority, -one.weight) < (known.priority, -known.weight):
        return one
    return known
