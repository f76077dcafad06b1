"""Permitting: restrictions intersect over tenant, project and workload; no scope loosens its parent."""

import fnmatch
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenone.errors import DeniedError, GrantMissing, ModelDenied, PathDenied, ProviderDenied
from tokenone.rows import Project, Restrictions, Tenant, Workload
from tokenone.scope import Caller, allowed_models, identify, permit
from tokenone.scope.rules import Patterns, intersect
from tokenone.types import PathClass, Provider

INFERENCE = PathClass.INFERENCE
names = st.text("ab-/", min_size=0, max_size=6)
patterns = st.text("ab-/*", min_size=0, max_size=6) | st.sampled_from(["*", "openai/*", "openai/a*", "*/a*"])
providers = st.sampled_from([Provider.OPENAI, Provider.ANTHROPIC, Provider.OPENROUTER])
restrictions = st.builds(
    Restrictions,
    models=st.none() | st.lists(patterns, max_size=3).map(tuple),
    providers=st.none() | st.lists(providers.map(str), max_size=2).map(tuple),
)


def _caller(world: Any, **token: Any) -> Caller:
    text = world.token(**token).text
    return identify(
        world.directory, world.pepper, headers=[(b"x-api-key", text.encode())], target=b"/", peer="192.0.2.1",
        now_us=world.clock.now_us(),
    )  # fmt: skip


def _allowed(rules: Any, provider: Provider, model: str) -> bool:
    return rules.allow_provider(provider) and rules.allow_model(provider, model)


@given(st.lists(restrictions, min_size=1, max_size=3), restrictions, providers, names)
def test_no_scope_loosens_its_parent(
    parents: list, child: Restrictions, provider: Provider, model: str
) -> None:
    if _allowed(intersect([*parents, child]), provider, model):
        assert _allowed(intersect(parents), provider, model)
        assert _allowed(intersect([child]), provider, model)


@given(st.lists(restrictions, max_size=3), providers, names)
def test_what_every_scope_allows_is_allowed(levels: list, provider: Provider, model: str) -> None:
    each = all(_allowed(intersect([level]), provider, model) for level in levels)
    assert _allowed(intersect(levels), provider, model) is each


@given(st.permutations([0, 1, 2]), st.lists(restrictions, min_size=3, max_size=3), providers, names)
def test_the_order_of_the_levels_does_not_matter(
    order: list, levels: list, provider: Provider, model: str
) -> None:
    shuffled = [levels[place] for place in order]
    assert _allowed(intersect(levels), provider, model) is _allowed(intersect(shuffled), provider, model)


@given(st.text("ab-/*", max_size=8), st.text("ab-/", max_size=10))
def test_a_star_matches_as_a_glob_does(pattern: str, model: str) -> None:
    glob = re.compile(fnmatch.translate(pattern))
    expected = bool(glob.match(model) or glob.match(f"openai/{model}"))
    assert Patterns([pattern]).allow(Provider.OPENAI, model) is expected


@pytest.mark.parametrize(
    ("pattern", "provider", "model", "allowed"),
    [
        ("gpt-4o", Provider.OPENAI, "gpt-4o", True),
        ("gpt-4o", Provider.AZURE, "gpt-4o", True),
        ("gpt-4o", Provider.OPENAI, "gpt-4o-mini", False),
        ("gpt-4o", Provider.OPENAI, "GPT-4o", False),
        ("gpt-4o*", Provider.OPENAI, "gpt-4o-mini", True),
        ("*-mini", Provider.OPENAI, "gpt-4o-mini", True),
        ("*-mini", Provider.OPENAI, "gpt-4o-mini-2", False),
        ("g*o*i", Provider.OPENAI, "gpt-4o-mini", True),
        ("openai/*", Provider.OPENAI, "gpt-4o", True),
        ("openai/*", Provider.AZURE, "gpt-4o", False),
        ("openai/*", Provider.OPENROUTER, "openai/gpt-4o", False),
        ("openrouter/openai/*", Provider.OPENROUTER, "openai/gpt-4o", True),
        ("openrouter/*", Provider.OPENROUTER, "meta/llama", True),
        ("meta/*", Provider.OPENROUTER, "meta/llama", True),
        ("*/gpt-4o", Provider.AZURE, "gpt-4o", True),
        ("*", Provider.CUSTOM, "anything/at:all", True),
        ("", Provider.OPENAI, "", True),
        ("", Provider.OPENAI, "gpt-4o", False),
        ("gpt-4?", Provider.OPENAI, "gpt-4o", False),
        ("gpt-[45]", Provider.OPENAI, "gpt-4", False),
        (":gpt-4o", Provider.OPENAI, "gpt-4o", False),
        ("=openai/gpt-4o", Provider.OPENAI, "gpt-4o", False),
        ("a*a", Provider.OPENAI, "a", False),
    ],
)
def test_a_pattern_means_what_the_specification_says(
    pattern: str, provider: Provider, model: str, allowed: bool
) -> None:
    assert Patterns([pattern]).allow(provider, model) is allowed


