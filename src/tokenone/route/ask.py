"""What a plan is asked, what it may look at, and what it answers.

Law: values; everything that a plan depends on is in an `Ask` and in what a `Scene` gives, so that the same two
give the same answer. A scene's functions are pure for as long as one plan takes.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final

import msgspec

from tokenone.route.health import HEALTHY, Fitness
from tokenone.route.sessions import Held
from tokenone.rows import Candidate, Capability, Endpoint, Route, RouteRule
from tokenone.types import Provider, Scope

NO_NEEDS: Final[frozenset[Capability]] = frozenset()


class Demand(msgspec.Struct, frozen=True):
    """Where a tenant lets its calls go, whatever the routes say; None demands nothing."""

    jurisdictions: frozenset[str] | None = None
    self_hosted: bool = False
    endpoint: str | None = None
    """The name of the endpoints that the call's own path names."""


ANYWHERE: Final = Demand()


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A call that wants a plan."""

    scope: Scope
    model: str
    """As the caller named it; empty where a native path names none."""
    seed: int
    native: Provider | None = None
    """The provider whose own path the call came in by; its dialect reaches nobody else."""
    body_bytes: int = 0
    stream: bool = False
    needs: frozenset[Capability] = NO_NEEDS
    session: str | None = None
    demand: Demand = ANYWHERE


def _no_price(provider: Provider, model: str, endpoint: Endpoint) -> int | None:
    del provider, model, endpoint
    return None


def _no_figure(endpoint: str, model: str) -> int | None:
    del endpoint, model
    return None


def _healthy(key: str, version: int, model: str) -> Fitness:
    del key, version, model
    return HEALTHY


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What the scope has, and how things stand now."""

    levels: tuple[tuple[Route, ...], ...]
    """The routes of workload, project and tenant, nearest first; the same tuples until something changes."""
    candidates: Callable[[Provider], tuple[Candidate, ...]]
    """The scope's usable keys of a provider, none at all as an empty tuple; the same tuple until they change."""
    allows: Callable[[Provider, str], bool]
    """What the restrictions over the scope permit."""
    fitness: Callable[[str, int, str], Fitness] = _healthy
    """How a key's version stands for a model at its provider: bench and rate limit."""
    price: Callable[[Provider, str, Endpoint], int | None] = _no_price
    """Nano-USD for a call of usual size; None is not known."""
    speed: Callable[[str, str], int | None] = _no_figure
    """Microseconds to the first byte at an endpoint (by id) for a model; None is not measured lately."""
    held: Held | None = None
    """Where the session was answered last."""


class Reason(StrEnum):
    """Why a candidate was taken or passed over, in words for people."""

    MEANT = "the name means this provider; its key by priority, then weight"
    LISTED = "in the rule's order; its key by priority, then weight"
    WEIGHED = "drawn by weight; its key by priority, then weight"
    CHEAPEST = "by price; its key by priority, then weight"
    FASTEST = "by time to the first byte; its key by priority, then weight"
    HELD = "the session was answered here last"
    OWN = "the session belongs here"
    LAST_RESORT = "passed over at first, tried because nothing else is there"
    BENCHED = Fitness.BENCHED.value
    SPENT = Fitness.SPENT.value
    SPARE = "not needed: the plan has its attempts"
    FORBIDDEN = "the scope's restrictions do not allow the model at this provider"
    OTHER_DIALECT = "the call came in by another provider's own path"
    OUTSIDE = "its endpoint lies outside the jurisdictions that are demanded"
    NO_KEY = "the scope has no usable key for it"


class Refusal(StrEnum):
    """Why there is nothing to try."""

    UNKNOWN = "no catalogue, endpoint or route of this scope knows the model"
    NO_RULE = "the route of this name has no rule for such a call"
    FORBIDDEN = "the scope's restrictions allow none of the targets"
    OUTSIDE = "no key in this scope belongs to an endpoint inside the demanded jurisdictions"
    NO_KEY = "no key in this scope belongs to an endpoint that serves the model"


class Leg(msgspec.Struct, frozen=True):
    """One attempt to make: which key, and the model by the name that its provider knows."""

    candidate: Candidate
    model: str
    reason: Reason
    trial: bool = False
    """The key's bench is over and this is the one call that may try it (`Health.begin`)."""

    @property
    def provider(self) -> Provider:
        return self.candidate.key.provider


class Passed(msgspec.Struct, frozen=True):
    """A target, or one of its keys, that was looked at and not taken."""

    provider: Provider
    model: str
    reason: Reason
    key: str | None = None
    version: int | None = None


class Routed(msgspec.Struct, frozen=True):
    """The answer: legs in order, and what was passed over on the way. Without legs `refusal` says why."""

    legs: tuple[Leg, ...]
    passed: tuple[Passed, ...]
    rule: RouteRule
    route: str | None = None
    """The route that decided; None where the name itself did."""
    number: int = 0
    """Which of its rules, from 1."""
    refusal: Refusal | None = None


class Asked(msgspec.Struct, frozen=True):
    """A rule that was looked at, for people: its route, its number, and what it said to the call."""

    route: str
    number: int
    verdict: str
