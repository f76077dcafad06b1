"""Trades a secret for the token that is sent in its place; keeps the token and renews it ahead of its end.

Law: a token belongs to one version of one key and to the secret it was asked for with, and is given out for
nothing else, nor after its time, nor once its key was forgotten. One request per version is under way at a time,
whoever waits for it or goes away; versions never wait for each other. It is asked for at an origin of the key's
own endpoint or not at all. It records nothing: it is asked after the intent is durable.
"""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, NamedTuple

from tokenone.clock import SECOND_US, Clock
from tokenone.dispatch.credential import ask_for, token_in
from tokenone.dispatch.decode import decoded
from tokenone.dispatch.mint import Mint, MintRequest
from tokenone.errors import EgressRefused, Overloaded, TokenOneError, UpstreamAuth, UpstreamBroken
from tokenone.rows import Endpoint
from tokenone.secret import Secret
from tokenone.types import parse_origin
from tokenone.wire.client import Client, Outgoing
from tokenone.wire.upstream import Timeouts

MOST_TOKENS: Final = 10_000
MOST_FLIGHTS: Final = 1_000
ANSWER_BYTES: Final = 65_536
LONGEST_US: Final = 24 * 3600 * SECOND_US
"""Whatever a server says, a token is not kept for longer than a day."""
SPARE_US: Final = 30 * SECOND_US
"""A token that ends so soon might end on its way; of short-lived ones, a tenth of their life."""
RENEW_PERCENT: Final = 80
REFUSED_US: Final = 10 * SECOND_US
"""A refusal is remembered: the server is not asked for every call of a dead key."""
FAILED_US: Final = SECOND_US
"""Silence and failures are remembered as long, and a renewal that failed is tried again after it."""
TOKEN_TIMEOUTS: Final = Timeouts(connect=5.0, first_byte=10.0, idle=10.0, total=15.0)

_NEVER_US: Final = sys.maxsize


class Name(NamedTuple):
    """Whose token it is: key id, key version, and which of the contents that a reference led to."""

    key: str
    version: int
    content: tuple[int, ...] = ()


class Trade(NamedTuple):
    """What is needed to ask: the secret, where it may go, and how its provider trades."""

    name: Name
    tenant: str
    endpoint: Endpoint
    mint: Mint
    secret: Secret


class Traded(NamedTuple):
    """What to send: the token, or None where the secret is sent as it is."""

    token: Secret | None
    waited: bool
    """It was waited for: what allowed the call may have changed meanwhile."""


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """A token, a refusal, or (neither) the knowledge that the secret is sent as it is."""

    token: Secret | None
    error: TokenOneError | None
    renew_us: int
    until_us: int

    def given(self) -> Secret | None:
        """Returns the token; raises what was refused, anew each time, for an exception collects its frames."""
        if self.error is not None:
            raise type(self.error)(self.error.detail)
        return self.token


_AS_IT_IS: Final = _Kept(None, None, _NEVER_US, _NEVER_US)
_Flight = asyncio.Task[_Kept]


