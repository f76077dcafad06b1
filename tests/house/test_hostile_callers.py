"""Callers that leave, read slowly or come in crowds: the provider is let go, use is booked, memory stays bounded."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from kit.fronts import ANTHROPIC, FRONTS, OPENAI, Front
from kit.houses import Attacked
from kit.mishaps import rows
from kit.raw import RawCaller, header, post, raw_caller
from kit.until import until

SLOW = ("no first byte", "silence after the head", "silence in a stream", "connecting takes too long")
ROUNDS, CROWD = 8, 16
MOST_GROWTH_MIB = 24


def leave(caller: RawCaller, manner: str) -> None:
    """Hangs up: by a reset, or by a close with bytes still unread."""
    if manner == "reset":
        caller.reset()
    else:
        caller.close()


def abandoned(attacked: Attacked, text: str) -> bool:
    """Says whether the provider saw that its answer to a text is no longer wanted."""
    received = list(attacked.grounds.outside.standin.received)
    return any(record.abandoned for record in received if text.encode() in record.request.body)


@pytest.mark.parametrize("manner", ["reset", "close"])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])
@pytest.mark.parametrize("front", FRONTS)
def test_a_caller_that_hangs_up_is_metered_and_the_provider_let_go(
    attacked: Attacked, front: str, stream: bool, manner: str
) -> None:
    text = f"endless {front} {stream} {manner}"
    place = attacked.grounds.places["good"]
    with raw_caller(attacked.gateway) as caller:
        caller.send(post(FRONTS[front], place, stream=stream, fault="endless:0.002", text=text))
        head = caller.until(b"\r\n\r\n") if stream else b""
        if stream:
            caller.until(b"data: ")
        else:  # nothing is told before the document is whole: wait until the provider is at it
            until(lambda: attacked.received(text), "the provider to answer")
        leave(caller, manner)
    until(lambda: abandoned(attacked, text), "the provider to be let go")
    call = header(head, b"x-tokenone-call") if stream else attacked.last_call(place)
    outcome = attacked.logbook.closed(call)[-1][1]
    assert outcome["cause"] == "caller_gone"
    assert outcome["sent"] > 0
    assert outcome["usage"]["estimated"]
    assert outcome["usage"]["output"] > 0
    assert outcome["cost"]["nano"] > 0


def test_what_a_stream_reported_before_its_caller_left_is_booked(attacked: Attacked) -> None:
    place, text = attacked.grounds.places["good"], "left with usage " + "many words " * 40
    with raw_caller(attacked.gateway) as caller:
        caller.send(post(ANTHROPIC, place, stream=True, fault="endless:0.002", text=text))
        head = caller.until(b"message_start")
        until(lambda: b"content_block_delta" in caller.until(b"content_block_delta"), "text")
    outcome = attacked.logbook.closed(header(head, b"x-tokenone-call"))[-1][1]
    asked = json.loads(ANTHROPIC.body(text))["messages"][0]["content"]
    assert outcome["usage"]["input"] == -(-len(asked) // 5), "the input that message_start reported"
    assert outcome["usage"]["output"] > 1


def test_a_caller_that_leaves_while_nothing_was_sent_pays_nothing(attacked: Attacked) -> None:
    place = attacked.grounds.places["silent"]
    before = len(attacked.intents(place))
    with raw_caller(attacked.gateway) as caller:
        caller.send(post(OPENAI, place))
        until(lambda: len(attacked.intents(place)) > before, "the intent")
        caller.reset()
    outcome = attacked.logbook.closed(attacked.intents(place)[-1]["call"])[-1][1]
    assert outcome["cause"] == "caller_gone"
    assert outcome["sent"] == 0
    assert "cost" not in outcome


def test_a_caller_that_reads_nothing_makes_the_provider_wait(attacked: Attacked) -> None:
    place, before = attacked.grounds.places["good"], attacked.rss_mib
    callers = [RawCaller(attacked.gateway, window=4096) for _ in range(CROWD)]
    try:
        for caller in callers:
            caller.send(post(OPENAI, place, stream=True, fault="endless:0"))
            caller.until(b"\r\n\r\n")
        with ThreadPoolExecutor(4) as pool:  # meanwhile others are served
            answers = list(pool.map(lambda _: attacked.ask(OPENAI, place).status_code, range(40)))
        assert answers == [200] * 40
        assert attacked.rss_mib - before < CROWD * 2, "two mebibytes for each at the most"
        assert all(b"data: " in caller.until(b"data: ") for caller in callers), (
            "they go on when they are read"
        )
    finally:
        for caller in callers:
            caller.reset()
    until(attacked.healthy, "a healthy gateway")


def test_memory_stays_where_it_was_however_often_it_goes_wrong(attacked: Attacked) -> None:
    chosen = [(row, front) for row, front in rows() if row.again and row.name not in SLOW]

    def round_of_mishaps(_: int) -> None:
        for row, front in chosen:
            attacked.provoke(row, front)
        for front in (OPENAI, ANTHROPIC):
            hang_up(attacked, front)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(round_of_mishaps, range(4)))
        before = attacked.rss_mib
        list(pool.map(round_of_mishaps, range(ROUNDS)))
    grown = attacked.rss_mib - before
    print(f"{ROUNDS * len(chosen)} mishaps: RSS {before:.1f} MiB, grown by {grown:.1f} MiB")
    assert grown < MOST_GROWTH_MIB
    assert attacked.healthy()


def hang_up(attacked: Attacked, front: Front) -> None:
    with raw_caller(attacked.gateway) as caller:
        caller.send(post(front, attacked.grounds.places["good"], stream=True, fault="endless:0"))
        caller.until(b"data: ")
        caller.reset()
