"""A token server that a test answers for, request by request, and a provider that trades secrets there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import cast

from tokenone.call.minted import Minter, Name, Trade
from tokenone.clock import FrozenClock
from tokenone.dispatch.mint import Mint, Minted, MintRequest
from tokenone.errors import TokenOneError, UpstreamAuth
from tokenone.rows import Endpoint
from tokenone.secret import Secret, reveal
from tokenone.types import Provider
from tokenone.wire.client import Client, Outgoing

API, TOKENS, ELSEWHERE = "https://api.example", "https://tokens.example", "https://elsewhere.example"
ENDPOINT = Endpoint(
    id="ep_1", tenant=None, provider=Provider.AZURE, name="two origins", origins=(API, TOKENS)
)


def _ask(plaintext: bytes, _now_us: int) -> MintRequest | None:
    """`plain …` is sent as it is; `elsewhere …` would be traded at a foreign server."""
    if plaintext.startswith(b"plain"):
        return None
    origin = ELSEWHERE if plaintext.startswith(b"elsewhere") else TOKENS
    return MintRequest(origin, b"POST", b"/token", [], plaintext)


def _read(_plaintext: bytes, status: int, body: bytes) -> Minted:
    if status != 200:
        raise UpstreamAuth("the token's server refused")
    token, _, seconds = body.partition(b" for ")
    return Minted(token, int(seconds))


MINT = Mint(_ask, _read)


def trade(key: str, version: int = 1, *, secret: bytes = b"", content: tuple[int, ...] = ()) -> Trade:
    """What a call of a key asks for."""
    held = Secret(secret or b"secret of %s" % key.encode())
    return Trade(Name(key, version, content), "ten_1", ENDPOINT, MINT, held)


@dataclass
class Reply:
    """What `Incoming` is to whoever reads it whole."""

    status: int
    body: bytes

    def get(self, _name: bytes) -> None:
        return None

    async def read(self, _limit: int) -> bytes:
        return self.body


@dataclass(eq=False)
class Asked:
    """A request that waits for the test to answer it."""

    outgoing: Outgoing
    at_us: int
    reply: asyncio.Future[Reply] = field(repr=False)

    @property
    def name(self) -> tuple[str, int]:
        return self.outgoing.pool[1], self.outgoing.pool[2]

    @property
    def open(self) -> bool:
        return not self.reply.done()

    def answer(self, token: bytes, seconds: int) -> None:
        self.reply.set_result(Reply(200, b"%b for %d" % (token, seconds)))

    def refuse(self, status: int = 400) -> None:
        self.reply.set_result(Reply(status, b"no"))

    def fail(self, error: TokenOneError) -> None:
        self.reply.set_exception(error)


class TokenServer:
    """Stands where the wire's client stands."""

    def __init__(self, clock: FrozenClock) -> None:
        self.asked: list[Asked] = []
        self._clock = clock

    async def send(self, outgoing: Outgoing, _written: object = None) -> Reply:
        asked = Asked(outgoing, self._clock.monotonic_us(), asyncio.get_running_loop().create_future())
        self.asked.append(asked)
        return await asked.reply


class Bench:
    """A minter with a clock that stands still and a server that waits for the test."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.server = TokenServer(self.clock)
        self.minter = Minter(cast("Client", self.server), self.clock)

    @property
    def asked(self) -> list[Asked]:
        return self.server.asked

    def call(self, wanted: Trade) -> asyncio.Task[bytes | None]:
        """A call under way, to be looked at after `turns`."""
        return asyncio.get_running_loop().create_task(self.token(wanted))

    async def token(self, wanted: Trade) -> bytes | None:
        given = (await self.minter.trade(wanted)).token
        return None if given is None else shown(given)


def shown(secret: Secret) -> bytes:
    """The bytes of a test's own secret."""
    return reveal(secret)


async def turns(count: int = 6) -> None:
    """Lets everything that can go on go on."""
    for _ in range(count):
        await asyncio.sleep(0)
