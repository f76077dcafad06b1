"""Law of revocation: what is taken away is refused by every worker within two seconds, and running calls are cut.

A call is told by whichever worker is asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import httpx2
import pytest

from kit.battered import CHAT, Battered
from kit.installation import Installation
from kit.log import read_log
from kit.processes import SECONDS
from kit.slowcall import SlowCall, slow_call
from kit.until import until
from tokenone.testing.desk import Desk, Workplace

WITHIN = 2.0
DIALS = 200
QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}


class Line:
    """A connection to one worker: it stays with whoever took it."""

    def __init__(self, client: httpx2.Client, slot: int) -> None:
        self.client = client
        self.slot = slot

    def ask(self, token: str) -> httpx2.Response:
        return self.client.post(CHAT, json=QUESTION, headers={"authorization": f"Bearer {token}"})

    def code(self, token: str) -> str | None:
        return self.ask(token).headers.get("x-tokenone-error")

    def told(self, token: str, call: str) -> httpx2.Response:
        return self.client.get(f"/tokenone/calls/{call}", headers={"authorization": f"Bearer {token}"})


def slot_of(call: str) -> int:
    return int(call.removeprefix("call").partition("_")[0])


@contextmanager
def lines(house: Installation, token: str) -> Iterator[list[Line]]:
    """Dials until every worker has a connection."""
    with ExitStack() as open_lines:
        found: dict[int, Line] = {}
        for _ in range(DIALS):
            client = open_lines.enter_context(
                httpx2.Client(base_url=house.gateway, trust_env=False, timeout=30)
            )
            line = Line(client, 0)
            answer = line.ask(token)
            assert answer.status_code == 200
            line.slot = slot_of(answer.headers["x-tokenone-call"])
            found.setdefault(line.slot, line)
            if len(found) == house.workers:
                yield list(found.values())
                return
        raise AssertionError(f"only {sorted(found)} take connections")


@pytest.fixture
def desk(pair: Battered) -> Desk:
    return pair.whole().house.desk()


def key_of(desk: Desk, place: Workplace) -> str:
    (key,) = desk.api("GET", f"/keys?tenant={place.tenant}&provider=openai")["items"]
    return str(key["id"])


def effective(what: str, act: Callable[[], object], seen: list[Callable[[], bool]]) -> None:
    """Acts, then looks at every worker until each has seen it; within two seconds of the answer."""
    act()
    began = time.monotonic()
    for look in seen:
        until(look, what, WITHIN)
    took = time.monotonic() - began
    assert took < WITHIN
    print(f"\n{what}: acted on by {len(seen)} workers within {took * 1000:.0f} ms", end="")


def test_what_is_taken_away_is_refused_by_every_worker_within_two_seconds(pair: Battered, desk: Desk) -> None:
    place = pair.plain.place
    key = key_of(desk, place)
    other = desk.token(place.workload)
    with lines(pair.house, place.token) as open_lines:

        def refusing(token: str, code: str | None) -> list[Callable[[], bool]]:
            return [lambda line=line: line.code(token) == code for line in open_lines]  # type: ignore[misc]

        effective("a new token is known", lambda: None, refusing(other["text"], None))
        effective(
            "a revoked token",
            lambda: desk.api("POST", f"/tokens/{other['id']}/revoke"),
            refusing(other["text"], "token_revoked"),
        )
        suspended = refusing(place.token, "key_not_usable")
        effective("a suspended key", lambda: desk.api("POST", f"/keys/{key}/suspend"), suspended)
        resumed = refusing(place.token, None)
        effective("a resumed key", lambda: desk.api("POST", f"/keys/{key}/resume"), resumed)


def test_a_call_is_told_by_whichever_worker_is_asked(pair: Battered, desk: Desk) -> None:
    token = pair.plain.place.token
    with lines(pair.house, token) as (one, other):
        call = one.ask(token).headers["x-tokenone-call"]
        there, here = other.told(token, call), one.told(token, call)
        assert there.status_code == here.status_code == 200
        assert there.json() == here.json()
        assert here.json()["state"] == "closed"


def test_running_streams_are_cut_when_their_key_is_compromised(pair: Battered, desk: Desk) -> None:
    place = desk_place(pair, desk)
    key = key_of(desk, place)
    pair.gate.finish()
    with ExitStack() as streams:
        running: list[SlowCall] = []
        while len({slot_of(one.call) for one in running}) < pair.house.workers:
            assert len(running) < DIALS
            running.append(streams.enter_context(slow_call(pair.house, place)))
        pair.gate.let()
        for one in running:
            one.read_event()
        cut = pair.gate.cut
        desk.api("POST", f"/keys/{key}/compromise")
        began = time.monotonic()
        for one in running:
            one.read_on()
        took = time.monotonic() - began
        assert took < WITHIN
        assert not any(one.whole for one in running)
        assert all(b'"code":"key_compromised"' in one.text for one in running)
        until(lambda: ends_met(pair) == cut + len(running), "the provider's connections to end", SECONDS)
    print(
        f"\n{len(running)} running streams cut {took * 1000:.0f} ms after their key was compromised", end=""
    )
    assert pair.refusal(place) == "key_not_usable"
    log = until(lambda: closed(pair, running), "their outcomes", SECONDS)
    for call in (one.call for one in running):
        (outcome,) = log[call]
        assert outcome["cause"] == "key_compromised"
        assert outcome["usage"]["estimated"]


def ends_met(pair: Battered) -> int:
    """Counts the provider's streams that found nobody who reads: it sends on until it finds that."""
    pair.gate.let()
    return pair.gate.cut


def desk_place(pair: Battered, desk: Desk) -> Workplace:
    """A workplace of its own: its key does not come back."""
    tenant = desk.tenant("compromised")
    place = desk.place(tenant, "compromised")
    endpoint = desk.endpoint("openai", pair.gate.origin, tenant=tenant)
    desk.assign(desk.key(tenant, "openai", endpoint, "sk-proj-" + "c" * 40), "workload", place.workload)
    pair.house.until_current()
    return place


def closed(pair: Battered, running: list[SlowCall]) -> dict[str, list[dict[str, object]]]:
    outcomes = read_log(pair.house).outcomes
    found = {one.call: [entry.fields for entry in outcomes.get((one.call, 1), ())] for one in running}
    return found if all(found.values()) else {}
