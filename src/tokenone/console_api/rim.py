"""The outermost layer: request id, body limit, security headers, one log line, counts; defects end here.

Law: the log line has the route's template, the status and the time, never a path, a query, a header or a body.
A defect answers 500 with the request id and is logged by its type alone.
"""

from __future__ import annotations

import time
from typing import Any, Final

import structlog
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tokenone.console_api.metrics import Metrics
from tokenone.console_api.problems import answer
from tokenone.types import new_id

BODY_BYTES: Final = 1 << 20
_HEADERS: Final = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
    (
        "Content-Security-Policy",
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Strict-Transport-Security", "max-age=31536000"),
)


class Rim:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        self._log = structlog.get_logger("console")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        started = time.perf_counter()
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:  # noqa: BLE001  the door: a defect ends this request, not the process
            self._log.error("defect", kind=type(error).__name__, request_id=exchange.id)
            await exchange.fail()
        self._tell(scope, exchange, time.perf_counter() - started)

    def _tell(self, scope: Scope, exchange: _Exchange, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "(none)")
        method = scope["method"] if scope["method"] in _METHODS else "(other)"
        self._metrics.answered(method, route, exchange.status, seconds)
        self._log.info(
            "answered",
            method=method,
            route=route,
            status=exchange.status,
            ms=round(seconds * 1000, 1),
            request_id=exchange.id,
            person=getattr(scope["state"].get("person"), "id", None),
        )


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class _Exchange:
    """Watches one request's messages."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.id = new_id("req")
        self.status = 0
        self._receive = receive
        self._send = send
        self._received = 0
        scope.setdefault("state", {})["request_id"] = self.id
        self._too_large = any(
            name == b"content-length" and int(value) > BODY_BYTES
            for name, value in scope["headers"]
            if value.isdigit()
        )

    async def receive(self) -> Message:
        if self._too_large:
            raise HTTPException(413)
        message = await self._receive()
        self._received += len(message.get("body", b""))
        if self._received > BODY_BYTES:
            raise HTTPException(413)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.id
            for name, value in _HEADERS:
                headers.setdefault(name, value)
        await self._send(message)

    async def fail(self) -> None:
        """Answers 500, unless an answer has begun."""
        if self.status:
            return
        failed = answer(500, "internal", "Internal error", "Report this with the request id.", self.id)
        scope: dict[str, Any] = {"type": "http", "method": "GET", "headers": []}
        await failed(scope, self._receive, self.send)
