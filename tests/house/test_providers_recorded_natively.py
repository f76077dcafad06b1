"""Every recorded exchange of the other providers passes through the real processes: bytes, usage, cost, refusals."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from kit.expected import without_usage_chunk
from kit.inprocess import price_book
from kit.installation import Installation
from kit.providers import FOLDERS, front_path, route_to, token_server
from kit.replay import received, replaying, reset
from kit.routes import Route
from kit.shared import Exchange, exchanges, require_exchanges
from tokenone.call.record import usage_fields
from tokenone.dispatch.providers import PROVIDERS, Facts, Reading
from tokenone.types import PathClass

NAMELESS = "cohere--error_404--05--TestCohere-test-embed-error"
"""An inference call without a model: no scope can be asked whether it allows it, so the gateway refuses it."""
RECORDED = [exchange for folder in FOLDERS for exchange in exchanges(folder) if exchange.id != NAMELESS]
STREAM_KINDS = ("event-stream", "eventstream", "ndjson", "stream+json")
STREAMED = [
    one
    for one in RECORDED
    if one.status < 300 and any(kind in one.reply_headers.get("content-type", "") for kind in STREAM_KINDS)
]
DROPPED = {
    "host", "content-length", "accept-encoding", "authorization", "x-api-key", "api-key", "x-goog-api-key",
    "connection", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256", "transfer-encoding",
}  # fmt: skip
MARKS = {"id": lambda row: row.id[:70] if row else "absent"}


@pytest.fixture(scope="module")
def routes(
    installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Route]]:
    require_exchanges()
    folder = tmp_path_factory.mktemp("replay of all")
    with (
        token_server(folder) as tokens,
        replaying(folder) as plain,
        replaying(folder, "--split", "7") as split,
        replaying(folder, "--gzip") as gzipped,
    ):
        origins = {"plain": plain, "split": split, "gzip": gzipped}
        yield {
            name: route_to(installation, f"all providers {name}", origin, tokens)
            for name, origin in origins.items()
        } | {"strict": route_to(installation, "all providers strict", plain, tokens, "block")}


def call(installation: Installation, route: Route, exchange: Exchange, encoding: str) -> httpx2.Response:
    """Sends the recorded request through the gateway and returns the answer, body as it came."""
    headers = {name: value for name, value in exchange.headers.items() if name.lower() not in DROPPED}
    headers |= {"x-replay-id": exchange.id, "accept-encoding": encoding, "x-api-key": route.place.token}
    pairs = [pair for pair in exchange.query.split("&") if pair and not pair.startswith("key=")]
    url = installation.gateway + front_path(exchange) + ("?" + "&".join(pairs) if pairs else "")
    request = installation.http.build_request(exchange.method, url, headers=headers, content=exchange.body)
    answer = installation.http.send(request, stream=True)
    answer.raw_bytes = b"".join(answer.iter_raw())
    answer.close()
    return answer


# ── what the facts say of the recorded bytes: the way must come to the same ────────────────────────────────
def path_below(exchange: Exchange) -> bytes:
    """The path as the provider's facts know it."""
    front = front_path(exchange).split("/")
    return "/".join(["", *front[3 if front[1] == "custom" else 2 :]]).encode()


def facts_of(exchange: Exchange) -> Facts:
    return PROVIDERS[FOLDERS[exchange.provider]]


def sent_of(exchange: Exchange) -> bytes:
    """The documented difference: a chat stream whose caller did not ask for usage."""
    facts, path = facts_of(exchange), path_below(exchange)
    if facts.classify(exchange.method.encode(), path) is not PathClass.INFERENCE:
        return exchange.body
    return facts.splice(exchange.body, facts.peek(exchange.body, exchange.headers.get("content-type")), path)


def reading_of(exchange: Exchange) -> Reading:
    """What the reply says about itself, read at once."""
    facts, path = facts_of(exchange), path_below(exchange)
    headers = [(name.encode(), value.encode()) for name, value in exchange.reply_headers.items()]
    meter = facts.open_meter(path, exchange.reply_headers.get("content-type", "").lower().encode(), False)
    if meter is None:
        return facts.read(exchange.reply, path, headers)
    meter.feed(exchange.reply)
    meter.finish()
    return Reading(meter.model, meter.usage, meter.charged)


