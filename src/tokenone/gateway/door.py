"""The gateway's door: every request comes in here and every error goes out here, in the caller's dialect.

Law: an identified caller's refusal is an entry, anybody else's is counted per reason, source prefix and
minute. Nothing here parses a body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from tokenone.call import record
from tokenone.call.house import Call, House
from tokenone.call.relay import routed
from tokenone.call.unified import classify
from tokenone.call.way import govern
from tokenone.dispatch.providers import PROVIDERS
from tokenone.errors import (
    CallerGone,
    LedgerUnavailable,
    RateLimited,
    TokenOneError,
    UpgradeRefused,
)
from tokenone.gateway import refusal, routes
from tokenone.gateway.pages import Pages
from tokenone.types import Dialect, Ids
from tokenone.wire.exchange import Exchange

Page = Callable[[Exchange], Awaitable[None]]
LOG: Final = structlog.get_logger("gateway")


@dataclass(slots=True)
class Door:
    """Serves requests: the gateway's own pages, else a governed call."""

    house: House
    pages: Pages
    aggregates: record.Aggregates
    ids: Ids

    async def serve(self, exchange: Exchange) -> None:
        """Answers one request; the handler that the edge calls."""
        path, _ = routes.split_target(exchange.head.target)
        page = self.pages.page(path)
        call: Call | None = None
        dialect: Dialect | None = None
        try:
            if page is not None:
                await page(exchange)
                return
            call = self._call(exchange)
            dialect = call.front.dialect
            await govern(self.house, call)
        except TokenOneError as error:
            self._refuse(exchange, call, dialect or routes.dialect_hint(path), error)
        except asyncio.CancelledError:
            why = call.cut if call is not None else None
            if why is not None:
                self._refuse(exchange, call, dialect or routes.dialect_hint(path), why)
            elif exchange.gone:
                exchange.abort()
            else:
                raise
        except Exception as error:  # noqa: BLE001  the door: a defect ends this call, not the worker
            LOG.error("defect", kind=type(error).__name__, call=call.id if call else None)
            self._refuse(exchange, call, dialect or routes.dialect_hint(path), TokenOneError())

    def _call(self, exchange: Exchange) -> Call:
        head = exchange.head
        if head.get(b"upgrade") is not None:
            raise UpgradeRefused
        front = routes.front_of(routes.split_target(head.target)[0])
        facts = PROVIDERS[front.provider]
        path_class = classify(front, facts, head.method)
        return Call(
            id=self.ids.new(),
            exchange=exchange,
            front=front,
            facts=facts,
            path_class=path_class,
            started_us=self.house.clock.now_us(),
        )

    def _refuse(self, exchange: Exchange, call: Call | None, dialect: Dialect, error: TokenOneError) -> None:
        error = self._recorded(exchange, call, error)
        if isinstance(error, CallerGone) or exchange.gone:
            exchange.abort()
            return
        if exchange.ended:
            return  # the reply was whole; its connection may be serving the next request
        if exchange.started:
            if call is not None and call.in_events:
                exchange.write(refusal.frame(error, dialect))
                exchange.finish()
            elif call is not None and call.in_frames:
                exchange.write(refusal.aws_frame(error))
                exchange.finish()
            else:
                exchange.abort()  # a document or an encoded stream: the caller sees that it is cut
            return
        status, headers, body = refusal.answer(error, dialect, call.id if call else None)
        if call is not None and call.attempt is not None and call.receipt:
            headers += routed(call, call.attempt)
        if isinstance(error, RateLimited) and call is not None and call.caller is not None:
            figures = self.house.limits.figures(call.caller, self.house.clock.monotonic_us())
            headers += refusal.rate_headers(figures)
        exchange.respond(status, headers, body)

    def _recorded(self, exchange: Exchange, call: Call | None, error: TokenOneError) -> TokenOneError:
        """Records a refusal; a refusal that cannot be recorded becomes the ledger's."""
        try:
            if call is None or call.caller is None:
                self.aggregates.count(error.code, exchange.peer, self.house.clock.now_us())
            elif call.attempt is None or call.attempt.intent is None:
                record.deny(self.house, call, error)
        except LedgerUnavailable as unavailable:
            return unavailable
        return error
