"""Which provider a model named at the unified front means, and which models the front lists.

Law: a name resolves if and only if a catalogue has it: the price book's for its provider, or an endpoint's
own list. `/v1/models` is computed with the very functions that dispatch uses, so it lists exactly what would
be dispatched. Pure; knows neither scopes nor keys' lives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from tokenone.errors import ModelUnknown
from tokenone.rows import Candidate, Endpoint
from tokenone.types import Provider

UNIFIED: Final = (Provider.OPENAI,)
"""Providers that the unified front speaks to now; bare names are looked for in this order."""

AGGREGATOR: Final = Provider.OPENROUTER
"""Its names begin with other providers' names, which mean those: bare, they are looked for last."""

_NAMES: Final = {provider.value: provider for provider in Provider}

Covers: TypeAlias = Callable[[str, str], bool]
"""Says whether the price book knows a provider's model by another spelling, such as a dated one."""


def _covers_nothing(provider: str, model: str) -> bool:
    del provider, model
    return False


class Resolved(msgspec.Struct, frozen=True, gc=False):
    """A model at its provider, by the name that the provider knows."""

    provider: Provider
    model: str


class Listed(msgspec.Struct, frozen=True, gc=False):
    """A line of /v1/models: the shortest name that resolves to it, and what it means."""

    id: str
    provider: Provider
    model: str


class Catalog:
    """The models that are known: `book` by provider, endpoints' own lists beside it. Names that only `covers`
    knows resolve and are not listed."""

    def __init__(
        self,
        book: Mapping[str, Iterable[str]],
        unified: Sequence[Provider] = UNIFIED,
        covers: Covers = _covers_nothing,
    ) -> None:
        self._book = {provider: frozenset(book.get(provider.value, ())) for provider in Provider}
        self._unified = tuple(unified)
        self._covers = covers
        self._orders = self._ordered()

    @property
    def unified(self) -> tuple[Provider, ...]:
        """The providers that the unified front can dispatch to."""
        return self._unified

    def knows(self, provider: Provider, model: str) -> bool:
        """Says whether the price book has a provider's model, in whatever spelling."""
        return model in self._book[provider] or self._spells(provider, model)

    def serves(self, endpoint: Endpoint, model: str) -> bool:
        """Says whether an endpoint is known to serve a model."""
        return model in endpoint.models or self.knows(endpoint.provider, model)

    def readings(self, name: str) -> Iterator[Resolved]:
        """Yields what a name may mean at the unified front: `provider/model` first, then the bare name at each
        provider, those that list it so before the others. Whether somebody serves it is not asked."""
        named, _, native = name.partition("/")
        provider_named = _NAMES.get(named)
        if native and provider_named in self._unified:
            yield Resolved(provider_named, native)
        for provider in self._orders.get(name, self._unified):
            yield Resolved(provider, name)

    def _ordered(self) -> dict[str, tuple[Provider, ...]]:
        """Puts the providers that list a name first, for every name that one lists."""
        names = {name for provider in self._unified for name in self._book[provider]}
        orders: dict[frozenset[Provider], tuple[Provider, ...]] = {}
        found: dict[str, tuple[Provider, ...]] = {}
        for name in names:
            listers = frozenset(provider for provider in self._unified if name in self._book[provider])
            if listers not in orders:
                orders[listers] = tuple(sorted(self._unified, key=lambda one: one not in listers))
            found[name] = orders[listers]
        return found

    def listed(self, provider: Provider) -> frozenset[str]:
        """Returns the book's models of a provider."""
        return self._book[provider]

    def resolve(self, model: str, endpoints: Iterable[Endpoint] = ()) -> Resolved:
        """Returns what a unified model name means; raises ModelUnknown, which says where else to look.

        `endpoints` are those that the caller's tenant may use (`Directory.endpoints_for`).
        """
        known = tuple(endpoints)
        for provider in self._unified:
            if provider is not AGGREGATOR and self._has(provider, model, known):
                return Resolved(provider, model)
        named, _, native = model.partition("/")
        provider_named = _NAMES.get(named)
        if provider_named is None or not native:
            return self._loosely(model, known)
        if provider_named not in self._unified:
            raise ModelUnknown(f"{named} is reachable natively, below its own path, not at the unified one.")
        if not (self._has(provider_named, native, known) or self._spells(provider_named, native)):
            raise ModelUnknown
        return Resolved(provider_named, native)

    def _loosely(self, model: str, known: tuple[Endpoint, ...]) -> Resolved:
        """Resolves a bare name that no list has: the aggregator's, or a dated spelling of a listed one."""
        if AGGREGATOR in self._unified and self._has(AGGREGATOR, model, known):
            return Resolved(AGGREGATOR, model)
        for provider in self._unified if "/" not in model else ():
            if self._spells(provider, model):
                return Resolved(provider, model)
        raise ModelUnknown

    def _spells(self, provider: Provider, model: str) -> bool:
        """Says whether the book covers a spelling; its clauses know no case, providers' names are lower case."""
        return model == model.lower() and self._covers(provider.value, model)

    def serving(self, candidates: tuple[Candidate, ...], model: str) -> tuple[Candidate, ...]:
        """Returns the candidates whose endpoint serves the model: the same tuple if all do."""
        fit = tuple(one for one in candidates if self.serves(one.endpoint, model))
        return candidates if len(fit) == len(candidates) else fit

    def models(
        self,
        usable: Mapping[Provider, tuple[Candidate, ...]],
        endpoints: Iterable[Endpoint],
        allows: Callable[[Provider, str], bool],
    ) -> tuple[Listed, ...]:
        """Returns every model that the unified front would dispatch, once each, by name.

        `usable` are the caller's candidates, `allows` is what the scope permits.
        """
        known = tuple(endpoints)
        lines: list[Listed] = []
        for provider in self._unified:
            candidates = usable.get(provider, ())
            served = {model for one in candidates for model in one.endpoint.models} | self._book[provider]
            for model in served if candidates else ():
                name = self._name(Resolved(provider, model), known)
                if name is not None and allows(provider, model) and self.serving(candidates, model):
                    lines.append(Listed(name, provider, model))
        return tuple(sorted(lines, key=lambda line: line.id))

    def _name(self, resolved: Resolved, endpoints: tuple[Endpoint, ...]) -> str | None:
        """Returns the shortest name that resolves to the model."""
        for name in (resolved.model, f"{resolved.provider.value}/{resolved.model}"):
            if self._means(name, endpoints) == resolved:
                return name
        return None

    def _means(self, name: str, endpoints: tuple[Endpoint, ...]) -> Resolved | None:
        try:
            return self.resolve(name, endpoints)
        except ModelUnknown:
            return None

    def _has(self, provider: Provider, model: str, endpoints: tuple[Endpoint, ...]) -> bool:
        if model in self._book[provider]:
            return True
        return any(one.provider is provider and model in one.models for one in endpoints)
