"""Which intents are open: the one law of intents and outcomes, kept by the writer, recovery and the verifier.

Law: a pair (call, attempt) gets one intent and then one outcome. A boot's and a carry's `open` list is the
truth at its place. Memory grows with what is open, not with what was.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, TypeAlias

from tokenone.errors import IntegrityError
from tokenone.ledger.entry import INTENT, OUTCOME

Pair: TypeAlias = tuple[str, int]


def pair_of(fields: Mapping[str, Any]) -> Pair:
    """Returns the pair that an intent or outcome names."""
    call, attempt = fields.get("call"), fields.get("attempt")
    if not isinstance(call, str) or attempt.__class__ is not int:
        raise IntegrityError("an intent or outcome without call and attempt")
    return call, attempt


class OpenIntents:
    """The pairs that have an intent and no outcome yet, in the order of their intents."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: dict[Pair, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, pair: Pair) -> bool:
        return pair in self._open

    def admit(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Takes in an entry; raises IntegrityError, changing nothing, where it breaks the law."""
        if kind == INTENT:
            pair = pair_of(fields)
            if pair in self._open:
                raise IntegrityError("an intent twice")
            self._open[pair] = None
        elif kind == OUTCOME:
            pair = pair_of(fields)
            if pair not in self._open:
                raise IntegrityError("an outcome without an open intent")
            del self._open[pair]

    def pairs(self) -> Set[Pair]:
        return self._open.keys()

    def forget(self, pair: Pair) -> None:
        """Takes an intent out that never became durable."""
        self._open.pop(pair, None)

    def listed(self) -> list[list[str | int]]:
        """Returns the `open` list of a boot or carry entry."""
        return [[call, attempt] for call, attempt in self._open]

    def replace(self, listed: object) -> None:
        """Takes an entry's `open` list as the truth."""
        self._open = dict.fromkeys(read_list(listed))


def read_list(listed: object) -> list[Pair]:
    """Parses an `open` list."""
    if not isinstance(listed, list):
        raise IntegrityError("an entry without its list of open intents")
    pairs: list[Pair] = []
    for item in listed:
        if not isinstance(item, list) or len(item) != 2:
            raise IntegrityError("a list of open intents of the wrong form")
        pairs.append(pair_of({"call": item[0], "attempt": item[1]}))
    return pairs
