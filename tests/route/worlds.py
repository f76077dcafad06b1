"""Small worlds to route in: endpoints that lie somewhere, keys, routes; and strategies that make them."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st

from tokenone.route import Ask, Catalog, Demand, Fitness, Held, Router, Scene
from tokenone.rows import (
    Candidate,
    Capability,
    Endpoint,
    Key,
    KeyVersion,
    Route,
    RouteRule,
    Strategy,
    Target,
    When,
)
from tokenone.types import ErrorClass, KeyState, Provider, Scope

SCOPE = Scope("t", "p", "w")
SPOKEN = (Provider.OPENAI, Provider.ANTHROPIC, Provider.AZURE, Provider.OPENROUTER, Provider.CUSTOM)
BOOK = {
    "openai": ("gpt-4o", "gpt-5", "openai/odd"),
    "anthropic": ("claude-5",),
    "azure": ("gpt-4o",),
    "openrouter": ("openai/gpt-4o", "openrouter/auto"),
}
MODELS = ("gpt-4o", "gpt-5", "claude-5", "llama", "openai/gpt-4o", "fast", "fast-1", "best", "nobody")
PLACES = ("eu", "us", None)


class Placed(Endpoint, frozen=True):
    """An endpoint that lies somewhere."""

    jurisdiction: str | None = None
    self_hosted: bool = False


def endpoint(id: str, provider: Provider, *, models: tuple[str, ...] = (), lies: str | None = None) -> Placed:
    return Placed(
        id, "t", provider, id, (f"https://{id}.example",), models=models, jurisdiction=lies,
        self_hosted=provider is Provider.CUSTOM,
    )  # fmt: skip


def candidate(id: str, at: Endpoint, *, weight: int = 100, priority: int = 0, version: int = 1) -> Candidate:
    return Candidate(
        Key(id, "t", at.provider, at.id, id),
        KeyVersion(id, version, KeyState.ACTIVE, b"e", "m", 0),
        at,
        "workload",
        weight,
        priority,
    )


def route(model: str, *rules: RouteRule, id: str = "rte_1") -> Route:
    return Route(id, "t", "tenant", "t", model, rules)


class World:
    """What a scope has: keys by provider and routes by level, nearest first."""

    def __init__(self, keys: Iterable[Candidate], *levels: tuple[Route, ...]) -> None:
        self.keys: dict[Provider, tuple[Candidate, ...]] = {}
        for one in keys:
            self.keys[one.key.provider] = (*self.keys.get(one.key.provider, ()), one)
        self.levels = levels
        self.forbidden: set[tuple[Provider, str]] = set()
        self.unfit: dict[str, Fitness] = {}
        self.prices: dict[str, int] = {}
        self.speeds: dict[str, int] = {}
        self.catalog = Catalog(BOOK, SPOKEN)
        self.router = Router(self.catalog)

    def scene(self, held: Held | None = None) -> Scene:
        return Scene(
            levels=self.levels,
            candidates=lambda provider: self.keys.get(provider, ()),
            allows=lambda provider, model: (provider, model) not in self.forbidden,
            fitness=lambda key, version, model: self.unfit.get(key, Fitness.HEALTHY),
            price=lambda provider, model, at: self.prices.get(at.id),
            speed=lambda at, model: self.speeds.get(at),
            held=held,
        )

    def ask(self, model: str, **more: object) -> Ask:
        return Ask(**{"scope": SCOPE, "model": model, "seed": 1, **more})

    def plan(self, model: str, *, held: Held | None = None, **more: object):
        return self.router.plan(self.ask(model, **more), self.scene(held))


endpoints = st.lists(
    st.builds(
        lambda n, provider, models, lies: endpoint(f"ep{n}", provider, models=models, lies=lies),
        st.integers(0, 99),
        st.sampled_from(SPOKEN),
        st.sampled_from([(), (), ("llama",), ("llama", "gpt-4o")]),
        st.sampled_from(PLACES),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda one: one.id,
)
targets = st.builds(
    Target,
    st.sampled_from(SPOKEN),
    st.sampled_from([None, *MODELS]),
    st.one_of(st.none(), st.integers(0, 99).map(lambda n: f"ep{n}")),
    st.integers(0, 200),
)
whens = st.one_of(
    st.just(When()),
    st.builds(
        When,
        st.one_of(st.none(), st.integers(0, 100)),
        st.one_of(st.none(), st.integers(0, 100)),
        st.lists(st.sampled_from(Capability), unique=True, max_size=2).map(tuple),
        st.sampled_from([None, True, False]),
        st.sampled_from([None, ("eu",), ("eu", "us")]),
    ),
)
rules = st.builds(
    RouteRule,
    st.lists(targets, min_size=1, max_size=4).map(tuple),
    whens,
    st.sampled_from(Strategy),
    st.sampled_from([None, None, ("eu",), ("eu", "us")]),
    st.integers(1, 5),
    st.sampled_from([0, 600]),
    st.booleans(),
    st.lists(
        st.sampled_from([ErrorClass.KEY_DEAD, ErrorClass.RATE, ErrorClass.UPSTREAM, ErrorClass.BILLING]),
        unique=True,
    ).map(tuple),
)
levels = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["fast", "fast*", "gpt-4o", "*", "best", "gpt*"]),
            st.lists(rules, min_size=1, max_size=2),
        ),
        max_size=2,
        unique_by=lambda one: one[0],
    ),
    max_size=3,
)  # fmt: skip
weights = st.integers(0, 200)
asks = st.fixed_dictionaries(
    {
        "model": st.sampled_from(MODELS),
        "seed": st.integers(0, 2**64),
        "native": st.one_of(st.none(), st.sampled_from(SPOKEN)),
        "body_bytes": st.integers(0, 200),
        "stream": st.booleans(),
        "needs": st.frozensets(st.sampled_from(Capability), max_size=2),
        "session": st.sampled_from([None, "s1", "s2"]),
        "demand": st.builds(
            Demand, st.sampled_from([None, None, frozenset({"eu"}), frozenset({"eu", "us"})]), st.booleans()
        ),
    }
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    places = draw(endpoints)
    keys = [
        candidate(f"k{n}", draw(st.sampled_from(places)), weight=draw(weights), priority=draw(st.integers(0, 1)))
        for n in range(draw(st.integers(0, 8)))
    ]  # fmt: skip
    rows = []
    number = 0
    for level in draw(levels):
        here = []
        for model, its in level:
            number += 1
            here.append(route(model, *its, id=f"rte_{number}"))
        rows.append(tuple(here))
    world = World(keys, *rows)
    world.forbidden = set(
        draw(st.lists(st.tuples(st.sampled_from(SPOKEN), st.sampled_from(MODELS)), max_size=3))
    )
    names = st.sampled_from([f"k{n}" for n in range(8)])
    world.unfit = draw(st.dictionaries(names, st.sampled_from(Fitness)))
    world.prices = draw(st.dictionaries(st.sampled_from([one.id for one in places]), st.integers(0, 9)))
    world.speeds = draw(st.dictionaries(st.sampled_from([one.id for one in places]), st.integers(1, 9)))
    return world
