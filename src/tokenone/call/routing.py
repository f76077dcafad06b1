"""What plans are made with in this worker, what one plan may look at, and why a call would go where it goes.

Law: a scene shows the directory, the bench, the rate limits, speeds and prices as they are at one moment, and
the caller's own scope alone. Plans are made in `route/`; nothing here orders or dials.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tokenone.clock import MINUTE_US
from tokenone.errors import CallerError, NotFound
from tokenone.meter.rate import price
from tokenone.route import Ask, Fitness, Headroom, Health, Router, Scene, Sessions, Speed, Unfit, explain
from tokenone.rows import Candidate, Capability, Endpoint, Tenant, TenantRate
from tokenone.scope import Fitness as Assigned
from tokenone.types import Mode, Provider, Scope, Usage

if TYPE_CHECKING:
    from tokenone.call.house import House

USUAL: Final = Usage(input=1000, output=500)
"""The call whose price targets are compared by."""
PRICED_US: Final = MINUTE_US
"""Prices change by date and time of day; so long one is remembered."""
_PRICES: Final = 4096
_SPENT: Final = Fitness.SPENT
_HEALTHY: Final = Fitness.HEALTHY


class Prices:
    """The prices that were asked for last, by tenant, provider, model and endpoint; bounded."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str, str, str], tuple[int | None, object, int]] = OrderedDict()

    def of(self, house: House, tenant: Tenant, model: str, endpoint: Endpoint, now_us: int) -> int | None:
        """Returns nano-USD for a call of usual size; None where nobody knows."""
        place = (tenant.id, endpoint.provider.value, model, endpoint.id)
        known = self._known.get(place)
        if known is not None and known[1] is tenant.rates and 0 <= now_us - known[2] < PRICED_US:
            return known[0]
        nano = _nano(house, tenant.rates, model, endpoint, now_us)
        self._known[place] = (nano, tenant.rates, now_us)
        if len(self._known) > _PRICES:
            self._known.popitem(last=False)
        return nano


def _nano(
    house: House, rates: tuple[TenantRate, ...], model: str, endpoint: Endpoint, now_us: int
) -> int | None:
    cost = price(
        house.book, provider=endpoint.provider.value, model=model, usage=USUAL, at_us=now_us, rates=rates
    )
    return cost.total


@dataclass(frozen=True, slots=True)
class Routing:
    """The router and what it is told of the world; one for each worker."""

    router: Router
    health: Health
    headroom: Headroom = field(default_factory=Headroom)
    speed: Speed = field(default_factory=Speed)
    sessions: Sessions = field(default_factory=Sessions)
    prices: Prices = field(default_factory=Prices)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks for a plan, and when."""

    scope: Scope
    tenant: Tenant
    mode: Mode
    now_us: int
    session: str | None = None


def scene(house: House, routing: Routing, asker: Asker) -> Scene:
    """Returns what a plan for this caller may look at now."""
    directory, scope, now_us = house.directory, asker.scope, asker.now_us
    rules = directory.rules(scope)
    health, headroom, speed = routing.health, routing.headroom, routing.speed

    def usable(provider: Provider) -> tuple[Candidate, ...]:
        return directory.usable(scope, provider, now_us, asker.mode)

    def allows(provider: Provider, model: str) -> bool:
        return rules.allow_provider(provider) and rules.allow_model(provider, model)

    def fitness(key: str, version: int, model: str) -> Fitness:
        found = health.fitness(key, version, now_us, model)
        return _SPENT if found is _HEALTHY and headroom.spent(key, version, model, now_us) else found

    def price_of(provider: Provider, model: str, endpoint: Endpoint) -> int | None:
        del provider  # the endpoint's
        return routing.prices.of(house, asker.tenant, model, endpoint, now_us)

    def speed_of(endpoint: str, model: str) -> int | None:
        return speed.of(endpoint, model, now_us)

    held = None
    if asker.session is not None:
        held = routing.sessions.held(scope.workload, asker.session, now_us)
    return Scene(
        levels=directory.routes(scope), candidates=usable, allows=allows, fitness=fitness,
        price=price_of, speed=speed_of, held=held,
    )  # fmt: skip


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which call is to be explained; by default a small one that is not streamed."""

    workload: str
    model: str
    mode: Mode = "live"
    provider: Provider | None = None
    """Whose own path it comes in by; None is the unified front."""
    body_bytes: int = 0
    stream: bool = False
    needs: tuple[Capability, ...] = ()
    session: str | None = None


def explained(house: House, routing: Routing, question: dict[str, Any]) -> dict[str, Any]:
    """Answers `route.explain`: the plan for a call of a workload, and why; nobody is asked, nothing changes."""
    try:
        asked = msgspec.convert(question, Question)
    except msgspec.ValidationError:
        raise CallerError("the question is not of its form") from None
    asker = _asker(house, asked)
    ask = Ask(
        scope=asker.scope,
        model=asked.model,
        seed=asker.now_us,
        native=asked.provider,
        body_bytes=asked.body_bytes,
        stream=asked.stream,
        needs=frozenset(asked.needs),
        session=asked.session,
    )

    def unfit(provider: Provider) -> Iterable[Unfit]:
        for one in house.directory.survey(asker.scope, provider, asker.now_us, asker.mode):
            if one.fitness not in (Assigned.USABLE, Assigned.PROVIDER):
                yield Unfit(one.assignment.key, one.level, one.fitness.value)

    answer: dict[str, Any] = msgspec.to_builtins(
        explain(routing.router, ask, scene(house, routing, asker), unfit)
    )
    return answer


def _asker(house: House, asked: Question) -> Asker:
    workload = house.directory.workload(asked.workload)
    tenant = None if workload is None else house.directory.tenant(workload.tenant)
    if workload is None or tenant is None:
        raise NotFound("no such workload")
    scope = Scope(tenant.id, workload.project, workload.id)
    return Asker(scope, tenant, asked.mode, house.clock.now_us(), asked.session)
