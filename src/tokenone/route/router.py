"""The plan of a call: which rule, which targets in which order, which keys, and why.

Law: pure in what it is given (ask and scene); what is kept between calls is derived from that alone. The
nearest scope whose routes name the model decides, whole; without a route a name means one provider, the first
that serves it with a key of this scope. Nothing outside the scope's candidates, its restrictions and the
demanded jurisdictions is ever a leg. A bench orders, it never denies.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from tokenone.route.ask import (
    ANYWHERE,
    Ask,
    Leg,
    Passed,
    Reason,
    Refusal,
    Routed,
    Scene,
)
from tokenone.route.catalog import Catalog
from tokenone.route.group import Fit, Groups, Serves, Want, fit_of
from tokenone.route.health import HEALTHY, SPENT, TRIAL
from tokenone.route.order import Spot, arranged
from tokenone.route.rendezvous import digest
from tokenone.route.strategy import numbers
from tokenone.route.table import Ruled, Table
from tokenone.rows import Candidate, Endpoint, Route, RouteRule, Strategy, Target
from tokenone.types import Provider

MOST_ATTEMPTS: Final = 5
"""Whatever a rule says."""
MOST_LEGS: Final = 8
"""More than attempts, for what may follow depends on how an attempt fails (`follow`)."""
KEPT: Final = 4096
MOST_ROUTES: Final = 50_000
"""In all tables that are kept; those of an edit before are among them until newer ones push them out."""

NO_RULE: Final = RouteRule(targets=())

_PROVIDERS: Final = frozenset(one.value for one in Provider)

# Constants, because reading a member off its enum costs 0.2 µs in Python 3.11.
_REASONS: Final = {
    Strategy.PRIORITY: Reason.LISTED,
    Strategy.WEIGHTED: Reason.WEIGHED,
    Strategy.CHEAPEST: Reason.CHEAPEST,
    Strategy.FASTEST: Reason.FASTEST,
}
_MEANT: Final = Reason.MEANT
_OWN: Final = Reason.OWN
_HELD: Final = Reason.HELD
_BENCHED: Final = Reason.BENCHED
_SPENT: Final = Reason.SPENT


class Router:
    """Plans, with tables and groups of what was seen last kept ready; same input, same plan."""

    def __init__(self, catalog: Catalog, kept: int = KEPT) -> None:
        self._catalog = catalog
        self._groups = Groups()
        self._tables: OrderedDict[int, tuple[tuple[Route, ...], Table]] = OrderedDict()
        self._routes = 0
        self._meant: OrderedDict[tuple[Provider, str], Ruled] = OrderedDict()
        self._native = {one: Ruled(None, 0, RouteRule(targets=(Target(one),))) for one in Provider}
        self._kept = kept

    def plan(self, ask: Ask, scene: Scene) -> Routed:
        """Plans a call; without legs `refusal` says why."""
        ruled = self.rule_for(ask, scene)
        if isinstance(ruled, Refusal):
            return Routed((), (), NO_RULE, refusal=ruled)
        return self.plan_by(ruled, ask, scene)

    def plan_by(self, ruled: Ruled, ask: Ask, scene: Scene) -> Routed:
        """Plans a call by one rule."""
        drawing = _Drawing(ruled, ask, scene)
        drawing.draw(list(self.spots(ruled, ask, scene, drawing.passed)))
        refusal = None if drawing.legs else _why_none(drawing.passed)
        return Routed(
            tuple(drawing.legs), tuple(drawing.passed), ruled.rule, ruled.route, ruled.number, refusal
        )

    # ── which rule ─────────────────────────────────────────────────────────────────────────────────────
    def rule_for(self, ask: Ask, scene: Scene) -> Ruled | Refusal:
        """Returns the rule that decides about a call."""
        for level in scene.levels:
            rules = self.table(level).find(ask.model) if level else None
            if rules is None or not _concerns(rules, ask.native):
                continue
            for ruled in rules:
                if ruled.fits(ask):
                    return ruled
            return Refusal.NO_RULE
        if ask.native is not None:
            return self._native[ask.native]
        return self._read(ask, scene)

    def table(self, level: tuple[Route, ...]) -> Table:
        """Returns the routes of a level, ready to be looked up."""
        known = self._tables.get(id(level))
        if known is None:
            known = self._tables[id(level)] = (level, Table(level))
            self._routes += len(level)
            while self._routes > MOST_ROUTES and len(self._tables) > 1:
                self._routes -= len(self._tables.popitem(last=False)[1][0])
        return known[1]

    def _read(self, ask: Ask, scene: Scene) -> Ruled | Refusal:
        """Finds out what a name without a route means: the first reading that the scope can use; else the one
        that comes nearest, so that the refusal can say what is missing."""
        demand = None if ask.demand == ANYWHERE else ask.demand
        outside: Ruled | None = None
        forbidden: Ruled | None = None
        for reading in self._catalog.readings(ask.model):
            provider, model = reading.provider, reading.model
            candidates = scene.candidates(provider)
            if not candidates:
                continue
            ruled = self._means(provider, model)
            group = self._groups.of(
                Want(ruled.rule.targets[0], model, demand), candidates, self._catalog.serves
            )
            if not group.candidates and not group.outside:
                continue
            if not scene.allows(provider, model):
                forbidden = forbidden or ruled
            elif group.candidates:
                return ruled
            else:
                outside = outside or ruled
        return outside or forbidden or self._known(ask.model)

    def _known(self, name: str) -> Ruled | Refusal:
        """Returns the first reading that the catalogue has, though the scope has no key for it."""
        for reading in self._catalog.readings(name):
            if self._catalog.knows(reading.provider, reading.model):
                return self._means(reading.provider, reading.model)
        return Refusal.UNKNOWN

    def _means(self, provider: Provider, model: str) -> Ruled:
        """Returns the rule that a bare name stands for."""
        known = self._meant.get((provider, model))
        if known is None:
            rule = RouteRule(targets=(Target(provider, model),))
            known = self._meant[provider, model] = Ruled(None, 0, rule)
            if len(self._meant) > self._kept:
                self._meant.popitem(last=False)
        return known

    def leads(self, name: str, here: Here) -> tuple[Provider, str] | None:
        """Says where a name leads at the unified front by the first rule that leads anywhere, whatever its
        conditions: as `plan`, but by endpoints alone, so that a whole catalogue can be asked for."""
        for level in here.scene.levels:
            rules = self.table(level).find(name) if level else None
            if rules is not None:
                return next((found for ruled in rules if (found := self._leads_by(ruled, name, here))), None)
        for reading in self._catalog.readings(name):
            want = Want(Target(reading.provider), reading.model, here.demand)
            if here.usable(want, self._catalog.serves):
                return reading.provider, reading.model
        return None

    def _leads_by(self, ruled: Ruled, name: str, here: Here) -> tuple[Provider, str] | None:
        demand = ruled.demand(here.demand or ANYWHERE)
        for target in ruled.rule.targets:
            model = target.model or named(name, target.provider)
            if here.usable(Want(target, model, demand), self._may_serve):
                return target.provider, model
        return None

    # ── which targets ──────────────────────────────────────────────────────────────────────────────────
    def spots(self, ruled: Ruled, ask: Ask, scene: Scene, passed: list[Passed]) -> Iterator[Spot]:
        """Yields the targets that can be used, in the rule's own order; notes why others cannot."""
        demand = ruled.demand(ask.demand)
        serves = self._trust(ruled, ask)
        apart = ruled.rule.strategy in (Strategy.CHEAPEST, Strategy.FASTEST)
        for index, target in enumerate(ruled.rule.targets):
            provider = target.provider
            model = target.model or (ask.model if ask.native is not None else named(ask.model, provider))
            if ask.native is not None and provider is not ask.native:
                passed.append(Passed(provider, model, Reason.OTHER_DIALECT))
                continue
            if not scene.allows(provider, model):
                passed.append(Passed(provider, model, Reason.FORBIDDEN))
                continue
            want = Want(target, "" if serves is _anything else model, demand)
            group = self._groups.of(want, scene.candidates(provider), serves)
            if not group.candidates:
                passed.append(Passed(provider, model, Reason.OUTSIDE if group.outside else Reason.NO_KEY))
                continue
            for part in group.split() if apart else (group,):
                yield Spot(index, model, part)

    def _trust(self, ruled: Ruled, ask: Ask) -> Serves:
        if ruled.route is not None:
            return self._may_serve
        return self._catalog.serves if ask.native is None else _anything

    def _may_serve(self, endpoint: Endpoint, model: str) -> bool:
        """A model that a rule names on purpose may be one that no catalogue has yet, unless the endpoint has a list."""
        return not endpoint.models or self._catalog.serves(endpoint, model)


