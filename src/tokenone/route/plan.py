"""Which keys a call tries, in which order, and why: a pure function of candidates, seed and bench.

Law: lower priority first; equal priorities share by weight, in an order that the seed alone decides. A
benched key is passed over while another one is there and tried as the last resort when none is: a bench
orders, it never denies. Nothing outside the candidates is ever planned.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from itertools import groupby
from typing import Final, TypeAlias

import msgspec

from tokenone.route.strategy import Odds, numbers
from tokenone.rows import Candidate

Benched: TypeAlias = Callable[[str, int], bool]
"""Says whether a key's version (key id, version) is benched for this call."""

MAX_ATTEMPTS: Final = 2
_KEPT: Final = 1024


class Verdict(StrEnum):
    """What the plan did with a candidate, in words for people."""

    CHOSEN = "chosen by priority, then weight"
    BENCHED = "passed over: the provider refused this version less than a minute ago"
    LAST_RESORT = "benched, tried because nothing else is there"
    SPARE = "not needed: the plan has its attempts"


# Constants, because reading a member off its enum costs 0.2 µs in Python 3.11.
_CHOSEN: Final = Verdict.CHOSEN
_BENCHED: Final = Verdict.BENCHED


class Step(msgspec.Struct, frozen=True, gc=False):
    """One candidate that was looked at, and the verdict."""

    key: str
    version: int
    priority: int
    weight: int
    verdict: Verdict


class Plan(msgspec.Struct, frozen=True):
    """The attempts in order, and the candidates that were looked at on the way there."""

    attempts: tuple[Candidate, ...]
    steps: tuple[Step, ...]


def plan(
    candidates: Sequence[Candidate],
    *,
    seed: int,
    max_attempts: int = MAX_ATTEMPTS,
    benched: Benched | None = None,
) -> Plan:
    """Plans a call; the attempts are empty only if there are no candidates."""
    if len(candidates) == 1:
        return _only(candidates[0], benched)
    return _draw(_shelve(candidates), seed, max_attempts, benched)


class Planner:
    """`plan` with the running sums of the last candidate lists kept; same input, same plan.

    The directory hands out the same tuple until something changes, so identity tells that it is known.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[int, tuple[tuple[Candidate, ...], list[_Rank]]] = OrderedDict()

    def plan(
        self,
        candidates: tuple[Candidate, ...],
        *,
        seed: int,
        max_attempts: int = MAX_ATTEMPTS,
        benched: Benched | None = None,
    ) -> Plan:
        """Plans a call in O(log n) for a list seen before."""
        if len(candidates) == 1:
            return _only(candidates[0], benched)
        known = self._known.get(id(candidates))
        if known is None or known[0] is not candidates:
            known = self._known[id(candidates)] = (candidates, _shelve(candidates))
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return _draw(known[1], seed, max_attempts, benched)


_Rank: TypeAlias = tuple[Sequence[Candidate], Odds]


def _shelve(candidates: Sequence[Candidate]) -> list[_Rank]:
    """Groups candidates by priority; their order within one is by key id, however they came."""
    ordered = sorted(candidates, key=lambda one: (one.priority, one.key.id))
    groups = (list(group) for _, group in groupby(ordered, key=lambda one: one.priority))
    return [(group, Odds([max(one.weight, 0) for one in group])) for group in groups]


def _only(candidate: Candidate, benched: Benched | None) -> Plan:
    """Plans the most frequent case, in which there is nothing to order."""
    if benched is not None and benched(candidate.key.id, candidate.version.version):
        return Plan((candidate,), (step(candidate, _BENCHED), step(candidate, Verdict.LAST_RESORT)))
    return Plan((candidate,), (step(candidate, _CHOSEN),))


def _draw(ranks: list[_Rank], seed: int, max_attempts: int, benched: Benched | None) -> Plan:
    attempts: list[Candidate] = []
    steps: list[Step] = []
    resting: Candidate | None = None
    for candidate in _in_order(ranks, seed):
        if benched is not None and benched(candidate.key.id, candidate.version.version):
            resting = resting or candidate
            steps.append(step(candidate, _BENCHED))
            continue
        attempts.append(candidate)
        steps.append(step(candidate, _CHOSEN))
        if len(attempts) >= max_attempts:
            break
    if not attempts and resting is not None:
        attempts.append(resting)
        steps.append(step(resting, Verdict.LAST_RESORT))
    return Plan(tuple(attempts), tuple(steps))


def _in_order(ranks: list[_Rank], seed: int) -> Iterator[Candidate]:
    source = numbers(seed)
    for group, odds in ranks:
        for index in odds.order(source):
            yield group[index]


def step(candidate: Candidate, verdict: Verdict) -> Step:
    """Notes a verdict on a candidate."""
    return Step(candidate.key.id, candidate.version.version, candidate.priority, candidate.weight, verdict)
