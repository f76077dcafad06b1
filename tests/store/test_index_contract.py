"""The index's laws on both databases: shipped once, folded the same in any portions, sums exact."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenone.clock import DAY_US
from tokenone.errors import NotFound
from tokenone.store import Index
from tokenone.store.fold import Folding
from tokenone.store.index import Place

pytestmark = pytest.mark.anyio
START = 1_790_000_000_000_000


class Shipped(NamedTuple):
    seq: int
    kind: str
    at_us: int
    fields: dict[str, Any]


def who(call: str, tenant: str = "ten_a") -> dict[str, Any]:
    return {"call": call, "tenant": tenant, "project": "prj_a", "workload": "wkl_a", "token": "tok_a"}


class Log:
    """Writes entries as a call does."""

    def __init__(self) -> None:
        self.entries: list[Shipped] = []

    def add(self, kind: str, **fields: Any) -> None:
        seq = len(self.entries)
        self.entries.append(Shipped(seq, kind, START + seq, fields))

    def intent(self, call: str, attempt: int = 1, *, key: str = "key_a", tenant: str = "ten_a") -> None:
        self.add(
            "intent", **who(call, tenant), attempt=attempt, key=key, ver=1, provider="openai", endpoint="ep_a",
            origin="https://api.openai.com", method="POST", path="/v1/chat/completions", model="gpt-5",
            verdict="allow", body="00", size=10,
        )  # fmt: skip

    def outcome(self, call: str, attempt: int = 1, *, tenant: str = "ten_a", **more: Any) -> None:
        told = {
            "cause": "complete",
            "final": True,
            "status": 200,
            "sent": 10,
            "received": 20,
            "us": {},
        } | more
        self.add("outcome", **who(call, tenant), attempt=attempt, **told)

    def priced(self, call: str, nano: int, fee: int, *, tenant: str = "ten_a") -> None:
        self.intent(call, tenant=tenant)
        self.outcome(
            call, tenant=tenant, usage={"input": 100, "output": 7}, fee=fee,
            cost={"source": "price-book", "book": "b1", "nano": nano, "lines": []},
        )  # fmt: skip


async def test_a_call_is_shown_with_its_attempts(index: Index) -> None:
    log = Log()
    log.intent("call_1", 1, key="key_dead")
    log.outcome("call_1", 1, final=False, status=401, **{"class": "key-dead"})
    log.intent("call_1", 2, key="key_good")
    log.outcome("call_1", 2, usage={"input": 0}, fee=5)
    await index.ship(0, log.entries)
    call, attempts = await index.call("call_1")
    assert (call.outcome, call.attempts, call.key, call.status, call.fee_nano) == (
        "ok",
        2,
        "key_good",
        200,
        5,
    )
    assert [(one.key, one.status, one.error_class) for one in attempts] == [
        ("key_dead", 401, "key-dead"),
        ("key_good", 200, None),
    ]
    assert attempts[1].usage == {"input": 0}  # zero is zero
    assert call.cost_nano is None  # and absent is absent


async def test_endings_have_their_names(index: Index) -> None:
    log = Log()
    log.intent("call_open")
    log.intent("call_lost")
    log.add(
        "outcome", call="call_lost", attempt=1, cause="unknown"
    )  # what recovery writes: no more than this
    log.intent("call_failed")
    log.outcome("call_failed", cause="upstream_broken")
    log.intent("call_refused_upstream")
    log.outcome("call_refused_upstream", status=429)
    log.add("deny", **who("call_denied"), code="model_not_allowed", path="/v1/x")
    log.add("boot", open=[])
    log.add("deny-aggregate", code="invalid_token", count=3)
    await index.ship(0, log.entries)
    found = {call.id: call for call in await index.calls({})}
    assert {id: call.outcome for id, call in found.items()} == {
        "call_open": "open",
        "call_lost": "unknown",
        "call_failed": "failed",
        "call_refused_upstream": "failed",
        "call_denied": "refused",
    }
    assert found["call_lost"].tenant == "ten_a"
    assert found["call_denied"].code == "model_not_allowed"
    with pytest.raises(NotFound):
        await index.call("call_none")


async def test_shipping_again_changes_nothing(index: Index) -> None:
    log = Log()
    for number in range(5):
        log.priced(f"call_{number}", 1000, 10)
    assert await index.cursor(0) == -1
    assert await index.ship(0, log.entries, Place(3, 4096, 9)) == 10
    before = [await index.call(f"call_{number}") for number in range(5)]
    assert await index.ship(0, log.entries) == 0
    assert await index.ship(0, log.entries[4:7]) == 0
    assert [await index.call(f"call_{number}") for number in range(5)] == before
    assert await index.cursor(0) == 9
    assert await index.place(0) == Place(3, 4096, 9)
    assert await index.place(1) == Place()


async def test_the_index_can_be_rebuilt_from_the_log(index: Index) -> None:
    log = Log()
    for number in range(5):
        log.priced(f"call_{number}", 1000 + number, 10)
    await index.ship(0, log.entries)
    before = (await index.calls({}), await index.costs(["key"], None, None))
    await index.clear()
    assert await index.calls({}) == []
    for entry in log.entries:
        await index.ship(0, [entry])
    assert (await index.calls({}), await index.costs(["key"], None, None)) == before


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False))
def test_any_portions_fold_to_the_same(chance: random.Random) -> None:
    log = Log()
    for number in range(6):
        log.priced(f"call_{number % 4}_{number}", chance.randrange(10**12), chance.randrange(10))
        if chance.random() < 0.5:
            log.add("deny", **who(f"call_d{number}"), code="x", path="/")
    whole = Folding({}, {})
    for entry in log.entries:
        whole.add(0, entry)
    cut = Folding({}, {})
    rest = log.entries
    while rest:
        size = chance.randint(1, len(rest))
        now, rest = rest[:size], rest[size:]
        cut = Folding({id: dict(row) for id, row in cut.calls.items()}, dict(cut.attempts))
        for entry in now:
            cut.add(0, entry)
    assert (cut.calls, cut.attempts) == (whole.calls, whole.attempts)


async def test_costs_are_sums_of_integers_and_count_what_has_no_price(index: Index) -> None:
    log = Log()
    log.priced("call_1", 10**15, 3)
    log.priced("call_2", 1, 3)
    log.priced("call_3", 7, 4, tenant="ten_b")
    log.intent("call_4")
    log.outcome("call_4", cost={"source": "unpriced", "book": "b1"}, usage={"input": 5}, fee=3)
    log.intent("call_5")
    log.outcome("call_5", status=500)
    await index.ship(0, log.entries)
    lines = {line.group["tenant"]: line for line in await index.costs(["tenant"], None, None)}
    ours = lines["ten_a"]
    assert (ours.calls, ours.unpriced, ours.cost_nano, ours.fee_nano) == (4, 1, 10**15 + 1, 9)
    assert (ours.input, ours.output) == (205, 14)
    assert lines["ten_b"].cost_nano == 7
    (day,) = await index.costs(["day", "model"], START, START + DAY_US, tenant="ten_b")
    assert day.group == {"day": START - START % DAY_US, "model": "gpt-5"}
    assert await index.costs([], START + DAY_US, None) == []


async def test_calls_are_filtered_and_paged_newest_first(index: Index) -> None:
    log = Log()
    for number in range(7):
        log.priced(f"call_{number}", 1, 1, tenant="ten_a" if number % 2 else "ten_b")
    await index.ship(0, log.entries)
    found: list[Any] = []
    while page := await index.calls({}, before=(found[-1].at_us, found[-1].id) if found else None, limit=3):
        found += page
    assert [call.id for call in found] == [f"call_{number}" for number in reversed(range(7))]
    assert {call.id for call in await index.calls({"tenant": "ten_a"})} == {"call_1", "call_3", "call_5"}
    window = await index.calls({}, from_us=found[2].at_us, to_us=found[0].at_us)
    assert [call.id for call in window] == ["call_5", "call_4"]


async def test_a_model_that_no_database_can_hold_does_not_stop_the_index(index: Index) -> None:
    log = Log()
    log.intent("call_odd")
    log.entries[0].fields["model"] = "gpt\x00-5"  # JSON may say so, and a caller did
    log.outcome("call_odd")
    log.add("deny", **who("call_denied"), code="model_not_found", model="\x00", path="/v1/x")
    await index.ship(0, log.entries)
    call, (attempt,) = await index.call("call_odd")
    assert call.model == attempt.model == "gpt\ufffd-5"
    assert (await index.told("call_odd"))[0][1]["model"] == "gpt\x00-5"  # the ledger's own words
