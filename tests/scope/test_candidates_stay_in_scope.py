"""Candidates: the nearest scope's usable keys, nothing of another tenant, whatever the rows say."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokenone.clock import HOUR_US, FrozenClock
from tokenone.errors import IntegrityError, KeyUnusable, NoKeyInScope
from tokenone.rows import (
    Assignment,
    Candidate,
    Delta,
    Endpoint,
    Key,
    KeyVersion,
    Project,
    Removed,
    Row,
    Tenant,
    Workload,
)
from tokenone.scope import Directory, Fitness
from tokenone.types import KeyState, Provider, Scope
from tokenone.vault import life

BOT = Scope("acme", "shop", "bot")


# ── nearest wins ───────────────────────────────────────────────────────────────────────────────────────
def test_a_workloads_key_wins_over_its_projects_and_its_tenants(world: Any) -> None:
    for key_id, kind, scope in [
        ("k1", "tenant", "acme"),
        ("k2", "project", "shop"),
        ("k3", "workload", "bot"),
    ]:
        world.key(key_id)
        world.assign(key_id, kind, scope)
        assert world.keys() == [key_id]


def test_a_level_without_a_usable_key_leaves_the_word_to_the_next(world: Any) -> None:
    world.key("near", state=KeyState.SUSPENDED)
    world.key("far")
    world.assign("near", "workload", "bot")
    world.assign("far", "tenant", "acme")
    assert world.keys() == ["far"]


def test_all_keys_of_the_nearest_level_come_by_priority_and_id(world: Any) -> None:
    for key_id, priority in [("k3", 0), ("k1", 1), ("k2", 0), ("k9", -1)]:
        world.key(key_id)
        world.assign(key_id, "project", "shop", priority=priority, weight=7)
    assert world.keys() == ["k9", "k2", "k3", "k1"]


def test_a_key_granted_twice_at_one_level_is_one_candidate_at_its_best_grant(world: Any) -> None:
    world.key("k1")
    world.assign("k1", "project", "shop", priority=3)
    world.feed(Assignment("other", "k1", "project", "shop", weight=5, priority=1))
    found = world.directory.candidates(BOT, Provider.OPENAI, world.clock.now_us(), "live")
    assert [(one.key.id, one.priority, one.weight) for one in found] == [("k1", 1, 5)]


def test_a_tokens_mode_and_the_asked_provider_select_keys(world: Any) -> None:
    world.key("live")
    world.key("dev", mode="dev")
    world.key("claude", provider=Provider.ANTHROPIC)
    for key_id in ("live", "dev", "claude"):
        world.assign(key_id, "workload", "bot")
    assert world.keys() == ["live"]
    assert world.keys(mode="dev") == ["dev"]
    assert world.keys(provider=Provider.ANTHROPIC) == ["claude"]
    with pytest.raises(NoKeyInScope):
        world.keys(provider=Provider.ANTHROPIC, mode="dev")


# ── deny when none, and say which none ─────────────────────────────────────────────────────────────────
def test_nothing_assigned_and_nothing_usable_are_told_apart(world: Any) -> None:
    with pytest.raises(NoKeyInScope):
        world.keys()
    world.key("k1")
    with pytest.raises(NoKeyInScope):
        world.keys()
    world.assign("k1", "tenant", "acme")
    assert world.keys() == ["k1"]
    world.key("k1", state=KeyState.COMPROMISED)
    with pytest.raises(KeyUnusable):
        world.keys()


def test_another_workloads_key_is_nobodys_fallback(world: Any) -> None:
    world.scope("acme", "shop", "other-bot")
    world.key("k1")
    world.assign("k1", "workload", "other-bot")
    with pytest.raises(NoKeyInScope):
        world.keys()


# ── which version serves ───────────────────────────────────────────────────────────────────────────────
def _version(world: Any) -> int:
    found = world.directory.candidates(BOT, Provider.OPENAI, world.clock.now_us(), "live")
    return found[0].version.version


def test_the_newest_version_serves_and_the_old_one_takes_over_again_on_roll_back(world: Any) -> None:
    world.key("k1")
    world.assign("k1", "workload", "bot")
    end = world.clock.now_us() + 24 * HOUR_US
    world.feed(world.version("k1", 1, state=KeyState.RETIRING, retire_us=end), world.version("k1", 2))
    assert _version(world) == 2
    world.feed(world.version("k1", 1), world.version("k1", 2, state=KeyState.RETIRING, retire_us=end))
    assert _version(world) == 1
    world.feed(world.version("k1", 1, state=KeyState.COMPROMISED))
    assert _version(world) == 2


@pytest.mark.parametrize(
    "state", [KeyState.PENDING, KeyState.RETIRED, KeyState.DESTROYED, KeyState.SUSPENDED]
)
def test_a_version_that_may_not_be_leased_is_no_candidate(world: Any, state: KeyState) -> None:
    world.key("k1")
    world.assign("k1", "workload", "bot")
    world.feed(world.version("k1", 1, state=state))
    with pytest.raises(KeyUnusable):
        world.keys()


# ── time, without a delta ──────────────────────────────────────────────────────────────────────────────
def test_deadlines_count_at_their_microsecond_though_the_answer_is_remembered(world: Any) -> None:
    start = world.clock.now_us()
    world.key("near", expires_us=start + HOUR_US)
    world.key("next")
    world.key("far")
    world.feed(world.version("next", 1, active_us=start + 2 * HOUR_US, retire_us=start + 3 * HOUR_US))
    world.assign("near", "workload", "bot")
    world.assign("next", "project", "shop")
    world.assign("far", "tenant", "acme")
    seen = {}
    for hour in range(4):
        world.clock.advance(start + hour * HOUR_US - 1 - world.clock.now_us() if hour else 0)
        seen[hour, "before"] = world.keys()
        world.clock.advance(1 if hour else 0)
        seen[hour, "at"] = world.keys()
    assert [seen[hour, "at"] for hour in range(4)] == [["near"], ["far"], ["next"], ["far"]]
    assert [seen[hour, "before"] for hour in range(1, 4)] == [["near"], ["far"], ["next"]]


def test_a_clock_that_is_set_back_does_not_meet_an_answer_from_the_future(world: Any) -> None:
    world.key("k1", expires_us=world.clock.now_us() + HOUR_US)
    world.assign("k1", "workload", "bot")
    world.clock.jump(HOUR_US)
    with pytest.raises(KeyUnusable):
        world.keys()
    world.clock.jump(-HOUR_US)
    assert world.keys() == ["k1"]


# ── memory of answers ──────────────────────────────────────────────────────────────────────────────────
def test_the_same_tuple_is_given_until_a_delta_touches_the_tenant(world: Any) -> None:
    world.key("k1")
    world.assign("k1", "workload", "bot")
    first = world.directory.candidates(BOT, Provider.OPENAI, world.clock.now_us(), "live")
    world.scope("unrelated", "p", "w")
    world.token()
    again = world.directory.candidates(BOT, Provider.OPENAI, world.clock.now_us(), "live")
    assert again is first
    world.key("k1")
    assert world.directory.candidates(BOT, Provider.OPENAI, world.clock.now_us(), "live") is not first


def test_reassigning_takes_effect_with_the_delta_and_needs_no_secret(world: Any) -> None:
    world.scope("acme", "shop", "other-bot")
    world.key("k1")
    grant = world.assign("k1", "workload", "bot")
    assert world.keys() == ["k1"]
    world.feed(Assignment(grant.id, "k1", "workload", "other-bot"))
    with pytest.raises(NoKeyInScope):
        world.keys()
    assert world.keys(Scope("acme", "shop", "other-bot")) == ["k1"]
    world.remove("Assignment", grant.id)
    with pytest.raises(NoKeyInScope):
        world.keys(Scope("acme", "shop", "other-bot"))


def test_a_delta_says_which_keys_and_tokens_it_touched(world: Any) -> None:
    minted = world.token()
    key = world.key("k1")
    assert world.feed(key).keys == {"k1"}
    assert world.feed(world.version("k1", 2)).keys == {"k1"}
    assert world.remove("Token", minted.id).tokens == {minted.id}
    assert world.remove("Key", "k1").keys == {"k1"}


def test_a_delta_with_an_unknown_table_changes_nothing(world: Any) -> None:
    before = world.directory.revision
    with pytest.raises(IntegrityError):
        world.feed(Tenant("new", "new"), removed=(Removed("Tenant", "acme"), Removed("Nonsense", "x")))
    assert world.directory.tenant("acme") is not None
    assert world.directory.tenant("new") is None
    assert world.directory.revision == before


def test_removing_what_is_not_there_is_no_error(world: Any) -> None:
    for table in ("Tenant", "Project", "Workload", "Endpoint", "Key", "Assignment", "Token"):
        world.remove(table, "no-such-row")
    assert world.directory.tenant("acme") is not None


def test_rows_are_found_by_id_and_by_owner(world: Any) -> None:
    own = Endpoint("ep_own", "acme", Provider.CUSTOM, "own", ("https://llm.internal",))
    foreign = Endpoint("ep_foreign", "other", Provider.CUSTOM, "own", ("https://llm.other",))
    world.feed(own, foreign)
    world.key("k1")
    world.feed(world.version("k1", 3), world.version("k1", 2))
    directory = world.directory
    assert [one.version for one in directory.versions("k1")] == [1, 2, 3]
    assert [one.id for one in directory.keys_for("acme")] == ["k1"]
    assert not directory.keys_for("other")
    assert {one.id for one in directory.endpoints_for("acme")} == {"ep_openai", "ep_anthropic", "ep_own"}
    assert (directory.key("nope"), directory.token("nope"), directory.kek("acme", 1)) == (None, None, None)


def test_a_directory_is_stale_until_fed_and_again_after_the_tenants_bound(world: Any, worlds: type) -> None:
    tenant = world.directory.tenant("acme")
    assert worlds().directory.stale(tenant, FrozenClock())
    assert not world.directory.stale(tenant, world.clock)
    world.clock.advance(tenant.staleness_us)
    assert not world.directory.stale(tenant, world.clock)
    world.clock.advance(1)
    assert world.directory.stale(tenant, world.clock)
    world.feed()
    assert not world.directory.stale(tenant, world.clock)


# ── hostile rows ───────────────────────────────────────────────────────────────────────────────────────
TENANTS, PROJECTS, WORKLOADS = ["t0", "t1"], ["p0", "p1"], ["w0", "w1", "w2"]
KEYS, ENDPOINTS = ["k0", "k1", "k2", "k3"], ["e0", "e1"]
PROVIDERS = [Provider.OPENAI, Provider.ANTHROPIC]
T0 = 1_790_000_000_000_000
moments = st.none() | st.integers(0, 6).map(lambda hour: T0 + hour * HOUR_US)
pick = st.sampled_from

hostile_rows = st.one_of(
    st.builds(Tenant, pick(TENANTS), st.just("n")),
    st.builds(Project, pick(PROJECTS), pick(TENANTS), st.just("n")),
    st.builds(Workload, pick(WORKLOADS), pick(TENANTS), pick(PROJECTS), st.just("n")),
    st.builds(Endpoint, pick(ENDPOINTS), pick([None, *TENANTS]), pick(PROVIDERS), st.just("n"), st.just(())),
    st.builds(
        Key, pick(KEYS), pick(TENANTS), pick(PROVIDERS), pick(ENDPOINTS), st.just("n"),
        pick(["live", "dev"]), pick([KeyState.ACTIVE, KeyState.ACTIVE, KeyState.SUSPENDED]), moments,
    ),
    st.builds(
        KeyVersion, pick(KEYS), pick([1, 2]), pick(list(KeyState)), pick([b"e", b""]), st.just("m"),
        st.just(0), moments, moments,
    ),
    st.builds(
        Assignment, pick(["a0", "a1", "a2", "a3", "a4"]), pick(KEYS), pick(["tenant", "project", "workload"]),
        pick(TENANTS + PROJECTS + WORKLOADS), st.integers(-1, 3), st.integers(-1, 1),
    ),
)  # fmt: skip
removals = st.one_of(
    st.builds(Removed, st.just("Tenant"), pick(TENANTS)),
    st.builds(Removed, st.just("Project"), pick(PROJECTS)),
    st.builds(Removed, st.just("Workload"), pick(WORKLOADS)),
    st.builds(Removed, st.just("Endpoint"), pick(ENDPOINTS)),
    st.builds(Removed, st.just("Key"), pick(KEYS)),
    st.builds(Removed, st.just("Assignment"), pick(["a0", "a1", "a2", "a3", "a4"])),
)
good_start: tuple[Row, ...] = (
    Tenant("t0", "n"), Tenant("t1", "n"), Project("p0", "t0", "n"), Project("p1", "t1", "n"),
    Workload("w0", "t0", "p0", "n"), Workload("w1", "t1", "p1", "n"), Workload("w2", "t0", "p0", "n"),
    Endpoint("e0", None, Provider.OPENAI, "n", ()), Endpoint("e1", "t1", Provider.OPENAI, "n", ()),
    *(Key(key, tenant, Provider.OPENAI, "e0", "n") for key, tenant in zip(KEYS, ["t0", "t1", "t0", "t1"], strict=True)),
    *(KeyVersion(key, 1, KeyState.ACTIVE, b"e", "m", 0) for key in KEYS),
    *(Assignment(f"a{n}", f"k{n}", kind, scope) for n, (kind, scope) in enumerate(
        [("tenant", "t0"), ("project", "p1"), ("workload", "w0"), ("tenant", "t1")])),
)  # fmt: skip
steps = st.lists(
    st.tuples(st.lists(hostile_rows, max_size=3), st.lists(removals, max_size=1), st.integers(-1, 2)),
    max_size=12,
)


def _leasable(key: Key, version: KeyVersion, now_us: int) -> bool:
    return life.leasable(life.state_at(key, version, now_us))


def _identity(row: Row) -> tuple[str, object]:
    if isinstance(row, KeyVersion):
        return "KeyVersion", (row.key, row.version)
    return type(row).__name__, row.id


class Oracle:
    """Every row in a list and the law written out, slowly."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, object], Row] = {}

    def take(self, rows: list[Row], removed: list[Removed]) -> None:
        for one in removed:
            self.rows.pop((one.table, one.id), None)
        for row in rows:
            self.rows[_identity(row)] = row

    def candidates(self, scope: Scope, provider: Provider, now_us: int, mode: str) -> object:
        tenant, project, workload = (
            self.rows.get(("Tenant", scope.tenant)),
            self.rows.get(("Project", scope.project)),
            self.rows.get(("Workload", scope.workload)),
        )
        fit = None not in (tenant, project, workload)
        if (
            not fit
            or workload.project != scope.project
            or {workload.tenant, project.tenant} != {scope.tenant}
        ):
            return NoKeyInScope
        assigned = False
        for kind, scope_id in zip(
            ("workload", "project", "tenant"), reversed(list(scope_ids(scope))), strict=True
        ):
            usable = set()
            for grant in (row for row in self.rows.values() if isinstance(row, Assignment)):
                if (grant.kind, grant.scope) != (kind, scope_id):
                    continue
                key = self.rows.get(("Key", grant.key))
                if key is None or (key.tenant, key.provider, key.mode) != (scope.tenant, provider, mode):
                    continue
                endpoint = self.rows.get(("Endpoint", key.endpoint))
                if (
                    endpoint is None
                    or endpoint.provider != key.provider
                    or endpoint.tenant not in (None, key.tenant)
                ):
                    continue
                assigned = True
                versions = [
                    row for row in self.rows.values() if isinstance(row, KeyVersion) and row.key == key.id
                ]
                if any(_leasable(key, version, now_us) for version in versions):
                    usable.add(key.id)
            if usable:
                return kind, frozenset(usable)
        return KeyUnusable if assigned else NoKeyInScope


