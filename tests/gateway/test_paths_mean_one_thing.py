"""Which path means what; queries are never remembered; refusals speak the caller's dialect."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from typing import Any

import pytest

from tokenone.errors import (
    LedgerUnavailable,
    ModelDenied,
    NoKeyInScope,
    RateLimited,
    TokenOneError,
    Unidentified,
    UnknownPath,
)
from tokenone.gateway import refusal, routes
from tokenone.types import Dialect, Provider


@pytest.mark.parametrize(
    ("path", "provider", "below", "dialect", "unified"),
    [
        (b"/openai/v1/chat/completions", Provider.OPENAI, b"/v1/chat/completions", Dialect.OPENAI, False),
        (b"/anthropic/v1/messages", Provider.ANTHROPIC, b"/v1/messages", Dialect.ANTHROPIC, False),
        (b"/v1/openai-proxy/v1/embeddings", Provider.OPENAI, b"/v1/embeddings", Dialect.OPENAI, False),
        (b"/v1/openai-proxy/embeddings", Provider.OPENAI, b"/v1/embeddings", Dialect.OPENAI, False),
        (b"/v1/anthropic-proxy/messages", Provider.ANTHROPIC, b"/v1/messages", Dialect.ANTHROPIC, False),
        (b"/v1/chat/completions", Provider.OPENAI, b"/v1/chat/completions", Dialect.OPENAI, True),
        (b"/openai/v1/models/ft%3Agpt", Provider.OPENAI, b"/v1/models/ft%3Agpt", Dialect.OPENAI, False),
    ],
)
def test_a_path_means_one_front(
    path: bytes, provider: Provider, below: bytes, dialect: Dialect, unified: bool
) -> None:
    front = routes.front_of(path)
    assert (front.provider, front.path, front.dialect, front.unified) == (provider, below, dialect, unified)


@pytest.mark.parametrize(
    "path",
    [b"/", b"", b"/openaix/v1/models", b"/OPENAI/v1/models", b"/unheard-of/v1/models", b"/tokenone/byok"],
)
def test_what_is_not_listed_is_not_served(path: bytes) -> None:
    with pytest.raises(UnknownPath):
        routes.front_of(path)


def test_long_paths_are_worked_out_and_not_kept() -> None:
    marker = b"/openai/v1/files/" + b"q" * 200
    assert routes.front_of(marker).path == marker.removeprefix(b"/openai")
    gc.collect()
    kept = [one for one in gc.get_objects() if isinstance(one, dict) and marker in one]
    assert kept == []


SHAPES: dict[Dialect, Callable[[TokenOneError, Any], dict[str, Any]]] = {
    Dialect.OPENAI: lambda error, told: {
        "error": {"message": error.sentence, "type": told["error"]["type"], "param": None, "code": error.code}
    },
    Dialect.ANTHROPIC: lambda error, told: {
        "type": "error",
        "error": {"type": told["error"]["type"], "message": error.sentence, "code": error.code},
    },
    Dialect.GOOGLE: lambda error, told: {
        "error": {
            "code": error.status,
            "message": error.sentence,
            "status": told["error"]["status"],
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": error.code.upper(),
                    "domain": "tokenone",
                }
            ],
        }
    },
    Dialect.AWS: lambda error, _: {"message": error.sentence, "code": error.code},
}


@pytest.mark.parametrize("dialect", list(Dialect))
@pytest.mark.parametrize(
    ("error", "retry"),
    [
        (Unidentified(), False),
        (NoKeyInScope(), False),
        (ModelDenied(), False),
        (RateLimited(retry_after=3), True),
        (LedgerUnavailable(), True),
        (TokenOneError(), True),
    ],
)
def test_a_refusal_says_what_it_is_in_the_callers_dialect(
    dialect: Dialect, error: TokenOneError, retry: bool
) -> None:
    status, headers, body = refusal.answer(error, dialect, "call0_x")
    told = dict(headers)
    assert status == error.status
    assert told[b"x-tokenone-error-origin"] == b"gateway"
    assert told[b"x-tokenone-error"] == error.code.encode()
    assert told[b"x-should-retry"] == (b"true" if retry else b"false")
    assert told.get(b"retry-after") == (b"3" if error.retry_after else None)
    assert json.loads(body) == SHAPES[dialect](error, json.loads(body))
    assert error.advice in body.decode().replace('\\"', '"')
    assert (b"x-amzn-errortype" in told) is (dialect is Dialect.AWS)


def test_an_error_inside_a_stream_is_an_event_of_its_own() -> None:
    openai = refusal.frame(LedgerUnavailable(), Dialect.OPENAI)
    anthropic = refusal.frame(LedgerUnavailable(), Dialect.ANTHROPIC)
    assert openai.startswith(b"\n\ndata: {")
    assert anthropic.startswith(b"\n\nevent: error\ndata: {")
    assert openai.endswith(b"}\n\n")
    assert anthropic.endswith(b"}\n\n")