class Minter:
    """The tokens of one process. Belongs to one loop."""

    def __init__(self, client: Client, clock: Clock, timeouts: Timeouts = TOKEN_TIMEOUTS) -> None:
        self._client = client
        self._clock = clock
        self._timeouts = timeouts
        self._kept: OrderedDict[Name, _Kept] = OrderedDict()
        self._flights: dict[Name, _Flight] = {}

    def __len__(self) -> int:
        return len(self._kept)

    async def trade(self, trade: Trade) -> Traded:
        """Returns what to send; asks for it, or joins whoever asks, unless it is at hand.

        Raises UpstreamAuth where the token's server refuses the secret, EgressRefused where it is none of the
        endpoint's, UpstreamTimeout, UpstreamBroken or DialFailed where it does not answer. Nothing was sent to
        the provider then.
        """
        now_us = self._clock.monotonic_us()
        kept = self._kept.get(trade.name)
        if kept is not None and now_us < kept.until_us:
            self._kept.move_to_end(trade.name)
            if now_us >= kept.renew_us:
                self._renew(trade)
            return Traded(kept.given(), False)
        flight = self._flights.get(trade.name) or self._start(trade)
        if flight is None:
            return Traded(None, False)
        return Traded((await asyncio.shield(flight)).given(), True)

    def refused(self, name: Name, token: Secret) -> None:
        """Drops a token that the provider refused, unless another has taken its place meanwhile."""
        kept = self._kept.get(name)
        if kept is not None and kept.token is token:
            del self._kept[name]

    def forget(self, key_id: str) -> None:
        """Drops everything of a key, requests under way included: what they bring is not kept."""
        for name in [name for name in self._kept if name.key == key_id]:
            del self._kept[name]
        for name in [name for name in self._flights if name.key == key_id]:
            del self._flights[name]

    def lapse(self) -> None:
        """Drops what is over; the gateway's tick calls it, so that tokens do not outstay their time."""
        now_us = self._clock.monotonic_us()
        for name in [name for name, kept in self._kept.items() if kept.until_us <= now_us]:
            del self._kept[name]

    # ── asking ─────────────────────────────────────────────────────────────────────────────────────────
    def _renew(self, trade: Trade) -> None:
        """Asks in the background of a call, which uses the token it has."""
        if trade.name not in self._flights and len(self._flights) < MOST_FLIGHTS:
            self._start(trade)

    def _start(self, trade: Trade) -> _Flight | None:
        """Begins to ask; None where the secret is sent as it is."""
        if len(self._flights) >= MOST_FLIGHTS:
            raise Overloaded("too many tokens are being asked for")
        request = ask_for(trade.mint, trade.secret, self._clock.now_us())
        if request is None:
            self._keep(trade.name, _AS_IT_IS)
            return None
        flight = asyncio.get_running_loop().create_task(self._fly(trade, request))
        flight.add_done_callback(_told)
        self._flights[trade.name] = flight
        return flight

    async def _fly(self, trade: Trade, request: MintRequest) -> _Kept:
        """Asks once and keeps what came, unless the key was forgotten on the way."""
        brought = None
        try:
            brought = await self._ask(trade, request)
        finally:
            mine = self._flights.get(trade.name) is asyncio.current_task()
            if mine:
                del self._flights[trade.name]
            if mine and brought is not None:
                self._keep(trade.name, self._better(trade.name, brought))
        return brought

    def _better(self, name: Name, brought: _Kept) -> _Kept:
        """A token that still holds is better than a failure to renew it."""
        held, now_us = self._kept.get(name), self._clock.monotonic_us()
        if brought.error is None or held is None or held.token is None or held.until_us <= now_us:
            return brought
        return _Kept(held.token, None, brought.until_us, held.until_us)

    async def _ask(self, trade: Trade, request: MintRequest) -> _Kept:
        began_us = self._clock.monotonic_us()
        try:
            token, seconds = await self._token(trade, request)
        except TokenOneError as error:
            pause_us = REFUSED_US if isinstance(error, UpstreamAuth) else FAILED_US
            return _Kept(None, error, _NEVER_US, self._clock.monotonic_us() + pause_us)
        life_us = min(max(seconds, 0) * SECOND_US, LONGEST_US)
        until_us = began_us + life_us - min(SPARE_US, life_us // 10)
        return _Kept(token, None, began_us + life_us * RENEW_PERCENT // 100, until_us)

    async def _token(self, trade: Trade, request: MintRequest) -> tuple[Secret, int]:
        reply = await self._client.send(self._outgoing(trade, request))
        body = decoded(await reply.read(ANSWER_BYTES), reply.get(b"content-encoding"))
        if body is None:
            raise UpstreamBroken("the token's server answered in an encoding that cannot be read")
        if reply.status >= 500 or reply.status in (408, 429):  # no word about the secret
            raise UpstreamBroken(f"the token's server answered with status {reply.status}")
        return token_in(trade.mint, trade.secret, reply.status, body)

    def _outgoing(self, trade: Trade, request: MintRequest) -> Outgoing:
        origin, endpoint = parse_origin(request.origin), trade.endpoint
        if origin not in [parse_origin(listed) for listed in endpoint.origins]:
            raise EgressRefused(
                "the server that trades the key for a token is none of its endpoint's origins: "
                "make an endpoint that lists it and add the key there"
            )
        return Outgoing(
            origin=origin,
            pool=(trade.tenant, trade.name.key, trade.name.version),
            method=request.method,
            target=request.target,
            headers=request.headers,
            body=request.body,
            timeouts=self._timeouts,
            ca_pem=endpoint.ca_pem,
        )

    def _keep(self, name: Name, kept: _Kept) -> None:
        self._kept[name] = kept
        self._kept.move_to_end(name)
        if len(self._kept) > MOST_TOKENS:
            self._kept.popitem(last=False)


def _told(flight: _Flight) -> None:
    """Whoever waited has seen a defect; a renewal in the background has nobody, and the next call asks anew."""
    if not flight.cancelled():
        flight.exception()
