"""Laws of the headers: forwarded as received but for hop-by-hop, credentials, framing and the gateway's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.dispatch import forward
from tokenone.dispatch.credential import Unsigned
from tokenone.dispatch.providers import PROVIDERS
from tokenone.errors import BadSecret
from tokenone.secret import Secret
from tokenone.types import Headers, Provider

OPENAI, ANTHROPIC = PROVIDERS[Provider.OPENAI], PROVIDERS[Provider.ANTHROPIC]
ENCODING = (b"accept-encoding", b"identity")
DROPPED = (
    b"Authorization X-Api-Key x-goog-api-key API-Key Cookie Host Content-Length Transfer-Encoding Connection TE "
    b"Keep-Alive Trailer Upgrade Proxy-Authorization Proxy-Connection Expect X-TokenOne-Call x-amz-security-token "
    b"X-HTTP-Method-Override X-HTTP-Method X-Method-Override"
).split()


@pytest.mark.parametrize("name", DROPPED)
def test_credentials_and_hop_by_hop_fields_never_go_on(name: bytes) -> None:
    kept: Headers = [(b"User-Agent", b"sdk"), (b"anthropic-beta", b"x"), (b"X-Unknown", b"1")]
    for spelled in (name, name.lower(), name.upper()):
        received = [*kept[:1], (spelled, b"Bearer to_live_secret"), *kept[1:]]
        assert forward.request_headers(received) == [*kept, ENCODING]


def test_fields_that_connection_names_are_dropped_both_ways() -> None:
    headers: Headers = [
        (b"X-Hop", b"1"),
        (b"Connection", b"close, X-Hop"),
        (b"Date", b"now"),
        (b"x-hop", b"2"),
    ]
    assert forward.request_headers(headers) == [(b"Date", b"now"), ENCODING]
    assert forward.response_headers(headers) == [(b"Date", b"now")]


def test_a_reply_keeps_its_headers_in_order_cookies_and_repeats_included() -> None:
    kept: Headers = [
        (b"Content-Type", b"application/json"), (b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=2"),
        (b"Content-Encoding", b"gzip"), (b"x-request-id", b"r"), (b"Retry-After", b"3"),
    ]  # fmt: skip
    gone: Headers = [
        (b"Content-Length", b"3"),
        (b"Transfer-Encoding", b"chunked"),
        (b"X-TokenOne-Key", b"forged"),
    ]
    assert forward.response_headers([*gone, *kept]) == kept
    assert (b"Content-Encoding", b"gzip") not in forward.response_headers(kept, decoded=True)


@pytest.mark.parametrize(
    ("accepted", "sent"),
    [
        ([b"gzip, deflate, br, zstd"], b"gzip"),
        ([b"br", b"gzip"], b"gzip"),
        ([b"*"], b"gzip"),
        ([b"GZIP;q=0.5"], b"gzip"),
        ([b"gzip;q=0"], b"identity"),
        ([b"gzip; q=0.000, br"], b"identity"),
        ([b"br, zstd"], b"identity"),
        ([b"identity"], b"identity"),
        ([b""], b"identity"),
        ([], b"identity"),
    ],
)
def test_accepted_encodings_are_clamped(accepted: list[bytes], sent: bytes) -> None:
    headers = [(b"Accept-Encoding", value) for value in accepted]
    assert forward.request_headers(headers) == [(b"accept-encoding", sent)]
    assert forward.request_headers(headers, identity=True) == [ENCODING]
    assert forward.request_headers(headers, clamp=False) == headers


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        (b"/v1/models?key=secret", b"/v1/models"),
        (b"/v1/models?a=1&KEY=secret&b=%2F", b"/v1/models?a=1&b=%2F"),
        (b"/v1/models?api_key=s&access_token=t", b"/v1/models"),
        (b"/v1/models?limit=1&keys=2", b"/v1/models?limit=1&keys=2"),
        (b"/v1/models?", b"/v1/models?"),
        (b"/v1/models?k%65y=secret&x=1", b"/v1/models?x=1"),
        (b"/v1/a%3Ab", b"/v1/a%3Ab"),
        (b"/v1/messages?beta=true", b"/v1/messages?beta=true"),
    ],
)
def test_a_credential_in_the_query_is_removed_and_the_rest_keeps_its_spelling(
    target: bytes, sent: bytes
) -> None:
    assert forward.request_target(target) == sent


@given(
    st.lists(st.tuples(st.sampled_from([b"a", b"B", b"connection"]), st.sampled_from([b"a", b"x", b"close"])))
)
def test_what_is_forwarded_is_a_subsequence_of_what_came(headers: Headers) -> None:
    sent = forward.response_headers(headers)
    rest = iter(headers)
    assert all(field in rest for field in sent)
    assert all(name.lower() != b"connection" for name, _ in sent)


@pytest.mark.parametrize(
    ("provider", "secret", "field"),
    [
        (OPENAI, b"sk-proj-abc", (b"authorization", b"Bearer sk-proj-abc")),
        (ANTHROPIC, b"sk-ant-api03-abc", (b"x-api-key", b"sk-ant-api03-abc")),
        (ANTHROPIC, b"sk-ant-oat01-abc", (b"authorization", b"Bearer sk-ant-oat01-abc")),
    ],
)
def test_the_providers_key_decides_its_own_header(
    provider: object, secret: bytes, field: tuple[bytes, bytes]
) -> None:
    facts = OPENAI if provider is OPENAI else ANTHROPIC
    unsigned = Unsigned(b"POST", b"provider.example", b"/v1/x", [(b"accept", b"*/*")], b"{}", 0)
    assert facts.credential(unsigned, Secret(secret)) == [(b"accept", b"*/*"), field]


TAIL = b"A1b2C3d4E5f6G7h8I9j0"


@pytest.mark.parametrize("secret", [b"sk-proj-", b"sk-svcacct-", b"sk-", b"sk-proj-_-"])
def test_an_openai_key_passes(secret: bytes) -> None:
    OPENAI.check_secret(secret + TAIL)


@pytest.mark.parametrize("secret", [b"sk-ant-api03-", b"sk-ant-oat01-", b"sk-ant-"])
def test_an_anthropic_key_passes(secret: bytes) -> None:
    ANTHROPIC.check_secret(secret + TAIL)


@pytest.mark.parametrize(
    ("facts", "secret", "reason"),
    [
        (OPENAI, b"sk-admin-" + TAIL, "admin key"),
        (OPENAI, b"sk-ant-api03-" + TAIL, "Anthropic"),
        (OPENAI, b"sk-or-v1-" + TAIL, "OpenRouter"),
        (OPENAI, b"AIza" + TAIL, "Google"),
        (OPENAI, b"to_live_" + TAIL, "caller token"),
        (OPENAI, b"AKIA" + TAIL, "AWS"),
        (OPENAI, b"sk-", "characters"),
        (OPENAI, b"pk-" + TAIL, "begin with"),
        (OPENAI, b"sk-proj-" + TAIL + b"\n", "white space"),
        (OPENAI, b"Bearer sk-" + TAIL, "white space"),
        (OPENAI, b"sk-abc...wxyz12345678", "shortened"),
        (OPENAI, b"OPENAI_API_KEY=sk-" + TAIL, "variable"),
        (OPENAI, b'"sk-' + TAIL + b'"', "quotes"),
        (OPENAI, "sk-é".encode() + TAIL, "characters"),
        (OPENAI, b"sk-" + b"x" * 5000, "characters"),
        (OPENAI, b"", "empty"),
        (ANTHROPIC, b"sk-ant-admin01-" + TAIL, "admin key"),
        (ANTHROPIC, b"sk-proj-" + TAIL, "OpenAI"),
        (ANTHROPIC, b"sk-" + TAIL, "OpenAI"),
        (ANTHROPIC, b"to_dev_" + TAIL, "caller token"),
    ],
)
def test_a_wrong_secret_is_refused_with_a_reason_that_does_not_repeat_it(
    facts: object, secret: bytes, reason: str
) -> None:
    checked = OPENAI if facts is OPENAI else ANTHROPIC
    with pytest.raises(BadSecret, match=reason) as refused:
        checked.check_secret(secret)
    assert TAIL.decode() not in refused.value.detail


def test_an_event_stream_is_known_by_its_type() -> None:
    named = [(b"Content-Type", b"Text/Event-Stream; charset=utf-8")]
    assert forward.content_type(named) == b"text/event-stream; charset=utf-8"
    assert forward.content_type([]) == b""
