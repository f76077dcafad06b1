"""Routes made ready to be looked up by model: once after an edit, not once a call.

Law: an exact name comes before a pattern, a longer pattern before a shorter one; of a route the first rule
that fits decides. Looking up costs the same for one route as for thousands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tokenone.route.ask import ANYWHERE, Ask, Demand
from tokenone.route.rendezvous import digest
from tokenone.route.strategy import Odds
from tokenone.rows import Route, RouteRule, When

_ALWAYS = When()


class Ruled:
    """One rule, ready: its odds, and what stands for its targets in a session's draw."""

    __slots__ = ("_within", "always", "number", "odds", "places", "route", "rule", "weights")

    def __init__(self, route: str | None, number: int, rule: RouteRule) -> None:
        self.route = route
        self.number = number
        self.rule = rule
        self.always = rule.when == _ALWAYS
        self._within = None if rule.within is None else Demand(frozenset(rule.within))
        self.weights = [max(one.weight, 0) for one in rule.targets]
        self.odds = Odds(self.weights)
        self.places = [digest(f"{one.provider.value}\n{one.model}\n{one.endpoint}") for one in rule.targets]

    def fits(self, ask: Ask) -> bool:
        """Says whether the rule is for this call."""
        return self.always or unfit(self.rule.when, ask) is None

    def demand(self, demanded: Demand) -> Demand | None:
        """Returns where targets have to lie: inside of what is demanded and of what the rule says."""
        within = self._within
        if within is None:
            return None if demanded == ANYWHERE else demanded
        lands = within.jurisdictions
        if lands is not None and demanded.jurisdictions is not None:
            lands &= demanded.jurisdictions
        return Demand(lands, demanded.self_hosted, demanded.endpoint)


class Table:
    """The routes of one scope, by model; a route's rules are made ready when it is first looked up."""

    __slots__ = ("_lengths", "_ready", "_routes")

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = {route.model: route for route in sorted(routes, key=lambda one: one.id, reverse=True)}
        self._ready: dict[str, tuple[Ruled, ...]] = {}
        prefixes = {len(name) - 1 for name in self._routes if name.endswith("*")}
        self._lengths = sorted(prefixes, reverse=True)

    def find(self, model: str) -> tuple[Ruled, ...] | None:
        """Returns the rules of the route that names the model; None if none does."""
        if model in self._routes and not model.endswith("*"):
            return self._rules(model)
        for length in self._lengths:
            pattern = f"{model[:length]}*"
            if length <= len(model) and pattern in self._routes:
                return self._rules(pattern)
        return None

    def names(self) -> Iterator[str]:
        """Yields the aliases; a pattern is not a name that somebody could list."""
        return (name for name in self._routes if not name.endswith("*"))

    def __len__(self) -> int:
        return len(self._routes)

    def _rules(self, name: str) -> tuple[Ruled, ...]:
        ready = self._ready.get(name)
        if ready is None:
            route = self._routes[name]
            ready = tuple(Ruled(route.id, number, rule) for number, rule in enumerate(route.rules, 1))
            self._ready[name] = ready
        return ready


def unfit(when: When, ask: Ask) -> str | None:
    """Says which condition a call does not meet; None if it meets all."""
    if when.min_bytes is not None and ask.body_bytes < when.min_bytes:
        return f"for bodies of {when.min_bytes} bytes or more"
    if when.max_bytes is not None and ask.body_bytes > when.max_bytes:
        return f"for bodies of {when.max_bytes} bytes or fewer"
    if when.stream is not None and when.stream is not ask.stream:
        return "for streams" if when.stream else "for calls that are not streamed"
    missing = [need.value for need in when.needs if need not in ask.needs]
    if missing:
        return f"for calls that ask for {', '.join(missing)}"
    if when.jurisdictions is not None:
        demanded = ask.demand.jurisdictions
        if demanded is None or not demanded <= set(when.jurisdictions):
            return f"for calls that have to stay within {', '.join(when.jurisdictions)}"
    return None