def scope_ids(scope: Scope) -> tuple[str, str, str]:
    return scope.tenant, scope.project, scope.workload


def _asked(directory: Directory, scope: Scope, provider: Provider, now_us: int, mode: Any) -> object:
    try:
        found = directory.candidates(scope, provider, now_us, mode)
    except (NoKeyInScope, KeyUnusable) as refusal:
        return type(refusal)
    _assert_own(found, scope, provider, now_us)
    considered = directory.survey(scope, provider, now_us, mode)
    usable = {one.assignment.key for one in considered if one.fitness is Fitness.USABLE}
    assert usable == {one.key.id for one in found}
    return found[0].level, frozenset(one.key.id for one in found)


def _assert_own(found: tuple[Candidate, ...], scope: Scope, provider: Provider, now_us: int) -> None:
    assert list(found) == sorted(found, key=lambda one: (one.priority, one.key.id))
    assert len({one.key.id for one in found}) == len(found)
    for one in found:
        assert one.key.tenant == scope.tenant
        assert one.endpoint.tenant in (None, scope.tenant)
        assert one.version.key == one.key.id
        assert one.key.provider == one.endpoint.provider == provider
        assert _leasable(one.key, one.version, now_us)
        assert one.weight >= 0


@given(steps)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_rows_come_a_remembering_directory_answers_as_the_law_written_out(history: list) -> None:
    """Hostile and dangling references, moves between tenants, removals, time forwards and backwards."""
    clock, oracle = FrozenClock(T0), Oracle()
    directory = Directory(_leasable, clock)
    history = [(list(good_start), [], 0), *history]
    for revision, (rows, removed, hours) in enumerate(history, 1):
        directory.apply(Delta(revision, clock.now_us(), tuple(rows), tuple(removed)))
        oracle.take(rows, removed)
        for _ in range(2):
            now_us = clock.now_us()
            for tenant in TENANTS:
                for project, workload in [("p0", "w0"), ("p1", "w1"), ("p0", "w2")]:
                    scope = Scope(tenant, project, workload)
                    for provider, mode in [
                        (PROVIDERS[0], "live"),
                        (PROVIDERS[1], "live"),
                        (PROVIDERS[0], "dev"),
                    ]:
                        assert _asked(directory, scope, provider, now_us, mode) == oracle.candidates(
                            scope, provider, now_us, mode
                        )
            clock.jump(hours * HOUR_US)


def test_the_law_written_out_finds_something_to_decide() -> None:
    oracle = Oracle()
    oracle.take(list(good_start), [])
    assert oracle.candidates(Scope("t0", "p0", "w0"), Provider.OPENAI, T0, "live") == ("workload", {"k2"})
    assert oracle.candidates(Scope("t0", "p0", "w2"), Provider.OPENAI, T0, "live") == ("tenant", {"k0"})
    assert oracle.candidates(Scope("t1", "p1", "w1"), Provider.OPENAI, T0, "live") == ("project", {"k1"})