def test_a_hostile_pattern_costs_no_more_than_its_length() -> None:
    pattern, model = "*a" * 200 + "b", "a" * 20_000
    start = time.process_time()
    assert not Patterns([pattern]).allow(Provider.OPENAI, model)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize(
    ("path_class", "grants", "refusal"),
    [
        (INFERENCE, ("inference",), None),
        (INFERENCE, (), GrantMissing),
        (INFERENCE, ("stateful",), GrantMissing),
        (PathClass.STATEFUL, ("inference",), GrantMissing),
        (PathClass.STATEFUL, ("stateful",), None),
        (PathClass.FREE, (), None),
        (PathClass.ADMIN, ("inference", "stateful", "admin"), PathDenied),
    ],
)
def test_a_class_of_paths_needs_its_grant(
    world: Any, path_class: PathClass, grants: tuple, refusal: type[DeniedError] | None
) -> None:
    caller = _caller(world, grants=grants)
    if refusal is None:
        permit(world.directory, caller, Provider.OPENAI, "gpt-4o", path_class)
        return
    with pytest.raises(refusal):
        permit(world.directory, caller, Provider.OPENAI, "gpt-4o", path_class)


def test_each_level_can_refuse_and_an_edit_counts_at_once(world: Any) -> None:
    caller = _caller(world)
    permit(world.directory, caller, Provider.OPENAI, "gpt-4o", INFERENCE)
    only_claude = Restrictions(models=("claude-*",))
    only_anthropic = Restrictions(providers=("anthropic",))
    rows = {
        "tenant": lambda row: Tenant("acme", "acme", restrictions=row),
        "project": lambda row: Project("shop", "acme", "shop", restrictions=row),
        "workload": lambda row: Workload("bot", "acme", "shop", "bot", restrictions=row),
    }
    for build in rows.values():
        world.feed(build(only_claude))
        with pytest.raises(ModelDenied):
            permit(world.directory, caller, Provider.OPENAI, "gpt-4o", INFERENCE)
        world.feed(build(only_anthropic))
        with pytest.raises(ProviderDenied):
            permit(world.directory, caller, Provider.OPENAI, "gpt-4o", INFERENCE)
        world.feed(build(Restrictions()))
        permit(world.directory, caller, Provider.OPENAI, "gpt-4o", INFERENCE)


def test_a_scope_whose_row_is_gone_allows_nothing(world: Any) -> None:
    caller = _caller(world)
    world.remove("Project", "shop")
    with pytest.raises(ProviderDenied):
        permit(world.directory, caller, Provider.OPENAI, "gpt-4o", INFERENCE)
    assert allowed_models(world.directory, caller, Provider.OPENAI, ["gpt-4o"]) == ()


def test_an_inference_call_that_names_no_model_is_refused_where_models_are_listed(world: Any) -> None:
    caller = _caller(world, grants=("inference", "stateful"))
    permit(world.directory, caller, Provider.OPENAI, None, INFERENCE)
    world.feed(Workload("bot", "acme", "shop", "bot", restrictions=Restrictions(models=("gpt-*",))))
    with pytest.raises(ModelDenied):
        permit(world.directory, caller, Provider.OPENAI, None, INFERENCE)
    permit(world.directory, caller, Provider.OPENAI, None, PathClass.FREE)
    permit(world.directory, caller, Provider.OPENAI, None, PathClass.STATEFUL)


@given(st.lists(restrictions, min_size=3, max_size=3), st.lists(names, max_size=5), providers, st.booleans())
@settings(deadline=None)
def test_allowed_models_are_exactly_those_that_permit_lets_pass(
    worlds: Any, levels: list, models: list, provider: Provider, granted: bool
) -> None:
    world = worlds.with_acme()
    world.feed(
        Tenant("acme", "acme", restrictions=levels[0]),
        Project("shop", "acme", "shop", restrictions=levels[1]),
        Workload("bot", "acme", "shop", "bot", restrictions=levels[2]),
    )
    caller = _caller(world, grants=("inference",) if granted else ())

    def passes(model: str) -> bool:
        try:
            permit(world.directory, caller, provider, model, INFERENCE)
        except DeniedError:
            return False
        return True

    assert allowed_models(world.directory, caller, provider, models) == tuple(filter(passes, models))
