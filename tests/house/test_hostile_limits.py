"""Callers that come too many, too slowly or with too much at once, at a house whose limits are small."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.fronts import ANTHROPIC, FRONTS, OPENAI
from kit.grounds import secret_of
from kit.inprocess import InProcess, Manner
from kit.logbook import Logbook
from kit.raw import RawCaller, post, raw_caller, statuses
from kit.until import until
from tokenone.testing.desk import Workplace
from tokenone.testing.standin import ThreadedListener
from tokenone.wire.limits import EdgeLimits

TIGHT = EdgeLimits(
    body_bytes=1 << 20, inflight_body_bytes=300_000, connections=12, connections_per_peer=12,
    head_seconds=0.4, body_idle_seconds=0.4, keep_alive_seconds=0.4, half_close_seconds=0.4,
)  # fmt: skip


@pytest.fixture
def tight(tmp_path: Path) -> Iterator[tuple[InProcess, Workplace]]:
    with ThreadedListener() as upstream, InProcess(tmp_path, Manner(edge=TIGHT)) as house:
        tenant = house.tenant("tight")
        place = house.place(tenant, "tight")
        for name, front in FRONTS.items():
            endpoint = house.endpoint(name, upstream.origin, tenant=tenant, base_path=f"/{name}")
            house.assign(house.key(tenant, name, endpoint, secret_of(front, "t" * 40)), "tenant", tenant)
        yield house, place
        counts = house.counts()
    assert Logbook(tmp_path / "ledger").counted() == counts, "what was counted is in the ledger at the end"


def served(house: InProcess, place: Workplace) -> bool:
    with raw_caller(house.gateway) as caller:
        caller.send(post(OPENAI, place))
        caller.end()
        return statuses(caller.rest()) == [200]


@pytest.mark.parametrize("front", FRONTS)
def test_too_much_in_flight_is_refused_in_the_dialect_and_recorded(
    tight: tuple[InProcess, Workplace], front: str
) -> None:
    house, place = tight
    made = FRONTS[front]
    large = post(made, place, text="x" * 200_000)
    with contextlib.ExitStack() as stack:
        first, second = (stack.enter_context(raw_caller(house.gateway)) for _ in range(2))
        first.send(large[:-1])
        until(lambda: house.edge.stats.inflight_body_bytes > 150_000, "the first body")
        second.send(large)
        head, _, body = second.until(b"}}").partition(b"\r\n\r\n")
        assert b" 503 " in head
        assert b"retry-after: 1" in head
        assert made.refusal(body)["code"] == "overloaded"
        first.send(large[-1:])
        assert first.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
    assert ("deny", "overloaded") in [(kind, fields.get("code")) for kind, fields in house.entries()]
    assert house.edge.stats.inflight_body_bytes == 0


@pytest.mark.parametrize(
    ("part", "reason"), [(40, "head-timeout"), (-5, "body-timeout")], ids=["slow head", "slow body"]
)
def test_a_slow_caller_is_told_and_counted(
    tight: tuple[InProcess, Workplace], part: int, reason: str
) -> None:
    house, place = tight
    with raw_caller(house.gateway) as caller:
        caller.send(post(ANTHROPIC, place)[:part])
        assert statuses(caller.rest()) == [408]
    assert house.counts()[reason] == 1
    assert served(house, place)


def test_beyond_the_most_connections_callers_are_turned_away(tight: tuple[InProcess, Workplace]) -> None:
    house, place = tight
    held = [RawCaller(house.gateway) for _ in range(TIGHT.connections)]
    until(lambda: house.edge.stats.connections == TIGHT.connections, "every connection")
    with raw_caller(house.gateway) as one_more:
        assert statuses(one_more.rest()) == [503]
    assert house.counts()["connections"] == 1
    for caller in held:
        caller.close()
    until(lambda: house.edge.stats.connections == 0, "room")
    assert served(house, place)


def test_silent_and_half_closed_connections_end(tight: tuple[InProcess, Workplace]) -> None:
    house, place = tight
    with raw_caller(house.gateway) as silent:
        assert silent.rest() == b""
    with raw_caller(house.gateway) as half:
        half.send(post(OPENAI, place, fault="stall:30"))
        half.end()
        assert half.rest() == b""
    assert house.counts()["half-closed"] == 1
    assert served(house, place)


def test_strangers_cannot_fill_the_disk(tight: tuple[InProcess, Workplace]) -> None:
    house, _ = tight
    before = len(house.entries())
    with raw_caller(house.gateway) as stranger:
        for _ in range(300):
            stranger.send(b"GET /openai/v1/models HTTP/1.1\r\nhost: a\r\nauthorization: Bearer guess\r\n\r\n")
            assert b"invalid_token" in stranger.until(b"}}")
    assert house.counts()["invalid_token"] == 300
    assert len(house.entries()) == before
