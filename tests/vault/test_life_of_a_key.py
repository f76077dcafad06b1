"""A key's life: the table's laws, the state by time, and a machine that tries to lease what it must not."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)
from msgspec.structs import replace

from tokenone.clock import DAY_US, HOUR_US, MINUTE_US, FrozenClock
from tokenone.errors import Conflict, KeyUnusable
from tokenone.rows import Endpoint, Key, KeyVersion, TenantKek
from tokenone.secret import reveal
from tokenone.types import KeyState, Provider
from tokenone.vault.envelope import key_binding, seal_envelope
from tokenone.vault.kek import Keyring
from tokenone.vault.keks.local import LocalRoot
from tokenone.vault.lease import Leases
from tokenone.vault.life import TABLE, Event, leasable, state_at, step

NOW = 1_790_000_000_000_000
S = KeyState
ENDPOINT = Endpoint("ep_1", None, Provider.OPENAI, "OpenAI", ("https://api.openai.com",), "/v1")
KEY = Key("key_1", "tn_a", Provider.OPENAI, "ep_1", "main")
VERSION = KeyVersion("key_1", 1, S.ACTIVE, b"TKE1", "…", NOW, NOW)


# ── the table ──────────────────────────────────────────────────────────────────────────────────────────
def test_nothing_leaves_destroyed() -> None:
    assert not [event for state, event in TABLE if state is S.DESTROYED]


def test_compromised_leads_to_destroyed_only() -> None:
    assert {after for (state, _), after in TABLE.items() if state is S.COMPROMISED} == {S.DESTROYED}


def test_everything_but_the_destroyed_can_be_compromised_at_once() -> None:
    possible = {state for state, event in TABLE if event is Event.COMPROMISE}
    assert possible == set(S) - {S.DESTROYED, S.COMPROMISED}


def test_retired_never_serves_again() -> None:
    reached, frontier = set(), {S.RETIRED}
    while frontier:
        state = frontier.pop()
        reached.add(state)
        frontier |= {after for (before, _), after in TABLE.items() if before is state} - reached
    assert not any(leasable(state) for state in reached)


def test_only_a_probe_leads_out_of_pending_into_traffic() -> None:
    assert {e for (s, e), after in TABLE.items() if s is S.PENDING and leasable(after)} == {Event.ACTIVATE}


def test_what_serves_is_not_destroyed_in_one_step() -> None:
    assert not [event for state, event in TABLE if leasable(state) and event is Event.DESTROY]


@pytest.mark.parametrize(("state", "event"), list(product(S, Event)))
def test_a_step_is_the_tables_or_a_conflict(state: KeyState, event: Event) -> None:
    if (state, event) in TABLE:
        assert step(state, event) is TABLE[state, event]
    else:
        with pytest.raises(Conflict):
            step(state, event)


def test_every_state_can_be_reached_from_pending() -> None:
    reached = {S.PENDING}
    for _ in S:
        reached |= {after for (before, _), after in TABLE.items() if before in reached}
    assert reached == set(S)


# ── the state by time ──────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("whole", "version", "state"),
    [
        ({}, {}, S.ACTIVE),
        ({}, {"active_us": None}, S.ACTIVE),
        ({}, {"active_us": NOW + 1}, S.PENDING),
        ({}, {"state": S.PENDING}, S.PENDING),
        ({}, {"state": S.PENDING, "active_us": NOW - DAY_US}, S.PENDING),
        ({}, {"state": S.RETIRING, "retire_us": NOW + 1}, S.RETIRING),
        ({}, {"state": S.RETIRING, "retire_us": NOW}, S.RETIRED),
        ({}, {"state": S.RETIRING}, S.RETIRED),
        ({}, {"state": S.ACTIVE, "retire_us": NOW}, S.RETIRED),
        ({}, {"state": S.ACTIVE, "retire_us": NOW + 1}, S.ACTIVE),
        ({}, {"state": S.PENDING, "retire_us": NOW - 1}, S.RETIRED),
        ({}, {"state": S.RETIRED}, S.RETIRED),
        ({}, {"state": S.RETIRED, "active_us": NOW + 1}, S.RETIRED),
        ({"state": S.SUSPENDED}, {"state": S.RETIRED}, S.RETIRED),
        ({}, {"state": S.RETIRED, "retire_us": NOW + 1}, S.RETIRED),
        ({}, {"state": S.SUSPENDED}, S.SUSPENDED),
        ({}, {"state": S.COMPROMISED, "retire_us": NOW - 1}, S.COMPROMISED),
        ({}, {"state": S.DESTROYED}, S.DESTROYED),
        ({}, {"envelope": b""}, S.DESTROYED),
        ({"state": S.SUSPENDED}, {}, S.SUSPENDED),
        ({"state": S.SUSPENDED}, {"retire_us": NOW}, S.RETIRED),
        ({"state": S.COMPROMISED}, {}, S.COMPROMISED),
        ({"state": S.COMPROMISED}, {"envelope": b""}, S.DESTROYED),
        ({"state": S.DESTROYED}, {}, S.DESTROYED),
        ({"expires_us": NOW}, {}, S.RETIRED),
        ({"expires_us": NOW + 1}, {}, S.ACTIVE),
    ],
)
def test_the_state_is_the_worst_of_rows_and_deadlines(
    whole: dict[str, object], version: dict[str, object], state: KeyState
) -> None:
    assert state_at(replace(KEY, **whole), replace(VERSION, **version), NOW) is state


times = st.none() | st.integers(NOW - 10, NOW + 10)
rows = st.builds(
    lambda key, version: (key, version),
    st.builds(
        lambda state, expires: replace(KEY, state=state, expires_us=expires), st.sampled_from(S), times
    ),
    st.builds(
        lambda state, active, retire: replace(VERSION, state=state, active_us=active, retire_us=retire),
        st.sampled_from(S),
        times,
        times,
    ),
)


@given(rows=rows, later=st.integers(0, 20))
def test_what_is_over_stays_over_as_time_goes_on(rows: tuple[Key, KeyVersion], later: int) -> None:
    state = state_at(*rows, NOW)
    if not leasable(state) and state is not S.PENDING:
        assert not leasable(state_at(*rows, NOW + later))


@given(rows=rows)
def test_a_leasable_version_is_so_by_both_rows_and_all_deadlines(rows: tuple[Key, KeyVersion]) -> None:
    key, version = rows
    if leasable(state_at(key, version, NOW)):
        assert key.state is S.ACTIVE
        assert version.state in (S.ACTIVE, S.RETIRING)
        assert all(end is None or end > NOW for end in (version.retire_us, key.expires_us))


# ── a machine ──────────────────────────────────────────────────────────────────────────────────────────
class KeyLife(RuleBasedStateMachine):
    """Drives versions through events and time, and leases each of them after every step.

    The machine keeps its own account, in other words than the code: a version serves iff it was activated
    and not ended, its overlap (if any) is not over, and its key is neither suspended, compromised nor expired.
    """

    versions = Bundle("versions")

    @initialize()
    def build(self) -> None:
        self.clock = FrozenClock()
        root = LocalRoot("local:x", "vault", "local:x", bytes(32))
        self.keks: dict[tuple[str, int], TenantKek] = {}
        self.keyring = Keyring(root, lambda tenant, version: self.keks.get((tenant, version)), self.clock)
        self.keks["tn_a", 1], self.kek = self.keyring.new("tn_a")
        self.leases = Leases(self.keyring, self.clock)
        self.key = KEY
        self.rows: dict[int, KeyVersion] = {}
        self.ended: set[int] = set()
        self.activated: set[int] = set()
        self.overlap_ends: dict[int, int] = {}

    @rule(target=versions)
    def bring_a_new_secret(self) -> int:
        number = len(self.rows) + 1
        envelope = seal_envelope(self.kek, key_binding(self.key, number, ENDPOINT), b"secret %d" % number)
        now = self.clock.now_us()
        self.rows[number] = KeyVersion(self.key.id, number, S.PENDING, envelope, "…", now)
        return number

    def _step(self, number: int, event: Event, **change: object) -> bool:
        row = self.rows[number]
        try:
            after = step(row.state, event)
        except Conflict:
            return False
        self.rows[number] = replace(row, state=after, **change)
        return True

    @rule(number=versions)
    def activate(self, number: int) -> None:
        if self._step(number, Event.ACTIVATE, active_us=self.clock.now_us()):
            self.activated.add(number)

    @rule(number=versions, overlap=st.sampled_from([1, MINUTE_US, DAY_US]))
    def supersede(self, number: int, overlap: int) -> None:
        end = self.clock.now_us() + overlap
        if self._step(number, Event.SUPERSEDE, retire_us=end):
            self.overlap_ends[number] = end

    @rule(number=versions)
    def roll_back(self, number: int) -> None:
        now = self.clock.now_us()
        if state_at(self.key, self.rows[number], now) is S.RETIRING:
            assert self._step(number, Event.REINSTATE, retire_us=None)
            del self.overlap_ends[number]

    @rule(number=versions, event=st.sampled_from([Event.RETIRE, Event.COMPROMISE]))
    def end(self, number: int, event: Event) -> None:
        if self._step(number, event):
            self.ended.add(number)

    @rule(number=versions)
    def destroy(self, number: int) -> None:
        if self._step(number, Event.DESTROY, envelope=b""):
            self.ended.add(number)

    @rule(event=st.sampled_from([Event.SUSPEND, Event.RESUME]))
    def stop_or_resume_the_key(self, event: Event) -> None:
        if (self.key.state, event) in TABLE:
            self.key = replace(self.key, state=step(self.key.state, event))

    @rule(chance=st.integers(0, 9))
    def compromise_the_key(self, chance: int) -> None:
        if chance == 0 and (self.key.state, Event.COMPROMISE) in TABLE:
            self.key = replace(self.key, state=step(self.key.state, Event.COMPROMISE))

    @rule(in_us=st.sampled_from([MINUTE_US, DAY_US]), chance=st.integers(0, 9))
    def let_the_key_expire(self, in_us: int, chance: int) -> None:
        if chance == 0:
            self.key = replace(self.key, expires_us=self.clock.now_us() + in_us)

    @rule(by_us=st.sampled_from([1, MINUTE_US - 1, MINUTE_US, HOUR_US, DAY_US]))
    def time_goes_on(self, by_us: int) -> None:
        self.clock.advance(by_us)

    @rule(by_us=st.sampled_from([1, MINUTE_US]))
    def the_database_corrects_the_clock(self, by_us: int) -> None:
        self.clock.jump(by_us)

    @invariant()
    def exactly_what_may_serve_is_leased(self) -> None:
        now = self.clock.now_us()
        key_serves = self.key.state is S.ACTIVE and (self.key.expires_us is None or self.key.expires_us > now)
        for number, row in self.rows.items():
            in_time = self.overlap_ends.get(number, now + 1) > now
            expected = key_serves and number in self.activated and number not in self.ended and in_time
            try:
                lease = self.leases.lease(self.key, row, ENDPOINT, "live")
            except KeyUnusable:
                assert not expected, (number, row.state)
                assert (self.key.id, number, row.envelope) not in self.leases._opened._entries
            else:
                assert expected, (number, row.state)
                assert reveal(lease.secret) == b"secret %d" % number
                assert lease.version == number


TestKeyLife = KeyLife.TestCase
TestKeyLife.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


class LongKeyLife(KeyLife):
    """The same, for longer."""


TestLongKeyLife = pytest.mark.long(LongKeyLife.TestCase)
TestLongKeyLife.settings = settings(max_examples=2_000, stateful_step_count=80, deadline=None)
