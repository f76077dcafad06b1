"""Laws of refusals: the leased secret is removed in every spelling, other bodies pass byte for byte, and what a
refusal means decides whether a second attempt is allowed."""

from __future__ import annotations

import base64
import gzip
import json
import random
import zlib
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.dispatch.attempts import benches_key, may_try_again
from tokenone.dispatch.decode import ALLOWANCE, RATIO, WHOLE, Gunzip, decoded, decoder
from tokenone.dispatch.providers import PROVIDERS
from tokenone.dispatch.scrub import MARK, WITHHELD, scrub
from tokenone.errors import DialFailed, EgressRefused, RateLimited, UpstreamBroken, UpstreamTimeout
from tokenone.secret import Secret
from tokenone.types import ErrorClass, PathClass, Provider

PLAIN = b'sk-proj-Ab/9+canary_Zz"q'
SECRET = Secret(PLAIN)
SPELLINGS = {
    "plain": PLAIN,
    "json": json.dumps(PLAIN.decode())[1:-1].encode(),
    "json slash": PLAIN.replace(b"/", b"\\/"),
    "json unicode": "".join(f"\\u{byte:04x}" for byte in PLAIN).encode(),
    "url": quote(PLAIN.decode(), safe="").encode(),
    "url, every byte": "".join(f"%{byte:02X}" for byte in PLAIN).encode(),
    "hex": PLAIN.hex().encode(),
    "upper hex": PLAIN.hex().upper().encode(),
    "base64": base64.b64encode(PLAIN),
    "base64url": base64.urlsafe_b64encode(PLAIN).rstrip(b"="),
    "basic auth": base64.b64encode(b"user:" + PLAIN + b":x"),
    "bearer in base64": base64.b64encode(b"Bearer " + PLAIN),
    "reversed": PLAIN[::-1],
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS.keys())
@pytest.mark.parametrize("zipped", [False, True])
def test_an_echoed_secret_is_removed_from_body_and_headers(spelling: bytes, zipped: bool) -> None:
    body = b'{"error":{"message":"Incorrect key: ' + spelling + b' given"}}'
    headers = [(b"content-type", b"application/json"), (b"x-echo", spelling)]
    if zipped:
        headers.append((b"content-encoding", b"gzip"))
    cleaned = scrub(headers, gzip.compress(body) if zipped else body, SECRET)
    assert cleaned.changed
    assert MARK in cleaned.body
    assert MARK in dict(cleaned.headers)[b"x-echo"]
    assert b"content-encoding" not in dict(cleaned.headers)
    core = spelling[4:-4]
    assert core not in cleaned.body + cleaned.plain + dict(cleaned.headers)[b"x-echo"]


@pytest.mark.parametrize("encode", [lambda body: body, gzip.compress])
def test_a_refusal_without_the_secret_passes_byte_for_byte(encode: object) -> None:
    body = b'{"error":{"message":"You sent sk-proj-Ab***Zz"}}'
    sent = gzip.compress(body) if encode is gzip.compress else body
    headers = [(b"Content-Encoding", b"gzip")] if sent != body else []
    cleaned = scrub(headers, sent, SECRET)
    assert (cleaned.headers, cleaned.body, cleaned.plain, cleaned.changed) == (headers, sent, body, False)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [(b"br", b"\x0b"), (b"gzip", b"not gzip"), (b"gzip", gzip.compress(PLAIN * 9)[:-6]), (b"zstd", PLAIN)],
)
def test_a_refusal_that_cannot_be_read_is_withheld(encoding: bytes, body: bytes) -> None:
    cleaned = scrub([(b"content-encoding", encoding), (b"x-request-id", b"r")], body, SECRET)
    assert cleaned.body == WITHHELD
    assert cleaned.headers == [(b"content-type", b"application/json"), (b"x-request-id", b"r")]


# ── decoding ─────────────────────────────────────────────────────────────────────────────────────────────
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=3), st.integers(1, 50))
def test_gzip_members_are_decoded_however_they_are_cut(members: list[bytes], size: int) -> None:
    raw = b"".join(gzip.compress(member) for member in members)
    inflate = Gunzip()
    out = b"".join(inflate.feed(raw[at : at + size]) for at in range(0, len(raw), size))
    assert (out, inflate.whole) == (b"".join(members), True)
    cut = Gunzip()
    cut.feed(raw[:-1])
    assert not cut.whole


def test_a_compression_bomb_stops_within_its_bound() -> None:
    bomb = gzip.compress(bytes(50_000_000), 9)
    inflate, out = Gunzip(), 0
    for at in range(0, len(bomb), 1000):
        out += len(inflate.feed(bomb[at : at + 1000]))
    assert inflate.overflow
    assert not inflate.whole
    assert out <= ALLOWANCE + RATIO * len(bomb)
    assert inflate.feed(gzip.compress(b"more")) == b""
    assert decoded(bomb, b"gzip") is None


def test_a_whole_body_is_never_decoded_into_more_than_memory_is_meant_for() -> None:
    block = random.Random(7).randbytes(4096)
    fits, exceeds = (gzip.compress(block * (WHOLE // 4096) + end, 6) for end in (b"", b"x"))
    assert RATIO * len(exceeds) > WHOLE, "it is no bomb by its ratio"
    assert len(decoded(fits, b"gzip") or b"") == WHOLE
    assert decoded(exceeds, b"gzip") is None


@given(st.binary(max_size=200))
def test_no_input_makes_the_decoder_raise(raw: bytes) -> None:
    inflate = Gunzip()
    inflate.feed(b"\x1f\x8b\x08\x00" + raw)
    inflate.feed(raw)
    assert inflate.broken or not inflate.overflow


def test_unknown_encodings_are_not_decoded() -> None:
    assert decoder(b"br") is None
    assert decoder(b"gzip, br") is None
    assert decoded(zlib.compress(b"x"), b"deflate") is None
    assert decoded(b"x", None) == b"x"


# ── classes ──────────────────────────────────────────────────────────────────────────────────────────────
def openai(code: str | None, message: str = "", type_: str | None = None) -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "type": type_, "param": None}}).encode()


