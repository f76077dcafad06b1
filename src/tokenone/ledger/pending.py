"""An entry on its way to the disk, and what its waiter gets once it is there.

Law: a `Pending` is settled exactly once, on the loop's thread, after its batch is durable or has failed;
waiters resume in the order of the entries. It holds no file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

from tokenone.errors import LedgerUnavailable
from tokenone.ledger import batch, merkle, receipt


class Signed(NamedTuple):
    """A durable batch, as much of it as receipts need."""

    statement: batch.Statement
    signature: bytes
    tree: merkle.Tree


class Committed(NamedTuple):
    """A durable entry."""

    seq: int
    leaf: bytes
    batch: Signed

    def receipt(self) -> str:
        """Returns the proof that a caller can check offline; for a header, at most 1,024 characters."""
        statement, signature, tree = self.batch
        place = self.seq - statement.first
        return receipt.encode(statement, signature, place=place, tree=tree, leaf=self.leaf)


class Pending:
    """An appended entry: await it for its `Committed`, or `LedgerUnavailable` where it was not recorded.

    `keep`: it belongs to the boot and is recorded again after a failure, before anything else.
    """

    __slots__ = (
        "_committed",
        "_error",
        "_then",
        "_waiters",
        "fields",
        "keep",
        "kind",
        "leaf",
        "link",
        "mac",
        "record",
        "seq",
    )

    def __init__(self, kind: str, fields: dict[str, Any], *, keep: bool = False) -> None:
        self.kind = kind
        self.fields = fields
        self.keep = keep
        self.seq = 0
        self.record = self.leaf = self.link = self.mac = b""
        self._committed: Committed | None = None
        self._error: LedgerUnavailable | None = None
        self._waiters: list[asyncio.Future[None]] | None = None
        self._then: Callable[[bool], None] | None = None

    def __await__(self) -> Generator[Any, None, Committed]:
        if self._committed is None and self._error is None:
            waiter = asyncio.get_running_loop().create_future()
            if self._waiters is None:
                self._waiters = []
            self._waiters.append(waiter)
            yield from waiter
        if self._committed is None:
            raise self._error or LedgerUnavailable
        return self._committed

    @property
    def done(self) -> bool:
        return self._committed is not None or self._error is not None

    @property
    def refused(self) -> bool:
        return self._error is not None

    def then(self, tell: Callable[[bool], None]) -> None:
        """Tells one listener once whether the entry became durable, before its waiters resume."""
        self._then = tell

    def settle(self, signed: Signed) -> None:
        """Tells that the entry is durable."""
        self._committed = Committed(self.seq, self.leaf, signed)
        self._wake()

    def refuse(self, error: LedgerUnavailable) -> None:
        """Tells that the entry was not recorded and will not be."""
        self._error = error
        self._wake()

    def _wake(self) -> None:
        self.record = b""
        self.fields = {}
        tell, self._then = self._then, None
        if tell is not None:
            tell(self._committed is not None)
        for waiter in self._waiters or ():
            if not waiter.done():
                waiter.set_result(None)
        self._waiters = None
