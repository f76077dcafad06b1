"""lease(): the only way to a plaintext, decided anew each time, remembered for a minute at most."""

from __future__ import annotations

import time
from typing import Any

import pytest
from msgspec.structs import replace

from tokenone.clock import DAY_US, MINUTE_US, SECOND_US, AnchoredClock, FrozenClock
from tokenone.errors import KeyUnusable, RootRefused, RootUnavailable, Unopenable
from tokenone.secret import reveal
from tokenone.types import KeyState, Provider
from tokenone.vault import kek as kek_module
from tokenone.vault.keks.local import LocalRoot
from tokenone.vault.lease import MOST_LEASES
from tokenone.vault.recent import Recent


class CountingRoot:
    """A real local root that counts, and that can go away or refuse."""

    uri, purpose, id = "local:test", "vault", "local:test"

    def __init__(self) -> None:
        self._root = LocalRoot(self.uri, "vault", self.id, bytes(32))
        self.unwrapped = 0
        self.error: Exception | None = None

    def wrap(self, plaintext: bytes, context: bytes) -> bytes:
        return self._root.wrap(plaintext, context)

    def unwrap(self, blob: bytes, context: bytes) -> bytes:
        if self.error is not None:
            raise self.error
        self.unwrapped += 1
        return self._root.unwrap(blob, context)

    def describe(self) -> str:
        return self._root.describe()


def test_a_lease_gives_the_secret_that_was_taken_in(house: Any) -> None:
    key, endpoint = house.key(), house.endpoint()
    version = house.bring(key, endpoint)
    lease = house.vault.lease(key, version, endpoint, mode="live")
    assert reveal(lease.secret) == house.secret
    assert (lease.key_id, lease.version) == ("key_1", 1)
    assert repr(lease) == "Lease(key_id='key_1', version=1)"


def test_a_second_lease_within_a_minute_opens_nothing_and_a_later_one_does(house: Any) -> None:
    key, endpoint = house.key(), house.endpoint()
    version = house.bring(key, endpoint)
    first = house.vault.lease(key, version, endpoint, mode="live")
    house.clock.advance(MINUTE_US - 1)
    assert house.vault.lease(key, version, endpoint, mode="live") is first
    house.clock.advance(1)
    assert house.vault.lease(key, version, endpoint, mode="live") is not first


@pytest.mark.parametrize("state", [s for s in KeyState if s not in (KeyState.ACTIVE, KeyState.RETIRING)])
def test_a_state_that_does_not_serve_is_refused_before_the_cache_is_looked_at(
    house: Any, state: KeyState
) -> None:
    key, endpoint = house.key(), house.endpoint()
    version = house.bring(key, endpoint)
    house.vault.lease(key, version, endpoint, mode="live")
    with pytest.raises(KeyUnusable, match=state.value):
        house.vault.lease(key, replace(version, state=state), endpoint, mode="live")


def test_a_refusal_drops_what_was_held(house: Any) -> None:
    key, endpoint = house.key(), house.endpoint()
    version = house.bring(key, endpoint)
    first = house.vault.lease(key, version, endpoint, mode="live")
    with pytest.raises(KeyUnusable):
        house.vault.lease(replace(key, state=KeyState.SUSPENDED), version, endpoint, mode="live")
    assert house.vault.lease(key, version, endpoint, mode="live") is not first


def test_a_deadline_ends_a_lease_by_time_without_any_job(house: Any) -> None:
    key, endpoint = house.key(), house.endpoint()
    end = house.clock.now_us() + DAY_US
    version = house.bring(key, endpoint, state=KeyState.RETIRING, retire_us=end)
    house.clock.advance(DAY_US - 1)
    assert house.vault.lease(key, version, endpoint, mode="live")
    house.clock.advance(1)
    with pytest.raises(KeyUnusable, match="retired"):
        house.vault.lease(key, version, endpoint, mode="live")


@pytest.mark.parametrize(("key_mode", "token_mode"), [("live", "dev"), ("dev", "live")])
def test_dev_tokens_lease_dev_keys_and_live_tokens_live_keys_only(
    house: Any, key_mode: str, token_mode: str
) -> None:
    key, endpoint = house.key(mode=key_mode), house.endpoint()
    version = house.bring(key, endpoint)
    assert house.vault.lease(key, version, endpoint, mode=key_mode)
    with pytest.raises(KeyUnusable, match=f"for {key_mode} tokens only"):
        house.vault.lease(key, version, endpoint, mode=token_mode)