class Here:
    """The endpoints of a scope's usable keys, looked up once for many names."""

    __slots__ = ("_endpoints", "demand", "scene")

    def __init__(self, ask: Ask, scene: Scene) -> None:
        self.scene = scene
        self.demand = None if ask.demand == ANYWHERE else ask.demand
        self._endpoints = {
            provider: tuple({one.endpoint.id: one.endpoint for one in scene.candidates(provider)}.values())
            for provider in Provider
        }

    def usable(self, want: Want, serves: Serves) -> bool:
        """Says whether some key of the scope can serve what is wanted, and may."""
        provider = want.target.provider
        endpoints = self._endpoints[provider]
        fits = any(fit_of(want, endpoint, serves) is Fit.INSIDE for endpoint in endpoints)
        return fits and self.scene.allows(provider, want.model)


class _Drawing:
    """One plan under way."""

    __slots__ = ("_attempts", "_numbers", "_rule", "_ruled", "_scene", "_session", "_taken", "legs", "passed")

    def __init__(self, ruled: Ruled, ask: Ask, scene: Scene) -> None:
        rule = ruled.rule
        self._ruled = ruled
        self._rule = rule
        self._scene = scene
        self._numbers = numbers(ask.seed)
        self._session: int | None = None
        if rule.sticky_s and ask.session is not None:
            self._session = digest(f"{ask.scope.workload}\n{ask.session}")
        self._attempts = max(1, min(rule.attempts, MOST_ATTEMPTS))
        self._taken: set[tuple[str, str]] = set()
        self.legs: list[Leg] = []
        self.passed: list[Passed] = []

    def draw(self, spots: list[Spot]) -> None:
        """Puts the legs in order: of the first usable target as many as the rule has attempts, of each further
        one fewer, for the attempts before it are spent."""
        reason = _MEANT if self._ruled.route is None else _REASONS[self._rule.strategy]
        resting: list[tuple[Candidate, str]] = []
        self._hold(spots, resting)
        served = 0
        for spot in arranged(spots, self._ruled, self._scene, self._numbers, self._session):
            served += self._from(spot, reason, self._attempts - served, resting)
            if served >= self._attempts or len(self.legs) >= MOST_LEGS:
                break
        if not self.legs and resting:
            candidate, model = resting[0]
            self.legs.append(Leg(candidate, model, Reason.LAST_RESORT))

    def _hold(self, spots: list[Spot], resting: list[tuple[Candidate, str]]) -> None:
        """Begins with the place that answered the session last, if it is there and fit."""
        held = self._scene.held
        if held is None or self._session is None:
            return
        for spot in spots:
            candidate = spot.group.by_key.get(held.key)
            if candidate is not None and spot.model == held.model:
                self._take(candidate, spot.model, _HELD, resting)
                return

    def _from(self, spot: Spot, reason: Reason, most: int, resting: list[tuple[Candidate, str]]) -> bool:
        """Takes a target's keys; False when none of them is fit."""
        group, session = spot.group, self._session
        if session is not None and not self.legs and len(group.candidates) > 1:
            drawn, reason = group.belonging(session), _OWN
        else:
            drawn = group.drawn(self._numbers)
        taken = 0
        for candidate in drawn:
            taken += self._take(candidate, spot.model, reason, resting)
            if taken >= most or len(self.legs) >= MOST_LEGS:
                break
        return taken > 0

    def _take(
        self, candidate: Candidate, model: str, reason: Reason, resting: list[tuple[Candidate, str]]
    ) -> bool:
        """Adds a leg if the candidate is fit for it, and is none already."""
        key, version = candidate.key.id, candidate.version.version
        place = (key, model)
        if place in self._taken:
            return False
        self._taken.add(place)
        fitness = self._scene.fitness(key, version, model)
        if fitness is HEALTHY:
            self.legs.append(Leg(candidate, model, reason))
            return True
        if fitness is TRIAL:
            self.legs.append(Leg(candidate, model, reason, True))
            return True
        resting.append((candidate, model))
        why = _SPENT if fitness is SPENT else _BENCHED
        self.passed.append(Passed(candidate.key.provider, model, why, key, version))
        return False


def named(model: str, provider: Provider) -> str:
    """Returns the model of a name that may begin with a provider and a slash. OpenRouter's own names do; there
    only its own name is left out."""
    head, slash, rest = model.partition("/")
    if not slash or not rest or head not in _PROVIDERS:
        return model
    return rest if head == provider or provider is not Provider.OPENROUTER else model


def _concerns(rules: tuple[Ruled, ...], native: Provider | None) -> bool:
    """A route without a target at a native path's provider is none for that path."""
    return native is None or any(
        target.provider is native for ruled in rules for target in ruled.rule.targets
    )


def _anything(endpoint: Endpoint, model: str) -> bool:
    """A native path sends what the caller names."""
    del endpoint, model
    return True


def _why_none(passed: list[Passed]) -> Refusal:
    reasons = {one.reason for one in passed}
    if Reason.OUTSIDE in reasons:
        return Refusal.OUTSIDE
    if Reason.NO_KEY in reasons:
        return Refusal.NO_KEY
    return Refusal.FORBIDDEN if Reason.FORBIDDEN in reasons else Refusal.NO_KEY
