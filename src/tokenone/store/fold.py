"""Derives attempts and calls from ledger entries: one entry after the other, in the order of their log.

Law: pure; the same entries give the same rows, whatever the portions they come in. Facts are copied, money is
added as integers, and what an entry does not say stays absent. An intent opens a call; its final outcome (or
the `unknown` one that recovery wrote) closes it; a refusal is a call without attempts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Protocol

import msgspec


class ShippedEntry(Protocol):
    """What the ledger's reader yields (`tokenone.ledger.Entry`); `fields` is the parsed record's own part."""

    @property
    def seq(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def at_us(self) -> int: ...
    @property
    def fields(self) -> dict[str, Any]: ...


Columns = dict[str, Any]
WHO: Final = ("tenant", "project", "workload", "token")
_ATTEMPT_SCOPE: Final = ("tenant", "project", "workload")
_INTENT: Final = ("key", "ver", "provider", "endpoint", "origin", "method", "path")
_OUTCOME: Final = ("status", "class", "cause", "sent", "received")


class Folding:
    """The calls and attempts that a portion of entries touches, as they were and then as they are."""

    def __init__(self, calls: dict[str, Columns], attempts: dict[tuple[str, int], Columns]) -> None:
        self.calls = calls
        self.attempts = attempts

    def add(self, slot: int, entry: ShippedEntry) -> None:
        """Takes one entry in; kinds that tell of no call are passed over."""
        fields = _storable(entry.fields)
        call = fields.get("call")
        if not isinstance(call, str):
            return
        if entry.kind == "intent":
            self._intent(slot, entry, call, fields)
        elif entry.kind == "outcome":
            self._outcome(entry, call, fields)
        elif entry.kind == "deny":
            self._deny(entry, call, fields)

    def _call(self, entry: ShippedEntry, call: str, fields: dict[str, Any]) -> Columns:
        known = self.calls.get(call)
        if known is None:
            known = self.calls[call] = dict.fromkeys(CALL_COLUMNS)
            known.update(
                id=call, at_us=entry.at_us, attempts=0, outcome="open", path=str(fields.get("path", ""))
            )
            known.update((name, str(fields.get(name, ""))) for name in WHO)
        return known

    def _intent(self, slot: int, entry: ShippedEntry, call: str, fields: dict[str, Any]) -> None:
        number = int(fields.get("attempt", 1))
        attempt = dict.fromkeys(ATTEMPT_COLUMNS)
        attempt.update(call=call, attempt=number, slot=slot, seq=entry.seq, at_us=entry.at_us)
        attempt.update((name, str(fields.get(name, ""))) for name in _ATTEMPT_SCOPE)
        attempt.update((name, fields.get(name, "")) for name in _INTENT)
        attempt.update(
            ver=int(fields.get("ver", 0)), model=fields.get("model"), verdict=fields.get("verdict")
        )
        self.attempts[call, number] = attempt
        known = self._call(entry, call, fields)
        known["attempts"] = max(known["attempts"], number)
        known.update((name, fields.get(name)) for name in ("provider", "model", "key", "ver"))

    def _outcome(self, entry: ShippedEntry, call: str, fields: dict[str, Any]) -> None:
        known = self._call(entry, call, fields)
        attempt = self.attempts.get((call, int(fields.get("attempt", 1))))
        if attempt is not None:
            _close_attempt(attempt, entry, fields)
        money = attempt if attempt is not None else _money(fields)
        tried = [self.attempts.get((call, number)) for number in range(1, known["attempts"] + 1)]
        for name in (
            "cost_nano",
            "fee_nano",
        ):  # from the attempts, so that taking an outcome again adds nothing
            known[name] = _sum(row[name] for row in tried if row is not None) if attempt else money[name]
        known["cost_source"] = money["cost_source"] or known["cost_source"]
        known["usage"] = money["usage"] or known["usage"]
        known.update((name, fields.get(name)) for name in ("status", "class", "cause"))
        if fields.get("final", True):
            known["outcome"] = _ending(fields)

    def _deny(self, entry: ShippedEntry, call: str, fields: dict[str, Any]) -> None:
        known = self._call(entry, call, fields)
        known.update(outcome="refused", code=fields.get("code"))
        known["model"] = known["model"] or fields.get("model")


CALL_COLUMNS: Final = (
    "id", "at_us", *WHO, "path", "provider", "model", "key", "ver", "attempts", "outcome", "status", "class",
    "code", "cause", "usage", "cost_nano", "cost_source", "fee_nano",
)  # fmt: skip
ATTEMPT_COLUMNS: Final = (
    "call", "attempt", "slot", "seq", "at_us", *_ATTEMPT_SCOPE, *_INTENT, "model", "verdict", "closed_us",
    *_OUTCOME, "usage", "input", "output", "cost", "cost_nano", "cost_source", "fee_nano",
)  # fmt: skip


def _storable(fields: dict[str, Any]) -> dict[str, Any]:
    """Replaces NUL, which a caller may put into a model's name and no text of PostgreSQL can hold."""
    return {
        name: value.replace("\x00", "\ufffd") if isinstance(value, str) else value
        for name, value in fields.items()
    }


def _close_attempt(attempt: Columns, entry: ShippedEntry, fields: dict[str, Any]) -> None:
    attempt["closed_us"] = entry.at_us
    attempt.update((name, fields.get(name)) for name in _OUTCOME)
    attempt["model"] = attempt["model"] or fields.get("model")
    attempt["verdict"] = fields.get("verdict", attempt["verdict"])
    attempt.update(_money(fields))


def _money(fields: dict[str, Any]) -> Columns:
    """Returns usage, cost and fee of an outcome; absent ones are None."""
    usage: dict[str, Any] | None = fields.get("usage")
    cost: dict[str, Any] | None = fields.get("cost")
    return {
        "usage": None if usage is None else _json(usage),
        "input": None if usage is None else usage.get("input"),
        "output": None if usage is None else usage.get("output"),
        "cost": None if cost is None else _json(cost),
        "cost_nano": None if cost is None else cost.get("nano"),
        "cost_source": None if cost is None else cost.get("source"),
        "fee_nano": fields.get("fee"),
    }


def _ending(fields: dict[str, Any]) -> str:
    """Says how a call ended: `unknown` when a crash left no outcome."""
    cause = fields.get("cause")
    if cause == "unknown" or fields.get("status") == "unknown":
        return "unknown"
    status = fields.get("status")
    return "ok" if cause == "complete" and isinstance(status, int) and status < 400 else "failed"


def _sum(values: Iterable[int | None]) -> int | None:
    """Adds what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _json(value: dict[str, Any]) -> str:
    return msgspec.json.encode(value).decode("utf-8")
