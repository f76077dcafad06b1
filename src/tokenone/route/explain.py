"""Why a call would take the way that it would take: every rule, target and candidate, without a call.

Law: the legs are those of `Router.plan`, because it makes them; this adds what a plan did not have to look at.
A model is listed exactly if its explanation has a leg by some rule: `/v1/models` asks here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import msgspec

from tokenone.route.ask import Ask, Asked, Passed, Reason, Refusal, Routed, Scene
from tokenone.route.catalog import Catalog, Listed
from tokenone.route.router import Here, Router
from tokenone.route.table import Ruled, unfit
from tokenone.rows import Candidate
from tokenone.types import Provider


class Unfit(msgspec.Struct, frozen=True):
    """A key that is assigned in the scope and is no candidate, and why (`scope.Considered`)."""

    key: str
    level: str
    why: str


Survey: TypeAlias = Callable[[Provider], Iterable[Unfit]]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A key, or a target without one: its place in the plan from 1, or why it has none."""

    order: int | None
    provider: str
    model: str
    key: str | None = None
    version: int | None = None
    endpoint: str | None = None
    level: str | None = None
    priority: int | None = None
    weight: int | None = None
    price_nano: int | None = None
    first_byte_us: int | None = None
    why: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer to "why there?"."""

    model: str
    route: str | None
    rule: int | None
    strategy: str | None
    attempts: int | None
    refusal: str | None
    rules: tuple[Asked, ...]
    lines: tuple[Line, ...]


def explain(router: Router, ask: Ask, scene: Scene, survey: Survey) -> Explanation:
    """Explains a call: its plan, then everything that was passed over or not needed."""
    found = router.rule_for(ask, scene)
    rules = tuple(_asked(router, ask, scene))
    if isinstance(found, Refusal):
        return Explanation(
            model=ask.model, route=None, rule=None, strategy=None, attempts=None,
            refusal=found.value, rules=rules, lines=(),
        )  # fmt: skip
    routed = router.plan_by(found, ask, scene)
    return Explanation(
        model=ask.model,
        route=routed.route,
        rule=routed.number or None,
        strategy=routed.rule.strategy.value if routed.route else None,
        attempts=routed.rule.attempts,
        refusal=routed.refusal.value if routed.refusal else None,
        rules=rules,
        lines=tuple(_lines(router, found, routed, ask, scene)) + tuple(_unfit(found, survey)),
    )


def _asked(router: Router, ask: Ask, scene: Scene) -> Iterable[Asked]:
    """Yields what every rule of the name says to the call, those of farther scopes included."""
    decided, settled = False, False
    for level in scene.levels:
        for ruled in (router.table(level).find(ask.model) or ()) if level else ():
            fault = unfit(ruled.rule.when, ask)
            if settled:
                verdict = "not asked: a nearer scope has a route of this name"
            elif decided:
                verdict = "not asked: a rule before it decides"
            else:
                verdict = "decides" if fault is None else f"not this call: {fault}"
            decided = decided or fault is None
            yield Asked(ruled.route or "", ruled.number, verdict)
        settled = settled or bool(level and router.table(level).find(ask.model))


def _lines(router: Router, ruled: Ruled, routed: Routed, ask: Ask, scene: Scene) -> Iterable[Line]:
    seen: set[tuple[str, str]] = set()
    for order, leg in enumerate(routed.legs, 1):
        seen.add((leg.candidate.key.id, leg.model))
        yield _line(leg.candidate, leg.model, leg.reason.value, scene, order)
    passed: list[Passed] = []
    reasons = {(one.key, one.model): one.reason for one in routed.passed if one.key is not None}
    for spot in router.spots(ruled, ask, scene, passed):
        for candidate in spot.group.candidates:
            place = (candidate.key.id, spot.model)
            if place not in seen:
                seen.add(place)
                yield _line(candidate, spot.model, reasons.get(place, Reason.SPARE).value, scene)
    for one in passed:
        yield Line(order=None, provider=one.provider.value, model=one.model, why=one.reason.value)


def _line(candidate: Candidate, model: str, why: str, scene: Scene, order: int | None = None) -> Line:
    endpoint = candidate.endpoint
    return Line(
        order=order,
        provider=candidate.key.provider.value,
        model=model,
        key=candidate.key.id,
        version=candidate.version.version,
        endpoint=endpoint.id,
        level=candidate.level,
        priority=candidate.priority,
        weight=candidate.weight,
        price_nano=scene.price(candidate.key.provider, model, endpoint),
        first_byte_us=scene.speed(endpoint.id, model),
        why=why,
    )


def _unfit(ruled: Ruled, survey: Survey) -> Iterable[Line]:
    """Yields the keys that are assigned and no candidates, for every provider of the rule."""
    for provider in dict.fromkeys(target.provider for target in ruled.rule.targets):
        for one in survey(provider):
            yield Line(
                order=None, provider=provider.value, model="", key=one.key, level=one.level, why=one.why
            )


def listed(router: Router, catalog: Catalog, ask: Ask, scene: Scene) -> tuple[Listed, ...]:
    """Returns the models that the unified front would dispatch for a caller, by name: aliases, and what the
    catalogue and the endpoints know. `ask` says who asks; its model is of no account."""
    here = Here(ask, scene)
    lines: dict[str, Listed] = {}
    for level in scene.levels:
        for name in router.table(level).names() if level else ():
            _list(lines, name, router.leads(name, here))
    for provider in catalog.unified:
        candidates = scene.candidates(provider)
        own = {model for one in candidates for model in one.endpoint.models}
        for model in own | catalog.listed(provider) if candidates else ():
            for name in (model, f"{provider.value}/{model}"):
                found = router.leads(name, here)
                _list(lines, name, found)
                if found == (provider, model):
                    break
    return tuple(lines[name] for name in sorted(lines))


def _list(lines: dict[str, Listed], name: str, found: tuple[Provider, str] | None) -> None:
    if found is not None:
        lines[name] = Listed(name, *found)