def assert_faithful(installation: Installation, route: Route, exchange: Exchange, encoding: str) -> None:
    reset(route.origin)
    answer = call(installation, route, exchange, encoding)
    raw: bytes = answer.raw_bytes
    assert answer.status_code == exchange.status, raw[:300]
    sent = sent_of(exchange)
    expected = without_usage_chunk(exchange.reply) if sent != exchange.body else exchange.reply
    zipped = answer.headers.get("content-encoding") == "gzip"
    assert raw == (gzip.compress(exchange.reply, mtime=0) if zipped else expected)
    (got,) = received(route.origin)
    assert got["body_sha256"] == hashlib.sha256(sent).hexdigest()
    assert got["path"] == f"/{exchange.provider}{exchange.path.replace('//', '/')}"
    told = installation.told(route.place, answer.headers["x-tokenone-call"])
    assert_metered(exchange, told["attempts"][-1], answer)


def assert_metered(exchange: Exchange, attempt: dict[str, Any], answer: httpx2.Response) -> None:
    facts = facts_of(exchange)
    if exchange.status >= 300:
        expected = facts.error_class(exchange.status, [*_raw(answer)], exchange.reply)
        assert attempt["class"] == expected.value
        assert "cost" not in attempt
        return
    assert "class" not in attempt
    path = path_below(exchange)
    if facts.classify(exchange.method.encode(), path) is not PathClass.INFERENCE or not facts.bills(path):
        assert "cost" not in attempt
        return
    reading, cost = reading_of(exchange), attempt["cost"]
    usage = attempt.get("usage")
    if usage is None or not usage.get("estimated"):
        assert usage == (None if reading.usage is None else usage_fields(reading.usage))
    if reading.charged is not None:
        assert (cost["source"], cost["nano"]) == ("provider-reported", reading.charged)
    elif cost["source"] == "unpriced":
        assert "nano" not in cost
    else:
        assert cost["source"] == "price-book"
        assert cost["nano"] == sum(line["nano"] for line in cost["lines"])
        assert price_book().version == cost["book"]


def _raw(answer: httpx2.Response) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in answer.headers.items()]


@pytest.mark.parametrize("exchange", RECORDED or [None], ids=MARKS["id"])
def test_a_recorded_exchange_passes_byte_for_byte(
    installation: Installation, routes: dict[str, Route], exchange: Exchange
) -> None:
    assert_faithful(installation, routes["plain"], exchange, "identity")


@pytest.mark.parametrize("exchange", STREAMED or [None], ids=MARKS["id"])
def test_a_stream_cut_into_seven_byte_pieces_is_the_same(
    installation: Installation, routes: dict[str, Route], exchange: Exchange
) -> None:
    assert_faithful(installation, routes["split"], exchange, "identity")


@pytest.mark.parametrize("exchange", RECORDED or [None], ids=MARKS["id"])
def test_a_gzipped_exchange_passes_as_it_is(
    installation: Installation, routes: dict[str, Route], exchange: Exchange
) -> None:
    assert_faithful(installation, routes["gzip"], exchange, "gzip")


def test_a_recorded_call_that_names_no_model_is_refused_here(
    installation: Installation, routes: dict[str, Route]
) -> None:
    route = routes["plain"]
    reset(route.origin)
    (nameless,) = (one for one in exchanges("cohere") if one.id == NAMELESS)
    answer = call(installation, route, nameless, "identity")
    assert (answer.status_code, answer.headers["x-tokenone-error"]) == (400, "model_missing")
    assert received(route.origin) == []


@pytest.mark.parametrize("exchange", RECORDED or [None], ids=MARKS["id"])
def test_a_tenant_that_blocks_gets_the_same_bytes_or_a_refusal(
    installation: Installation, routes: dict[str, Route], exchange: Exchange
) -> None:
    route = routes["strict"]
    reset(route.origin)
    answer = call(installation, route, exchange, "identity")
    raw: bytes = answer.raw_bytes
    if answer.headers.get("x-tokenone-error") is not None or b"content_blocked" in raw:
        assert b"content_blocked" in raw or answer.headers["x-tokenone-error"] == "content_blocked"
        return
    assert answer.status_code == exchange.status
    sent = sent_of(exchange)
    assert raw == (without_usage_chunk(exchange.reply) if sent != exchange.body else exchange.reply)
