"""The official SDKs as callers: unchanged, one try each, no environment."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import anthropic
import httpx2
import openai

from kit.fronts import FRONTS

ERRORS: dict[str, dict[int, type[Exception]]] = {
    "openai": {
        400: openai.BadRequestError, 401: openai.AuthenticationError, 403: openai.PermissionDeniedError,
        404: openai.NotFoundError, 409: openai.ConflictError, 422: openai.UnprocessableEntityError,
        429: openai.RateLimitError, 402: openai.APIStatusError, 413: openai.APIStatusError,
    },
    "anthropic": {
        400: anthropic.BadRequestError, 401: anthropic.AuthenticationError,
        403: anthropic.PermissionDeniedError, 404: anthropic.NotFoundError, 409: anthropic.ConflictError,
        422: anthropic.UnprocessableEntityError, 429: anthropic.RateLimitError, 402: anthropic.APIStatusError,
        413: anthropic.APIStatusError,
    },
}  # fmt: skip
BROAD: dict[str, type[Exception]] = {"openai": openai.APIError, "anthropic": anthropic.APIError}
SERVER: dict[str, type[Exception]] = {
    "openai": openai.InternalServerError,
    "anthropic": anthropic.InternalServerError,
}


def expected(front: str, status: int) -> type[Exception]:
    """The class that the SDK has for a status."""
    return SERVER[front] if status >= 500 else ERRORS[front][status]


def ask(
    front: str, gateway: str, token: str, *, stream: bool = False, headers: dict[str, str], **body: Any
) -> Any:
    """Makes one small call with the front's SDK; a stream is read to its end."""
    http = httpx2.Client(trust_env=False, timeout=30)
    model = body.pop("model", FRONTS[front].model)
    messages: Any = [{"role": "user", "content": body.pop("text", "What is the law?")}]
    common: dict[str, Any] = {
        "model": model, "messages": messages, "stream": stream, "extra_headers": headers, **body,
    }  # fmt: skip
    create: Callable[..., Any]
    if front == "openai":
        create = openai.OpenAI(
            api_key=token, base_url=f"{gateway}/openai/v1", max_retries=0, http_client=http
        ).chat.completions.create
    else:
        create = anthropic.Anthropic(
            api_key=token, base_url=f"{gateway}/anthropic", max_retries=0, http_client=http
        ).messages.create
        common["max_tokens"] = 64
    with http:
        made = create(**common)
        return list(made) if stream and isinstance(made, Iterable) else made