MOVED: list[dict[str, dict[str, Any]]] = [
    {"key": {"tenant": "tn_b"}},
    {"key": {"provider": Provider.AZURE}},
    {"key": {"id": "key_2"}},
    {"key": {"id": "key_2"}, "version": {"key": "key_2"}},
    {"key": {"endpoint": "ep_2"}},
    {"version": {"version": 2}},
    {"version": {"key": "key_2"}},
    {"endpoint": {"id": "ep_2"}},
    {"endpoint": {"origins": ("https://evil.example",)}},
    {"endpoint": {"origins": ("https://api.openai.com", "https://evil.example")}},
    {"endpoint": {"base_path": "/v2"}},
    {"key": {"endpoint": "ep_2"}, "endpoint": {"id": "ep_2", "origins": ("https://evil.example",)}},
]


@pytest.mark.parametrize("moved", MOVED)
@pytest.mark.parametrize("warm", [False, True])
def test_a_row_that_was_moved_does_not_open_not_even_from_the_cache(
    house: Any, moved: dict[str, dict[str, Any]], warm: bool
) -> None:
    key, endpoint = house.key(), house.endpoint()
    version = house.bring(key, endpoint)
    if warm:
        house.vault.lease(key, version, endpoint, mode="live")
    rows = {"key": key, "version": version, "endpoint": endpoint}
    rows |= {name: replace(rows[name], **change) for name, change in moved.items()}
    with pytest.raises(Unopenable) as caught:
        house.vault.lease(rows["key"], rows["version"], rows["endpoint"], mode="live")
    assert str(caught.value) == Unopenable.advice
    assert reveal(house.vault.lease(key, version, endpoint, mode="live").secret) == house.secret


def test_rows_that_were_replaced_by_equal_ones_still_hit_the_cache(house: Any) -> None:
    key, endpoint = house.key(), house.endpoint()
    version = house.bring(key, endpoint)
    first = house.vault.lease(key, version, endpoint, mode="live")
    again = house.vault.lease(
        house.key(name="renamed"), replace(version), house.endpoint(name="too"), mode="live"
    )
    assert again is first


