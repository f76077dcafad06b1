"""The stand-in itself: whose protocol a request speaks, whether its key is accepted, what it answers.

Law: what it received, credentials included, is kept in memory (the last `keep` requests) and nowhere else.
Keys can be accepted and revoked at any moment from any thread. The same body gets the same answer.
"""

from __future__ import annotations

import dataclasses
import json
from collections import deque
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from tokenone.testing.standin import anthropic, control, openai
from tokenone.testing.standin.faults import (
    NONE,
    Fault,
    FaultQueue,
    fault_of_header,
    fault_of_model,
    parse_fault,
)
from tokenone.testing.standin.http import Outlet, Request, Traffic
from tokenone.testing.standin.reply import Reply
from tokenone.testing.standin.sender import deliver, whole

ProviderName = Literal["openai", "anthropic"]
FAULT_HEADER: Final = "x-standin-fault"
_REMEMBERED_REPLIES: Final = 512


@dataclass(slots=True)
class Received:
    """One request as it arrived and what became of its answer."""

    provider: ProviderName
    request: Request
    key: str | None
    """The presented credential, without `Bearer `."""
    status: int = 0
    fault: Fault = NONE
    finished: bool = False
    """The whole answer was written."""
    abandoned: bool = False
    """The connection ended first, by the client or by the fault."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How the stand-in behaves towards everybody: seconds before an answer, seconds between events, whether
    requests are kept."""

    latency: float = 0.0
    event_gap: float = 0.0
    keep: int = 10_000
    control: bool = False
    """Whether `/__standin__/…` may be used over HTTP; needed when the stand-in is a process of its own."""


class StandIn:
    """A provider that answers OpenAI's and Anthropic's protocols on the same port, by path and headers."""

    def __init__(self, keys: Mapping[str, Iterable[str]] | None = None, manner: Manner = Manner()) -> None:
        self._keys: dict[str, set[str]] | None = None
        if keys is not None:
            self._keys = {name: set(accepted) for name, accepted in keys.items()}
        self._replies: dict[tuple[str, str, bytes], Reply] = {}
        self.manner = manner
        self.faults = FaultQueue()
        self.received: deque[Received] = deque(maxlen=manner.keep)
        self.traffic = Traffic()
        self.answered = 0

    def accept(self, provider: ProviderName, *keys: str) -> None:
        """Accepts these keys from now on, and no others than those named so far."""
        self._keys = {**(self._keys or {}), provider: {*(self._keys or {}).get(provider, ()), *keys}}

    def revoke(self, provider: ProviderName, *keys: str) -> None:
        """Refuses these keys from now on with the provider's 401."""
        self._keys = {**(self._keys or {}), provider: {*(self._keys or {}).get(provider, ())} - {*keys}}

    def fault(self, text: str, *, times: int = 1, path_contains: str = "", key: str | None = None) -> None:
        """Orders a fault (`faults.MODES`) for the next matching requests."""
        self.faults.order(parse_fault(text), times=times, path_contains=path_contains, key=key)

    def reset(self) -> None:
        """Forgets what was received and every ordered fault; accepted keys stay."""
        self.received.clear()
        self.faults.clear()

    def answer(self, request: Request, outlet: Outlet) -> Coroutine[Any, Any, None] | None:
        """Answers one request: the plain fault-free case at once, everything else by a coroutine."""
        if request.path.startswith(control.PREFIX) and self.manner.control:
            outlet.push(whole(control.answer(self, request)))
            return None
        provider, path = whose(request)
        record = Received(provider, request, credential(request, provider))
        self.received.append(record)
        body = _parse(request.body)
        record.fault = fault = self._fault_for(request, record.key, body)
        reply = self._dated(provider, self._reply(record, path, body))
        record.status = reply.status
        if reply.events is None and fault is NONE and not self.manner.latency:
            record.finished = True
            outlet.push(whole(reply))
            return None
        return self._deliver(record, reply, outlet)

    async def _deliver(self, record: Received, reply: Reply, outlet: Outlet) -> None:
        manner = self.manner
        try:
            await deliver(reply, outlet, record.fault, latency=manner.latency, gap=manner.event_gap)
            record.finished = True
        finally:
            record.abandoned = not record.finished

    def _fault_for(self, request: Request, key: str | None, body: object) -> Fault:
        ordered = self.faults.take(request.path, key)
        if ordered is not None:
            return ordered
        named = request.header(FAULT_HEADER)
        if named is not None:
            return fault_of_header(named)
        return (fault_of_model(body.get("model")) if isinstance(body, dict) else None) or NONE

    def _reply(self, record: Received, path: str, body: object) -> Reply:
        provider, request = record.provider, record.request
        if not self._accepts(provider, record.key):
            return _refuse_key(provider, record.key)
        if record.fault.mode in ("status", "leak"):
            return _faulty_status(record)
        if request.method == "GET":
            return _listing(provider, path)
        if not isinstance(body, dict):
            return _error(provider, 400, "We could not parse the JSON body of your request.")
        refused = anthropic.refusal(request, body) if provider == "anthropic" else None
        if refused is not None:
            return refused
        memo = (provider, path, request.body)
        known = self._replies.get(memo)
        if known is None:
            known = _inference(provider, path, body)
            if len(self._replies) >= _REMEMBERED_REPLIES:
                self._replies.clear()
            if known.status == 200:
                self._replies[memo] = known
        return known

    def _accepts(self, provider: ProviderName, key: str | None) -> bool:
        if not key:
            return False
        return self._keys is None or key in self._keys.get(provider, ())

    def _dated(self, provider: ProviderName, reply: Reply) -> Reply:
        self.answered += 1
        name = "request-id" if provider == "anthropic" else "x-request-id"
        mark = (name, f"req_standin{self.answered:09d}")
        return dataclasses.replace(reply, headers=(*reply.headers, mark, ("server", "standin")))


