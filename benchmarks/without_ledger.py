"""A gateway worker whose ledger forgets: what signing and durability cost is the difference to the real one.

Law: for measuring alone. It is started as the worker is and differs in this one part.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any

import uvloop

from tokenone.assemble.gateway import build
from tokenone.assemble.spec import GatewaySpec, receive


class Forgotten:
    """Stands for an entry that is at once as good as recorded; its own `Committed`."""

    refused = False

    def then(self, tell: Callable[[bool], None]) -> None:
        tell(True)

    def __await__(self) -> Generator[Any, None, Forgotten]:
        yield from ()
        return self

    def receipt(self) -> str:
        return ""


class ForgetfulLedger:
    """Takes entries and keeps none."""

    healthy = True

    def __init__(self) -> None:
        self.fatal = asyncio.Event()
        self._forgotten = Forgotten()

    def append(self, kind: str, fields: dict[str, Any]) -> Forgotten:  # noqa: ARG002 - the real one's shape
        return self._forgotten

    async def close(self) -> None:
        """Nothing is open."""


async def _run() -> int:
    spec, inherited = receive(GatewaySpec)
    worker = await build(spec)
    await worker.house.ledger.close()
    object.__setattr__(worker.house, "ledger", ForgetfulLedger())  # the house is frozen for good reason
    return await worker.run(inherited)


if __name__ == "__main__":
    raise SystemExit(uvloop.run(_run()))