def test_ten_thousand_envelopes_in_anothers_place_open_nothing(house: Any) -> None:
    endpoint = house.endpoint()
    keys = [house.key(id=f"key_{n}", tenant=("tn_a", "tn_b")[n % 2]) for n in range(50)]
    versions = [house.bring(key, endpoint, b"secret of %s" % key.id.encode()) for key in keys]
    opened = 0
    for turn in range(10_000):
        mine, other = turn % 50, (turn // 50) % 50
        row = replace(versions[mine], envelope=versions[other].envelope)
        try:
            lease = house.vault.lease(keys[mine], row, endpoint, mode="live")
        except Unopenable:
            assert mine != other
        else:
            opened += 1
            assert mine == other
            assert reveal(lease.secret) == b"secret of %s" % keys[mine].id.encode()
    assert opened == 200


def test_forgetting_a_key_leaves_the_others(house: Any) -> None:
    endpoint = house.endpoint()
    one, two = house.key(), house.key(id="key_2")
    rows = {key.id: house.bring(key, endpoint) for key in (one, two)}
    held = {key.id: house.vault.lease(key, rows[key.id], endpoint, mode="live") for key in (one, two)}
    house.vault.forget("key_1")
    assert house.vault.lease(one, rows["key_1"], endpoint, mode="live") is not held["key_1"]
    assert house.vault.lease(two, rows["key_2"], endpoint, mode="live") is held["key_2"]


def test_a_lapse_leaves_no_plaintext_that_is_older_than_a_minute(house: Any) -> None:
    key, endpoint = house.key(), house.endpoint()
    house.vault.lease(key, house.bring(key, endpoint), endpoint, mode="live")
    held = house.vault._leases._opened
    house.clock.advance(MINUTE_US)
    assert len(held) == 1
    house.vault.lapse()
    assert len(held) == 0


def test_a_hot_lease_costs_microseconds(house: Any) -> None:
    house.clock = AnchoredClock()
    vault = house.another_vault(house.root)
    key, endpoint = house.key(), house.endpoint()
    version = house.bring(key, endpoint)
    vault.lease(key, version, endpoint, mode="live")
    turns, best = 20_000, float("inf")
    for _ in range(5):
        start = time.perf_counter_ns()
        for _ in range(turns):
            vault.lease(key, version, endpoint, mode="live")
        best = min(best, (time.perf_counter_ns() - start) / turns / 1000)
    print(f"hot lease: {best:.2f} µs (2 allowed; the test allows 10 for a busy machine)")
    assert best < 10


# ── the bounded map ────────────────────────────────────────────────────────────────────────────────────
def test_the_map_never_exceeds_its_bound_and_forgets_the_least_recently_used() -> None:
    clock = FrozenClock()
    recent: Recent[int, str] = Recent(3, MINUTE_US, clock.monotonic_us)
    for number in range(3):
        recent.put(number, str(number))
    recent.get(0)
    recent.put(3, "3")
    assert [recent.get(number) for number in range(4)] == ["0", None, "2", "3"]
    for number in range(100):
        recent.put(number, "x")
        assert len(recent) <= 3
    assert MOST_LEASES == 10_000


def test_the_map_gives_nothing_out_at_or_after_its_deadline_and_use_does_not_extend_it() -> None:
    clock = FrozenClock()
    recent: Recent[str, str] = Recent(3, MINUTE_US, clock.monotonic_us)
    recent.put("a", "a")
    for _ in range(59):
        clock.advance(SECOND_US)
        assert recent.get("a") == "a"
    clock.advance(SECOND_US)
    assert recent.get("a") is None
    assert len(recent) == 0


def test_putting_sweeps_what_is_over() -> None:
    clock = FrozenClock()
    recent: Recent[int, str] = Recent(100, MINUTE_US, clock.monotonic_us)
    for number in range(50):
        recent.put(number, "x")
    clock.advance(MINUTE_US)
    recent.put(99, "x")
    assert len(recent) == 1


# ── KEKs ───────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def counted(house: Any) -> Any:
    house.counting = CountingRoot()
    house.vault = house.another_vault(house.counting)
    return house


def lease_cold(house: Any, version: Any) -> Any:
    house.vault.forget("key_1")
    return house.vault.lease(house.key(), version, house.endpoint(), mode="live")


def test_a_kek_is_unwrapped_once_in_five_minutes(counted: Any) -> None:
    version = counted.bring(counted.key(), counted.endpoint())
    for _ in range(20):
        lease_cold(counted, version)
    assert counted.counting.unwrapped == 1
    counted.clock.advance(kek_module.FRESH_US)
    lease_cold(counted, version)
    assert counted.counting.unwrapped == 2


def test_while_the_root_is_away_an_opened_kek_serves_for_a_grace_and_no_longer(counted: Any) -> None:
    version = counted.bring(counted.key(), counted.endpoint())
    counted.counting.error = RootUnavailable()
    counted.clock.advance(kek_module.FRESH_US + kek_module.GRACE_US - 1)
    assert reveal(lease_cold(counted, version).secret) == counted.secret
    counted.clock.advance(1)
    with pytest.raises(RootUnavailable):
        lease_cold(counted, version)
    counted.counting.error = None
    assert lease_cold(counted, version)


@pytest.mark.parametrize("error", [Unopenable(), RootRefused("gone")])
def test_a_root_that_refuses_ends_the_kek_at_once(counted: Any, error: Exception) -> None:
    version = counted.bring(counted.key(), counted.endpoint())
    counted.clock.advance(kek_module.FRESH_US)
    counted.counting.error = error
    with pytest.raises(type(error)):
        lease_cold(counted, version)
    counted.counting.error = RootUnavailable()
    with pytest.raises(RootUnavailable):
        lease_cold(counted, version)


def test_a_kek_row_that_is_gone_ends_its_envelopes_though_it_was_opened(counted: Any) -> None:
    version = counted.bring(counted.key(), counted.endpoint())
    lease_cold(counted, version)
    del counted.keks["tn_a", 1]
    with pytest.raises(Unopenable):
        lease_cold(counted, version)


def test_a_kek_row_of_another_tenant_or_root_is_refused(counted: Any) -> None:
    version = counted.bring(counted.key(), counted.endpoint())
    row = counted.keks["tn_a", 1]
    counted.keks["tn_a", 1] = counted.keks["tn_b", 1]
    with pytest.raises(Unopenable):
        lease_cold(counted, version)
    counted.keks["tn_a", 1] = replace(counted.keks["tn_b", 1], tenant="tn_a")
    with pytest.raises(Unopenable):
        lease_cold(counted, version)
    counted.keks["tn_a", 1] = replace(row, root="local:other")
    with pytest.raises(RootRefused, match="belongs to the root local:other, and `vault` is local:test"):
        lease_cold(counted, version)


def test_a_new_kek_version_seals_what_is_new_and_the_old_one_opens_what_was(counted: Any) -> None:
    key, endpoint = counted.key(), counted.endpoint()
    old = counted.bring(key, endpoint)
    counted.keks["tn_a", 2], _ = counted.vault._keyring.new("tn_a", 2)
    new = counted.bring(key, endpoint, b"the newer secret", 2)
    assert reveal(counted.vault.lease(key, old, endpoint, mode="live").secret) == counted.secret
    assert reveal(counted.vault.lease(key, new, endpoint, mode="live").secret) == b"the newer secret"
    del counted.keks["tn_a", 2]
    counted.vault.forget("key_1")
    with pytest.raises(Unopenable):
        counted.vault.lease(key, new, endpoint, mode="live")
