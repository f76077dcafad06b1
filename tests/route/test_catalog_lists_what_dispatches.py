"""The catalogue: what a unified name means, and a list that is exactly what would be dispatched."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.errors import DeniedError, ModelUnknown
from tokenone.route.catalog import Catalog, Resolved
from tokenone.route.plan import plan
from tokenone.rows import Candidate, Endpoint, Key, KeyVersion
from tokenone.types import KeyState, Provider

BOOK = {
    "openai": ("gpt-4o", "gpt-5", "openai/odd"),
    "anthropic": ("claude-5",),
    "azure": ("gpt-4o", "az-only"),
}
PRESET = Endpoint("preset", None, Provider.OPENAI, "openai", ("https://api.openai.com",))
TUNED = Endpoint("tuned", "t", Provider.OPENAI, "tuned", ("https://llm.example",), models=("ft:gpt-4o:acme",))


def _candidate(key_id: str, endpoint: Endpoint) -> Candidate:
    key = Key(key_id, "t", endpoint.provider, endpoint.id, key_id)
    return Candidate(key, KeyVersion(key_id, 1, KeyState.ACTIVE, b"e", "m", 0), endpoint, "tenant", 100, 0)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("gpt-4o", "gpt-4o"),
        ("openai/gpt-4o", "gpt-4o"),
        ("openai/odd", "openai/odd"),
        ("ft:gpt-4o:acme", "ft:gpt-4o:acme"),
    ],
)
def test_a_known_name_resolves_bare_and_with_its_provider(name: str, model: str) -> None:
    assert Catalog(BOOK).resolve(name, (PRESET, TUNED)) == Resolved(Provider.OPENAI, model)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "gpt-9",
        "openai/",
        "openai/gpt-9",
        "/gpt-4o",
        "nobody/gpt-4o",
        "GPT-4o",
        "openai/openai/gpt-4o",
        "claude-5",
    ],
)
def test_a_name_that_no_catalogue_has_is_unknown(name: str) -> None:
    with pytest.raises(ModelUnknown):
        Catalog(BOOK).resolve(name, (PRESET,))


@pytest.mark.parametrize("provider", [one for one in Provider if one is not Provider.OPENAI])
def test_a_provider_that_the_unified_front_does_not_speak_to_yet_is_named(provider: Provider) -> None:
    with pytest.raises(ModelUnknown, match=f"{provider.value} is reachable natively"):
        Catalog(BOOK).resolve(f"{provider.value}/claude-5")


def test_a_bare_name_means_the_first_unified_provider_that_has_it() -> None:
    both = Catalog(BOOK, (Provider.AZURE, Provider.OPENAI))
    assert both.resolve("gpt-4o").provider is Provider.AZURE
    assert both.resolve("gpt-5").provider is Provider.OPENAI
    assert both.resolve("openai/gpt-4o") == Resolved(Provider.OPENAI, "gpt-4o")


def test_an_endpoints_own_model_is_served_by_that_endpoint_alone() -> None:
    catalog = Catalog(BOOK)
    both = (_candidate("a", PRESET), _candidate("b", TUNED))
    assert catalog.serving(both, "gpt-4o") is both
    assert [one.key.id for one in catalog.serving(both, "ft:gpt-4o:acme")] == ["b"]
    assert catalog.serving(both[:1], "ft:gpt-4o:acme") == ()


names = st.sampled_from(["gpt-4o", "gpt-5", "az-only", "claude-5", "ft:x", "ft:y", "openai/gpt-5", "a/b"])
models = st.lists(names, unique=True, max_size=4).map(tuple)
unified = st.lists(
    st.sampled_from([Provider.OPENAI, Provider.AZURE, Provider.OPENROUTER]), unique=True, max_size=3
)
books = st.dictionaries(st.sampled_from(["openai", "azure", "openrouter", "anthropic"]), models)
endpoints = st.lists(
    st.builds(
        Endpoint, st.integers(0, 9).map(str), st.just("t"), st.sampled_from([Provider.OPENAI, Provider.AZURE]),
        st.just("n"), st.just(()), models=models,
    ),
    max_size=4, unique_by=lambda one: one.id,
)  # fmt: skip


@given(books, unified, endpoints, st.data())
def test_a_model_is_listed_exactly_if_naming_it_gives_a_plan(
    book: dict, speaks: list, known: list, data: st.DataObject
) -> None:
    catalog = Catalog(book, speaks)
    usable: dict[Provider, tuple[Candidate, ...]] = {}
    for number, endpoint in enumerate(known):
        if data.draw(st.booleans()):
            found = usable.get(endpoint.provider, ())
            usable[endpoint.provider] = (*found, _candidate(f"k{number}", endpoint))
    refused = data.draw(st.sets(st.tuples(st.sampled_from(list(Provider)), names), max_size=4))

    def allows(provider: Provider, model: str) -> bool:
        return (provider, model) not in refused

    def dispatched(name: str) -> Any:
        """What the unified front does with a name, step by step."""
        try:
            resolved = catalog.resolve(name, known)
        except (ModelUnknown, DeniedError):
            return None
        if not allows(resolved.provider, resolved.model):
            return None
        candidates = catalog.serving(usable.get(resolved.provider, ()), resolved.model)
        return (resolved.provider, resolved.model) if plan(candidates, seed=1).attempts else None

    lines = catalog.models(usable, known, allows)
    listed = {(line.provider, line.model) for line in lines}
    assert len(listed) == len(lines)
    assert [line.id for line in lines] == sorted(line.id for line in lines)
    for line in lines:
        assert dispatched(line.id) == (line.provider, line.model)
    bare = [name for one in [*book.values(), *(one.models for one in known)] for name in one]
    tried = {*bare, *(f"{provider.value}/{name}" for provider in Provider for name in bare)}
    assert {dispatched(name) for name in tried} - {None} == listed
