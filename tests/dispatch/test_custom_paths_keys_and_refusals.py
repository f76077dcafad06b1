"""Laws of services of one's own choice: which paths pass, how a key goes or does not, what a refusal means."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.passage import Refusal, refusals
from tokenone.dispatch.credential import Unsigned, forms
from tokenone.dispatch.providers.custom import CUSTOM
from tokenone.errors import BadSecret
from tokenone.rows import Endpoint
from tokenone.secret import Secret
from tokenone.types import ErrorClass, Headers, Provider

UNSIGNED = Unsigned(
    b"POST", b"mine.example", b"/v1/chat/completions", [(b"X-Custom-Key", b"caller's")], b"{}", 0
)
KEY = b"token-0123456789abcdef"


# ── paths ──────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/v1/chat/completions", "inference"),
        ("POST", "/chat/completions", "inference"),
        ("POST", "/v1/embeddings", "inference"),
        ("POST", "/v1/responses", "inference"),
        ("POST", "/v1/messages", "inference"),
        ("POST", "/v1/rerank", "inference"),
        ("POST", "/rerank", "inference"),
        ("POST", "/v2/rerank", "inference"),
        ("POST", "/v1/fim/completions", "inference"),
        ("POST", "/tokenize", "inference"),
        ("POST", "/api/chat", "inference"),
        ("POST", "/api/generate", "inference"),
        ("POST", "/api/embed", "inference"),
        ("POST", "/api/show", "free"),
        ("GET", "/api/tags", "free"),
        ("GET", "/api/ps", "free"),
        ("GET", "/v1/models", "free"),
        ("GET", "/models/x", "free"),
        ("GET", "/v1/responses/r", "stateful"),
        ("POST", "/v1/files", "stateful"),
        ("POST", "/batches", "stateful"),
        ("POST", "/v1/load_lora_adapter", "admin"),
        ("POST", "/v1/unload_lora_adapter", "admin"),
        ("POST", "/api/pull", "admin"),
        ("DELETE", "/api/delete", "admin"),
        ("POST", "/api/create", "admin"),
        ("POST", "/api/blobs/sha256:x", "admin"),
        ("DELETE", "/v1/models/x", "admin"),
        ("GET", "/v1/organization/costs", "admin"),
        ("POST", "/invocations", None),
        ("POST", "/sleep", None),
        ("POST", "/reset_prefix_cache", None),
        ("GET", "/metrics", None),
        ("GET", "/api/chat", None),
        ("POST", "/v1/../api/pull", None),
        ("POST", "/api/%70ull", None),
        ("POST", "/", None),
    ],
)
def test_paths(method: str, path: str, kind: str | None) -> None:
    assert CUSTOM.classify(method.encode(), path.encode()) == kind


def test_counting_tokens_costs_nothing() -> None:
    assert not any(map(CUSTOM.bills, (b"/tokenize", b"/detokenize", b"/v1/messages/count_tokens")))
    assert CUSTOM.bills(b"/api/chat")


@pytest.mark.parametrize(
    ("base_path", "path", "sent"),
    [
        ("", "/v1/chat/completions", "/v1/chat/completions"),
        ("", "/chat/completions", "/chat/completions"),
        ("", "/api/chat", "/api/chat"),
        ("/vllm", "/v1/chat/completions", "/vllm/v1/chat/completions"),
        ("/vllm", "/tokenize", "/vllm/tokenize"),
        ("/openai/v1", "/v1/chat/completions", "/openai/v1/chat/completions"),
        ("/openai/v1", "/chat/completions", "/openai/v1/chat/completions"),
        ("/api/paas/v4", "/v1/chat/completions", "/api/paas/v4/chat/completions"),
        ("/novita/v3/openai", "/v1/chat/completions", "/novita/v3/openai/chat/completions"),
        ("/v1beta", "/v1/models/a%2Fb", "/v1beta/models/a%2Fb"),
        ("/vllm", "/v1", "/vllm/v1"),
        ("/v1", "/v1x/y", "/v1/v1x/y"),
        ("/versions", "/v1/models", "/versions/v1/models"),
    ],
)
def test_a_version_in_the_base_path_takes_the_place_of_the_paths_own(
    base_path: str, path: str, sent: str
) -> None:
    endpoint = Endpoint("ep", None, Provider.CUSTOM, "mine", ("https://mine.example",), base_path)
    assert CUSTOM.place(endpoint, path.encode()) == sent.encode()


# ── keys ───────────────────────────────────────────────────────────────────────────────────────────────────
def document(**members: Any) -> bytes:
    return json.dumps(members).encode()


@pytest.mark.parametrize(
    ("secret", "sent"),
    [
        (KEY, [*UNSIGNED.headers, (b"authorization", b"Bearer " + KEY)]),
        (b"gsk_" + b"a" * 52, [*UNSIGNED.headers, (b"authorization", b"Bearer gsk_" + b"a" * 52)]),
        (b"sk-" + b"a" * 32, [*UNSIGNED.headers, (b"authorization", b"Bearer sk-" + b"a" * 32)]),
        (document(type="no-key"), UNSIGNED.headers),
        (
            document(type="header-key", header="X-Custom-Key", key="abcdefgh12345678"),
            [(b"X-Custom-Key", b"abcdefgh12345678")],
        ),
        (
            document(type="header-key", header="Authorization", key="Basic dXNlcjpwYXNzd29yZA=="),
            [*UNSIGNED.headers, (b"Authorization", b"Basic dXNlcjpwYXNzd29yZA==")],
        ),
    ],
)  # fmt: skip
def test_a_key_goes_as_bearer_in_a_header_of_its_own_or_not_at_all(secret: bytes, sent: Headers) -> None:
    CUSTOM.check_secret(secret)
    assert CUSTOM.credential(UNSIGNED, Secret(secret)) == sent


def test_a_key_in_a_document_is_scrubbed_from_refusals() -> None:
    assert b"abcdefgh12345678" in forms(
        Secret(document(type="header-key", header="x-k", key="abcdefgh12345678"))
    )


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        (b"", "empty"),
        (b"short", "16 to 4096"),
        (b"has white space in it", "white space"),
        (b"sk-ant-api03-" + b"a" * 40, "Anthropic"),
        (b"sk-proj-" + b"a" * 40, "OpenAI"),
        (b"sk-or-v1-" + b"a" * 40, "OpenRouter"),
        (b"AKIA" + b"A" * 16, "AWS"),
        (b"to_live_" + b"a" * 30, "caller token"),
        (b"{}", "`no-key` or `header-key`"),
        (document(type="none"), "`no-key` or `header-key`"),
        (b'{"type":"header-key","type":"no-key"}', "more than once"),
        (document(type="no-key", key=KEY.decode()), "does not know: `key`"),
        (document(type="header-key", header="x-k"), "lacks `key`"),
        (document(type="header-key", key="abcdefgh12345678"), "lacks `header`"),
        (document(type="header-key", header="x k", key="abcdefgh12345678"), "`header`"),
        (document(type="header-key", header="x-k\r\nhost", key="abcdefgh12345678"), "`header`"),
        (document(type="header-key", header="x-k", key="a\r\nb: c" + "d" * 16), "`key`"),
        (document(type="header-key", header="x-k", key=" abcdefgh12345678"), "`key`"),
        (document(type="header-key", header="x-k", key="schlüssel-schlüssel"), "`key`"),
        (document(type="header-key", header="x-k", key="short"), "`key`"),
        (document(type="header-key", header="Host", key="abcdefgh12345678"), "carries no keys"),
        (document(type="header-key", header="content-length", key="1234567890123456"), "carries no keys"),
        (document(type="header-key", header="X-TokenOne-Call", key="abcdefgh12345678"), "carries no keys"),
        (
            document(type="header-key", header="proxy-authorization", key="abcdefgh12345678"),
            "carries no keys",
        ),
    ],
)
def test_what_is_not_a_credential_is_refused_with_the_reason(secret: bytes, said: str) -> None:
    with pytest.raises(BadSecret) as refused:
        CUSTOM.check_secret(secret)
    assert said in refused.value.detail
    assert not any(part in refused.value.detail for part in ("abcdefgh", "aaaaaaaa", "token-0123"))


@given(st.binary(max_size=120).map(lambda noise: b"{" + noise))
def test_no_document_makes_the_check_fail_otherwise(secret: bytes) -> None:
    with pytest.raises(BadSecret):
        CUSTOM.check_secret(secret)


# ── refusals ───────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("refusal", refusals("custom"))
def test_a_refusal_has_its_class(refusal: Refusal) -> None:
    assert CUSTOM.error_class(refusal.status, refusal.headers, refusal.body) is refusal.expected


def test_half_of_the_vectors_are_traps() -> None:
    traps = [param.values[0].trap for param in refusals("custom")]
    assert sum(traps) * 2 >= len(traps)


@given(st.integers(100, 599), st.one_of(st.binary(max_size=200), st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.dictionaries(st.sampled_from(["error", "message", "code", "type", "detail"]), inner, max_size=4),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())))  # fmt: skip
def test_no_refusal_makes_the_reader_raise(status: int, body: bytes) -> None:
    assert CUSTOM.error_class(status, [], body) in ErrorClass


def test_a_long_refusal_is_read_in_no_time() -> None:
    body = json.dumps({"error": {"message": "model " * 200_000}}).encode()
    assert CUSTOM.error_class(404, [], body) is ErrorClass.CALLER
