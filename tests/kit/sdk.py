"""Sends recorded exchanges through the official SDKs, each by the method that belongs to its path.

Law: an SDK gets what its users could give it: the recorded body as parameters (`extra_body` for members that
its signature lacks) and nothing else but the name of the recording; what comes of it is plain data to compare.
"""

from __future__ import annotations

import inspect
import json
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx2
import openai

from kit.shared import Exchange

METHODS = {
    "/v1/chat/completions": "chat.completions.create",
    "/v1/completions": "completions.create",
    "/v1/embeddings": "embeddings.create",
    "/v1/responses": "responses.create",
    "/v1/responses/compact": "responses.compact",
    "/v1/responses/input_tokens": "responses.input_tokens.count",
    "/v1/responses/*": "responses.retrieve",
    "/v1/messages": "messages.create",
    "/v1/messages/count_tokens": "messages.count_tokens",
    "/v1/messages?beta=true": "beta.messages.create",
    "/v1/messages/count_tokens?beta=true": "beta.messages.count_tokens",
}
SDK_ERRORS = (openai.APIError, anthropic.APIError)


@dataclass(frozen=True)
class Failure:
    """What an SDK's exception tells its user."""

    kind: str
    message: str
    status: int | None
    body: object
    request_id: str | None


@dataclass(frozen=True)
class Parsed:
    """What an SDK made of an answer: the results in order, and the exception that ended them."""

    results: tuple[dict[str, Any], ...] = ()
    request_id: str | None = None
    failure: Failure | None = None


def method_name(exchange: Exchange) -> str:
    """Returns the SDK's name of the method for an exchange's path."""
    if exchange.method == "GET":
        return METHODS["/v1/responses/*"]
    beta = "?beta=true" if "beta=true" in exchange.query else ""
    return METHODS[exchange.path + beta]


def method_of(client: object, exchange: Exchange) -> Callable[..., Any]:
    """Returns the client's method for an exchange."""
    method: Callable[..., Any] = operator.attrgetter(method_name(exchange))(client)
    return method


def arguments(method: Callable[..., Any], exchange: Exchange) -> dict[str, Any]:
    """Returns the recorded request as the method's arguments."""
    headers = {"x-replay-id": exchange.id}
    if "anthropic-beta" in exchange.headers:
        headers["anthropic-beta"] = exchange.headers["anthropic-beta"]
    if exchange.method == "GET":
        return {"response_id": exchange.path.rpartition("/")[2], "extra_headers": headers}
    body = json.loads(exchange.body)
    known = _parameters(method)
    given = {name: value for name, value in body.items() if name in known}
    given |= dict.fromkeys(_required(method) - given.keys(), "")  # a recording of a malformed request
    rest = {name: value for name, value in body.items() if name not in known}
    return {**given, "extra_body": rest or None, "extra_headers": headers, "timeout": 30}


def _parameters(method: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(method).parameters


def _required(method: Callable[..., Any]) -> set[str]:
    unset = inspect.Parameter.empty
    return {name for name, one in _parameters(method).items() if one.default is unset}


def parsed(client: object, exchange: Exchange) -> Parsed:
    """Sends an exchange with a blocking client."""
    method = method_of(client, exchange)
    results: list[Any] = []
    try:
        answer = method(**arguments(method, exchange))
        if not exchange.event_stream:
            return _read([answer], answer._request_id)
        with answer:
            results.extend(answer)  # what came before an error stays in the list
    except SDK_ERRORS as error:
        return _read(results, None, error)
    return _read(results)


async def parsed_by_async(client: object, exchange: Exchange) -> Parsed:
    """Sends an exchange with an asynchronous client."""
    method = method_of(client, exchange)
    results: list[Any] = []
    try:
        answer = await method(**arguments(method, exchange))
        if not exchange.event_stream:
            return _read([answer], answer._request_id)
        async with answer:
            async for event in answer:
                results.append(event)
    except SDK_ERRORS as error:
        return _read(results, None, error)
    return _read(results)


def _read(results: list[Any], request_id: str | None = None, error: Exception | None = None) -> Parsed:
    plain = tuple(one.model_dump(mode="json", warnings=False) for one in results)
    return Parsed(plain, request_id, None if error is None else _failure(error))


def _failure(error: Any) -> Failure:
    status, request_id = getattr(error, "status_code", None), getattr(error, "request_id", None)
    return Failure(type(error).__qualname__, str(error), status, error.body, request_id)


class Counting(httpx2.HTTPTransport):
    """Counts the requests that an SDK really sends, its own retries included."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[httpx2.Request] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.sent.append(request)
        return super().handle_request(request)


def http(transport: httpx2.BaseTransport | None = None) -> httpx2.Client:
    """Returns an HTTP client for an SDK, without proxies from the environment."""
    return httpx2.Client(transport=transport, trust_env=False, timeout=30)
