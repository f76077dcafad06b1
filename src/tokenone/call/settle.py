"""Close and settle: how an attempt ended, what it cost, what the fee is, and the one outcome that says so.

Law: exactly one outcome per intent, written here or at recovery; a call that was dispatched pays one fee
however many attempts it took, a refusal none; usage that nobody reported is estimated and marked, or unpriced,
never zero.
"""

from __future__ import annotations

from dataclasses import dataclass

from tokenone.call import record
from tokenone.call.house import Attempt, Call, House
from tokenone.canonical import Canonical
from tokenone.errors import TokenOneError
from tokenone.meter import Cost, estimate, fee, price
from tokenone.types import Action, ErrorClass, Finding, PathClass, Usage


@dataclass(slots=True)
class Ending:
    """How one attempt ended; `cause` is `complete` or a stable error code."""

    cause: str = "complete"
    status: int | None = None
    error_class: ErrorClass | None = None
    received: int = 0
    text_bytes: int = 0
    usage: Usage | None = None
    model: str | None = None
    verdict: Action = Action.ALLOW
    findings: tuple[Finding, ...] = ()
    final: bool = True

    @classmethod
    def failed(cls, error: TokenOneError, *, final: bool) -> Ending:
        """The attempt ended without a reply."""
        return cls(cause=error.code, error_class=ErrorClass.UPSTREAM, final=final)


@dataclass(frozen=True, slots=True)
class Settled:
    """Cost and fee of one attempt in nano-USD; None is not known (never zero)."""

    cost: Cost | None
    fee: int | None


def close(house: House, call: Call, attempt: Attempt, ending: Ending) -> Settled:
    """Writes the attempt's outcome with the next commit and returns what it came to."""
    if attempt.closed:
        raise AssertionError("an attempt has one outcome")
    attempt.closed = True
    settled = settle(house, call, attempt, ending)
    now_us = house.clock.now_us()
    call.mark("close", now_us)
    fields = record.who(call)
    fields.update({"attempt": attempt.number, "cause": ending.cause, "final": ending.final})
    fields["sent"] = len(call.body) if attempt.sent else 0
    fields["received"] = ending.received
    fields["us"] = dict(call.marks)
    if ending.status is not None:
        fields["status"] = ending.status
    if ending.error_class is not None:
        fields["class"] = ending.error_class.value
    if ending.verdict is not Action.ALLOW:
        fields["verdict"] = ending.verdict.value
        fields["rules"] = record.rules(ending.findings)
    _money_fields(fields, ending, settled)
    record.append_outcome(house, fields)
    house.recent.note(call.id, "outcome", fields)
    return settled


def _money_fields(fields: dict[str, Canonical], ending: Ending, settled: Settled) -> None:
    if ending.usage is not None:
        fields["usage"] = record.usage_fields(ending.usage)
    if ending.model is not None:
        fields["model"] = record.clip(ending.model)
    if settled.cost is not None:
        fields["cost"] = record.cost_fields(settled.cost)
    if settled.fee is not None:
        fields["fee"] = settled.fee


def settle(house: House, call: Call, attempt: Attempt, ending: Ending) -> Settled:
    """Prices what the attempt used; fills in a marked estimate where the provider could not report."""
    caller = call.caller
    if caller is None or call.path_class is not PathClass.INFERENCE or not attempt.sent:
        return Settled(None, None)
    if ending.usage is None and _was_cut(ending):
        ending.usage = estimate(None, request_bytes=len(call.body), response_text_bytes=ending.text_bytes)
    cost = None
    if ending.usage is not None or ending.cause == "complete" and (ending.status or 0) < 400:
        cost = price(
            house.book, provider=call.front.provider.value, model=call.model or ending.model or "",
            usage=ending.usage, at_us=call.started_us, rates=caller.tenant.rates,
        )  # fmt: skip
    charged = fee(caller.tenant.fee, cost) if ending.final else None
    return Settled(cost, charged)


def _was_cut(ending: Ending) -> bool:
    """A reply that began, or may have begun, and did not end well: the provider may have billed it."""
    return ending.cause != "complete" and (ending.status is None or ending.status < 400)