def whose(request: Request) -> tuple[ProviderName, str]:
    """Returns whose protocol is spoken and the path without an `/openai` or `/anthropic` prefix."""
    path = request.path
    if path.startswith("/openai/"):
        return "openai", path.removeprefix("/openai")
    if path.startswith("/anthropic/"):
        return "anthropic", path.removeprefix("/anthropic")
    if path.startswith("/v1/messages") or request.header("anthropic-version") is not None:
        return "anthropic", path
    return "openai", path


def credential(request: Request, provider: ProviderName) -> str | None:
    """Returns the presented key: bearer, or for Anthropic also `x-api-key`."""
    if provider == "anthropic" and (key := request.header("x-api-key")) is not None:
        return key
    scheme, _, key = (request.header("authorization") or "").partition(" ")
    return key if scheme.lower() == "bearer" and key else None


def _parse(body: bytes) -> object:
    if not body:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _error(provider: ProviderName, status: int, message: str | None = None, code: str | None = None) -> Reply:
    if provider == "anthropic":
        return anthropic.error(status, message)
    return openai.error(status, message, code)


def _refuse_key(provider: ProviderName, key: str | None) -> Reply:
    """The provider's own 401; OpenAI's shows the key's ends, as the real one does."""
    if provider == "anthropic":
        return anthropic.error(401, "invalid x-api-key" if key else "x-api-key header is required")
    if not key:
        return openai.error(401, "You didn't provide an API key.", "invalid_api_key")
    return openai.error(401, f"Incorrect API key provided: {key[:7]}{'*' * 8}{key[-4:]}.", "invalid_api_key")


def _faulty_status(record: Received) -> Reply:
    fault = record.fault
    status = int(fault.first(400 if fault.mode == "leak" else 500))
    headers: tuple[tuple[str, str], ...] = ()
    message = None
    if fault.mode == "leak":
        message = f"The request with the key {record.key} was refused."
        headers = (("x-standin-key", record.key or ""),)
    if fault.b is not None:
        headers += (("retry-after", str(int(fault.b))),)
    reply = _error(record.provider, status, message)
    return dataclasses.replace(reply, headers=headers)


def _listing(provider: ProviderName, path: str) -> Reply:
    if path == "/v1/models":
        return anthropic.model_list() if provider == "anthropic" else openai.model_list()
    if path.startswith("/v1/models/"):
        name = path.removeprefix("/v1/models/")
        return anthropic.model(name) if provider == "anthropic" else openai.model(name)
    return _error(provider, 404, f"Unknown request URL: GET {path}.", "unknown_url")


def _inference(provider: ProviderName, path: str, body: dict[str, Any]) -> Reply:
    if not isinstance(body.get("model"), str) and path != "/v1/moderations":
        return _error(provider, 400, "you must provide a model parameter")
    if str(body.get("model")).startswith("unknown-"):
        return _error(provider, 404)
    if provider == "openai":
        route = openai.INFERENCE.get(path)
        return (
            route(body)
            if route
            else _error(provider, 404, f"Unknown request URL: POST {path}.", "unknown_url")
        )
    if path not in ("/v1/messages", "/v1/messages/count_tokens"):
        return _error(provider, 404)
    return anthropic.messages(body) if path == "/v1/messages" else anthropic.count_tokens(body)
