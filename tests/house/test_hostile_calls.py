"""Bad input and bad providers through the real processes: a clear error in the caller's dialect, an entry in
the ledger, and a gateway that goes on.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import httpx2
import pytest

from kit.fronts import FRONTS, events
from kit.houses import Attacked
from kit.mishaps import Mishap, rows

Answers: TypeAlias = dict[tuple[str, str], httpx2.Response]
ROWS = rows()
EVERY = pytest.mark.parametrize(
    ("mishap", "front"), ROWS, ids=lambda value: value.name if isinstance(value, Mishap) else value
)
RECORDED = [pair for pair in ROWS if pair[0].recorded != "counted"]
STRANGERS = (
    "no token",
    "unknown token",
    "malformed token",
    "not even a token",
    "wrong secret",
    "wrong checksum",
)


@pytest.fixture(scope="module")
def answers(attacked: Attacked) -> Answers:
    """Every mishap at once, interleaved: one must not change what another gets."""
    with ThreadPoolExecutor(16) as pool:
        running = {(row.name, front): pool.submit(attacked.provoke, row, front) for row, front in ROWS}
        return {name: future.result() for name, future in running.items()}


@EVERY
def test_the_caller_is_told_in_its_dialect(answers: Answers, mishap: Mishap, front: str) -> None:
    answer = answers[mishap.name, front]
    assert answer.status_code == mishap.status, answer.text[:300]
    if mishap.delivery == "verbatim":
        assert answer.headers["x-tokenone-error-origin"] == "provider"
        FRONTS[front].refusal(answer.content)
    elif mishap.delivery == "frame":
        last = FRONTS[front].refusal(events(answer.content)[-1])
        assert last["code"] == mishap.code
        assert "x-tokenone-error" not in answer.headers
    else:
        assert answer.headers["x-tokenone-error-origin"] == "gateway"
        assert answer.headers["x-tokenone-error"] == mishap.code
        assert answer.headers["x-should-retry"] == ("true" if mishap.retry else "false")
        assert FRONTS[front].refusal(answer.content)["code"] == mishap.code


@pytest.mark.parametrize(("mishap", "front"), RECORDED, ids=lambda value: getattr(value, "name", value))
def test_the_ledger_has_it(attacked: Attacked, answers: Answers, mishap: Mishap, front: str) -> None:
    entries = attacked.logbook.closed(answers[mishap.name, front].headers["x-tokenone-call"])
    kinds = [kind for kind, _ in entries]
    last = entries[-1][1]
    assert last["workload"] == attacked.grounds.places[mishap.place].workload
    if mishap.recorded == "deny":
        assert kinds == ["deny"]
        assert last["code"] == mishap.code
        return
    assert kinds == ["intent", "outcome"]
    assert last["cause"] == mishap.cause
    if mishap.delivery == "verbatim":
        assert last["status"] == mishap.status
    elif mishap.delivery == "frame":
        assert last["usage"]["estimated"]
        assert last["cost"]["nano"] > 0


def test_strangers_are_not_entries_of_their_own(attacked: Attacked, answers: Answers) -> None:
    for row, front in ROWS:
        if row.recorded == "counted":
            call = answers[row.name, front].headers.get("x-tokenone-call", "none")
            assert attacked.logbook.of(call) == []


@pytest.mark.parametrize("front", FRONTS)
def test_nothing_is_told_of_a_token_that_is_not_proven(answers: Answers, front: str) -> None:
    told = {(answers[name, front].status_code, answers[name, front].content) for name in STRANGERS}
    assert len(told) == 1
    fields = {frozenset(answers[name, front].headers) - {"connection"} for name in STRANGERS}
    assert len(fields) == 1


def test_what_was_refused_reached_no_provider(attacked: Attacked, answers: Answers) -> None:
    refused = {row.place for row, _ in ROWS if row.recorded == "deny"} - {"good", "limited"}
    keys = {attacked.grounds.keys[place, front] for place in refused - {"bare"} for front in FRONTS}
    attacked.logbook.refresh()
    used = {fields["key"] for kind, fields in attacked.logbook.entries if kind == "intent"}
    assert not used & keys


def test_a_rate_refusal_says_when_to_come_back(answers: Answers) -> None:
    for front in FRONTS:
        told = answers["too many requests", front].headers
        assert 1 <= int(told["retry-after"]) <= 60
        assert told["x-ratelimit-limit"] == "1"
        assert told["x-ratelimit-remaining"] == "0"


def test_what_was_not_sent_costs_nothing_and_what_was_sent_is_never_free(
    attacked: Attacked, answers: Answers
) -> None:
    unsent = (
        "nobody listens",
        "private address",
        "connecting takes too long",
        "another authority's certificate",
    )
    for name in unsent:
        outcome = attacked.logbook.closed(answers[name, "openai"].headers["x-tokenone-call"])[-1][1]
        assert outcome["sent"] == 0
        assert "cost" not in outcome
    for name in ("no first byte", "closed without a byte", "garbage", "cut in the body", "reset in the head"):
        outcome = attacked.logbook.closed(answers[name, "anthropic"].headers["x-tokenone-call"])[-1][1]
        assert outcome["sent"] > 0
        assert outcome["cost"]["nano"] > 0
        assert outcome["usage"]["estimated"]


@pytest.mark.parametrize("front", FRONTS)
def test_a_failed_call_shows_its_key_attempts_and_receipt(answers: Answers, front: str) -> None:
    for row, name in ROWS:
        if name == front and row.recorded == "outcome":
            told = answers[row.name, front].headers
            assert told["x-tokenone-key"].startswith("key_")
            assert told["x-tokenone-attempts"] == "1"
            assert told["x-tokenone-receipt"]


def test_the_caller_can_ask_what_became_of_its_call(attacked: Attacked, answers: Answers) -> None:
    answer = answers["cut in the body", "openai"]
    place = attacked.grounds.places["good"]
    told = attacked.http.get(
        f"{attacked.gateway}/tokenone/calls/{answer.headers['x-tokenone-call']}",
        headers={"authorization": f"Bearer {place.token}"},
    )
    (attempt,) = json.loads(told.content)["attempts"]
    assert attempt["cause"] == "upstream_broken"
    assert attempt["key"] == attacked.grounds.keys["good", "openai"]


def test_the_gateway_is_healthy_afterwards(attacked: Attacked, answers: Answers) -> None:
    assert attacked.healthy()
