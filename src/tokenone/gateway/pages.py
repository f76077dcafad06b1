"""The gateway's own pages: livez, readyz, health of the aliases, whoami, models, calls by id.

Law: only `livez`, `readyz` and `health` answer strangers, and they say nothing about keys; the rest needs the
caller's token and shows nothing beyond that token's scope. None of them is a model call, none pays a fee.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from tokenone.call.house import House
from tokenone.call.views import call_view
from tokenone.canonical import Canonical
from tokenone.errors import MethodNotAllowed, ModelUnknown, NotFound
from tokenone.gateway import routes
from tokenone.gateway.refusal import JSON
from tokenone.gateway.unified import listed_models, usable_keys
from tokenone.route.catalog import Listed
from tokenone.scope import Caller, identify
from tokenone.types import Provider
from tokenone.wire.exchange import Exchange

Page = Callable[[Exchange], Awaitable[None]]
Entries = list[tuple[str, dict[str, Canonical]]]
Lookup = Callable[[str], Awaitable[Entries]]
"""Finds a call's (kind, fields) entries outside this worker: a sibling's memory, else the index."""

CALLS: Final = b"/tokenone/calls/"
MODEL: Final = b"/v1/models/"


@dataclass(slots=True)
class Pages:
    """Answers what is not a provider's path."""

    house: House
    lookup: Lookup
    unready: Callable[[], str | None]
    """Says why this worker cannot serve, or None."""
    _fixed: dict[bytes, Page] = field(init=False)

    def page(self, path: bytes) -> Page | None:
        """Returns the page of a path, None if the path is a provider's."""
        fixed = self._fixed.get(path)
        if fixed is not None:
            return fixed
        if path.startswith(CALLS):
            return self.call
        if path.startswith(MODEL):
            return self.model
        return self.health if path.endswith(b"/health") and routes.health_alias(path) else None

    def __post_init__(self) -> None:
        self._fixed = {
            b"/livez": self.livez,
            b"/readyz": self.readyz,
            b"/tokenone/whoami": self.whoami,
            b"/v1/models": self.models,
        }

    async def livez(self, exchange: Exchange) -> None:
        """The process runs its loop."""
        _json(exchange, 200, {"status": "ok"})

    async def readyz(self, exchange: Exchange) -> None:
        """The process can serve calls now."""
        reason = self.unready()
        _json(exchange, 503 if reason else 200, {"status": reason or "ok"})

    async def health(self, exchange: Exchange) -> None:
        """An alias's health: the gateway's, not the provider's, which is not asked."""
        provider = routes.health_alias(routes.split_target(exchange.head.target)[0])
        reason = self.unready()
        body = {"status": reason or "ok", "provider": (provider or Provider.CUSTOM).value}
        _json(exchange, 503 if reason else 200, body)

    async def whoami(self, exchange: Exchange) -> None:
        """Who the gateway takes the caller for, and which providers its scope may use."""
        caller = self._caller(exchange)
        scope, token = caller.scope, caller.token
        providers = [provider.value for provider in Provider if usable_keys(self.house, caller, provider)]
        body: dict[str, Any] = {
            "tenant": {"id": scope.tenant, "name": caller.tenant.name},
            "project": {"id": scope.project, "name": caller.project.name},
            "workload": {"id": scope.workload, "name": caller.workload.name},
            "token": {"id": token.id, "mode": token.mode, "grants": token.grants},
            "providers": providers,
        }
        if token.expires_us is not None:
            body["token"]["expires_us"] = token.expires_us
        _json(exchange, 200, body)

    async def models(self, exchange: Exchange) -> None:
        """The models that the unified front would dispatch for this caller, exactly those."""
        items = [_model(line) for line in listed_models(self.house, self._caller(exchange))]
        _json(exchange, 200, {"object": "list", "data": items})

    async def model(self, exchange: Exchange) -> None:
        """One model of that list."""
        escaped = routes.split_target(exchange.head.target)[0].removeprefix(MODEL)
        wanted = unquote(escaped.decode("latin-1"))  # SDKs escape a slash or colon in a model's name
        for line in listed_models(self.house, self._caller(exchange)):
            if line.id == wanted:
                _json(exchange, 200, _model(line))
                return
        raise ModelUnknown

    async def call(self, exchange: Exchange) -> None:
        """What became of a call of the caller's own workload: attempts, usage, cost, fee, receipt."""
        caller = self._caller(exchange)
        wanted = routes.split_target(exchange.head.target)[0].removeprefix(CALLS).decode("ascii", "replace")
        entries = await self.house.recent.told(wanted) or await self.lookup(wanted)
        if not any(fields.get("workload") == caller.scope.workload for _, fields in entries):
            raise NotFound("no such call of this workload; a call of another machine appears within seconds")
        _json(exchange, 200, call_view(wanted, entries))

    def _caller(self, exchange: Exchange) -> Caller:
        head = exchange.head
        if head.method not in (b"GET", b"HEAD"):
            raise MethodNotAllowed
        return identify(
            self.house.directory, self.house.pepper, headers=head.headers, target=head.target,
            peer=exchange.peer, now_us=self.house.clock.now_us(),
        )  # fmt: skip


def _model(line: Listed) -> dict[str, object]:
    return {"id": line.id, "object": "model", "created": 0, "owned_by": line.provider.value}


def _json(exchange: Exchange, status: int, body: object) -> None:
    exchange.respond(status, [JSON, (b"cache-control", b"no-store")], msgspec.json.encode(body))