def anthropic(kind: str, message: str = "", **error: object) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message, **error}}).encode()


CAPPED = anthropic("rate_limit_error", details={"error_code": "enforced_spend_limit_reached"})
RETRY = [(b"Retry-After", b"9")]


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, openai("invalid_api_key"), ErrorClass.KEY_DEAD),
        (401, openai("account_deactivated"), ErrorClass.KEY_DEAD),
        (401, b"<html>", ErrorClass.KEY_DEAD),
        (401, openai("ip_not_authorized"), ErrorClass.UNKNOWN),
        (401, openai(None, "You have insufficient permissions for this operation."), ErrorClass.MODEL_DENIED),
        (429, openai("rate_limit_exceeded"), ErrorClass.RATE),
        (429, openai("insufficient_quota", type_="insufficient_quota"), ErrorClass.BILLING),
        (429, openai("credit_balance_exhausted", type_="requests"), ErrorClass.BILLING),
        (429, openai("organization_spend_limit_exceeded"), ErrorClass.BILLING),
        (429, openai("project_spend_limit_exceeded"), ErrorClass.BILLING),
        (429, openai("organization_usage_limit_exceeded"), ErrorClass.BILLING),
        (429, b"", ErrorClass.RATE),
        (503, openai("slow_down"), ErrorClass.UPSTREAM),
        (500, b"oops", ErrorClass.UPSTREAM),
        (408, b"", ErrorClass.UPSTREAM),
        (404, openai("model_not_found"), ErrorClass.MODEL_DENIED),
        (404, openai(None), ErrorClass.CALLER),
        (403, openai("model_not_found"), ErrorClass.MODEL_DENIED),
        (403, openai("unsupported_country_region_territory"), ErrorClass.CALLER),
        (400, openai(None, "bad"), ErrorClass.CALLER),
        (400, b'{"error":"text"}', ErrorClass.CALLER),
        (200, b"{}", ErrorClass.UNKNOWN),
    ],
)
def test_openai_refusals(status: int, body: bytes, expected: ErrorClass) -> None:
    assert PROVIDERS[Provider.OPENAI].error_class(status, [], body) is expected


@pytest.mark.parametrize(
    ("status", "body", "headers", "expected"),
    [
        (401, anthropic("authentication_error"), [], ErrorClass.KEY_DEAD),
        (403, anthropic("permission_error", "OAuth token has been revoked."), [], ErrorClass.KEY_DEAD),
        (403, anthropic("permission_error"), [], ErrorClass.MODEL_DENIED),
        (402, anthropic("billing_error"), [], ErrorClass.BILLING),
        (
            400,
            anthropic("invalid_request_error", "Your credit balance is too low to …"),
            [],
            ErrorClass.BILLING,
        ),
        (400, anthropic("x", "You have reached your specified API usage limits."), [], ErrorClass.BILLING),
        (400, anthropic("invalid_request_error", "temperature"), [], ErrorClass.CALLER),
        (404, anthropic("not_found_error", "model: claude-x"), [], ErrorClass.MODEL_DENIED),
        (404, anthropic("not_found_error", "Not found"), [], ErrorClass.CALLER),
        (413, anthropic("request_too_large"), [], ErrorClass.CALLER),
        (429, anthropic("rate_limit_error"), RETRY, ErrorClass.RATE),
        (429, CAPPED, [], ErrorClass.BILLING),
        (429, CAPPED, RETRY, ErrorClass.RATE),
        (500, b"", [], ErrorClass.UPSTREAM),
        (529, anthropic("overloaded_error"), [], ErrorClass.UPSTREAM),
    ],
)
def test_anthropic_refusals(
    status: int, body: bytes, headers: list[tuple[bytes, bytes]], expected: ErrorClass
) -> None:
    assert PROVIDERS[Provider.ANTHROPIC].error_class(status, headers, body) is expected


@pytest.mark.parametrize("failure", [DialFailed(), EgressRefused(), ErrorClass.KEY_DEAD])
def test_a_second_attempt_follows_where_the_first_had_no_effect(failure: object) -> None:
    assert may_try_again(failure, answered=False)  # type: ignore[arg-type]
    assert not may_try_again(failure, answered=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "failure",
    [UpstreamTimeout(), UpstreamBroken(), RateLimited(), *(set(ErrorClass) - {ErrorClass.KEY_DEAD})],
)
def test_nothing_else_is_ever_sent_twice(failure: object) -> None:
    assert not may_try_again(failure, answered=False)  # type: ignore[arg-type]


def test_only_a_dead_key_is_benched() -> None:
    assert benches_key(ErrorClass.KEY_DEAD)
    assert not any(benches_key(kind) for kind in set(ErrorClass) - {ErrorClass.KEY_DEAD})


def test_each_provider_has_a_probe_that_costs_nothing() -> None:
    """Bedrock's runtime has nothing that is free for callers; its probe lists jobs, which costs nothing either."""
    for facts in PROVIDERS.values():
        lists_jobs = facts.provider is Provider.BEDROCK and facts.probe.method == b"GET"
        wanted = PathClass.STATEFUL if lists_jobs else PathClass.FREE
        assert facts.classify(facts.probe.method, facts.probe.target) is wanted
