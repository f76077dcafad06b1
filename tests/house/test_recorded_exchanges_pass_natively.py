"""Every recorded exchange of OpenAI and Anthropic passes through the real processes: bytes, usage, cost."""

from __future__ import annotations

import datetime
import gzip
import hashlib
import json
from collections.abc import Iterator

import httpx2
import pytest

from kit.expected import publishers_cost, without_usage_chunk
from kit.installation import Installation
from kit.replay import received, replaying, reset
from kit.routes import Route, route_to
from kit.shared import Exchange, exchanges, require_exchanges

RECORDED = [*exchanges("openai"), *exchanges("anthropic")]
STREAMED = [exchange for exchange in RECORDED if exchange.event_stream]
SPLICE = b'"stream_options":{"include_usage":true},'
NANO = 1_000_000_000
FLAGGING = {"request": "flag", "response": "flag"}


@pytest.fixture(scope="module")
def routes(
    installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Route]]:
    require_exchanges()
    folder = tmp_path_factory.mktemp("replay")
    with (
        replaying(folder) as plain,
        replaying(folder, "--split", "7") as split,
        replaying(folder, "--gzip") as gzipped,
    ):
        origins = {"plain": plain, "split": split, "gzip": gzipped}
        yield {
            name: route_to(installation, f"replay {name}", origin, detect=FLAGGING)
            for name, origin in origins.items()
        }


def call(installation: Installation, route: Route, exchange: Exchange, encoding: str) -> httpx2.Response:
    """Sends the recorded request through the gateway and returns the answer, body as it came."""
    drop = {"host", "content-length", "accept-encoding", "authorization", "x-api-key", "connection"}
    headers = {name: value for name, value in exchange.headers.items() if name.lower() not in drop}
    headers |= {"x-replay-id": exchange.id, "accept-encoding": encoding, "x-api-key": route.place.token}
    query = f"?{exchange.query}" if exchange.query else ""
    url = f"{installation.gateway}/{exchange.provider}{exchange.path}{query}"
    request = installation.http.build_request(exchange.method, url, headers=headers, content=exchange.body)
    answer = installation.http.send(request, stream=True)
    answer.raw_bytes = b"".join(answer.iter_raw())
    answer.close()
    return answer


def asked_usage(exchange: Exchange) -> bool:
    options = json.loads(exchange.body or b"{}").get("stream_options") or {}
    return bool(options.get("include_usage"))


def is_spliced(exchange: Exchange) -> bool:
    """The documented difference: a chat stream whose caller did not ask for usage."""
    if exchange.path not in ("/v1/chat/completions", "/v1/completions"):
        return False
    return bool(json.loads(exchange.body).get("stream")) and not asked_usage(exchange)


def assert_faithful(installation: Installation, route: Route, exchange: Exchange, encoding: str) -> None:
    reset(route.origin)
    answer = call(installation, route, exchange, encoding)
    raw: bytes = answer.raw_bytes
    assert answer.status_code == exchange.status, raw[:300]
    expected = without_usage_chunk(exchange.reply) if is_spliced(exchange) else exchange.reply
    zipped = answer.headers.get("content-encoding") == "gzip"
    assert raw == (gzip.compress(exchange.reply, mtime=0) if zipped else expected)
    sent = exchange.body
    if is_spliced(exchange):
        at = sent.index(b"{") + 1
        sent = sent[:at] + SPLICE + sent[at:]
    (got,) = received(route.origin)
    assert got["body_sha256"] == hashlib.sha256(sent).hexdigest()
    assert_metered(installation, route, exchange, answer)


def assert_metered(
    installation: Installation, route: Route, exchange: Exchange, answer: httpx2.Response
) -> None:
    told = installation.told(route.place, answer.headers["x-tokenone-call"])
    expected = publishers_cost(exchange, datetime.datetime.now(datetime.UTC))
    attempt = told["attempts"][-1]
    if expected is None:
        assert attempt.get("cost", {}).get("nano") is None or attempt["usage"].get("estimated")
        return
    cost = attempt["cost"]
    assert abs(cost["nano"] - int(expected * NANO)) <= len(cost["lines"])
    assert cost["source"] == "price-book"


@pytest.mark.parametrize("exchange", RECORDED or [None], ids=lambda row: row.id[:60] if row else "absent")
def test_a_recorded_exchange_passes_byte_for_byte(
    installation: Installation, routes: dict[str, Route], exchange: Exchange
) -> None:
    assert_faithful(installation, routes["plain"], exchange, "identity")


@pytest.mark.parametrize("exchange", STREAMED or [None], ids=lambda row: row.id[:60] if row else "absent")
def test_a_stream_cut_into_seven_byte_pieces_is_the_same(
    installation: Installation, routes: dict[str, Route], exchange: Exchange
) -> None:
    assert_faithful(installation, routes["split"], exchange, "identity")


@pytest.mark.parametrize("exchange", RECORDED or [None], ids=lambda row: row.id[:60] if row else "absent")
def test_a_gzipped_exchange_passes_as_it_is(
    installation: Installation, routes: dict[str, Route], exchange: Exchange
) -> None:
    assert_faithful(installation, routes["gzip"], exchange, "gzip")
