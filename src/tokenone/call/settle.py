"""Close and settle: how an attempt ended, what it cost, what the fee is, and the one outcome that says so.

Law: exactly one outcome per intent, written here or at recovery; a call that was dispatched pays one fee
however many attempts it took, a refusal none; usage that nobody reported is estimated and marked, or unpriced,
never zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tokenone.call import record
from tokenone.call.house import Attempt, Call, House
from tokenone.canonical import Canonical
from tokenone.dispatch.text import text_bytes
from tokenone.errors import CallerGone, IntegrityError, ProviderError, Stopped, TokenOneError, UpstreamAuth
from tokenone.meter.fee import fee
from tokenone.meter.rate import Cost, price
from tokenone.meter.usage import estimate
from tokenone.types import Action, ErrorClass, Finding, PathClass, Usage

COMPLETE: Final = "complete"
_DOUBTFUL: Final = frozenset(("usage", "model", "cost", "fee"))


@dataclass(slots=True)
class Ending:
    """How one attempt ended; `cause` is `complete` or a stable error code."""

    cause: str = COMPLETE
    status: int | None = None
    error_class: ErrorClass | None = None
    received: int = 0
    text_bytes: int = 0
    whole: bool = False
    """The reply came to its end, as the provider marks it."""
    usage: Usage | None = None
    model: str | None = None
    charged: int | None = None
    """What the provider says it charges, in nano-USD."""
    verdict: Action = Action.ALLOW
    findings: tuple[Finding, ...] = ()
    final: bool = True

    @classmethod
    def failed(cls, error: TokenOneError, *, final: bool) -> Ending:
        """The attempt ended without a reply."""
        found = ErrorClass.UPSTREAM if isinstance(error, ProviderError) else None
        if isinstance(error, UpstreamAuth):
            found = ErrorClass.KEY_DEAD
        return cls(cause=error.code, error_class=found, final=final)


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
    call.mark("close")
    fields: dict[str, Canonical] = {
        **record.who(call),
        "attempt": attempt.number,
        "cause": ending.cause,
        "final": ending.final,
        "sent": len(call.body) if attempt.sent else 0,
        "received": ending.received,
        "us": {**call.marks},
    }
    if ending.status is not None:
        fields["status"] = ending.status
    if ending.error_class is not None:
        fields["class"] = ending.error_class.value
    if ending.verdict is not Action.ALLOW:
        fields["verdict"] = ending.verdict.value
        fields["rules"] = record.rules(ending.findings)
    _money_fields(fields, ending, settled)
    try:
        pending = house.ledger.append("outcome", fields)
    except IntegrityError:  # a provider's figures that no record can hold: the outcome stands without them
        fields = {name: value for name, value in fields.items() if name not in _DOUBTFUL}
        pending, settled = house.ledger.append("outcome", fields), Settled(None, None)
    house.recent.expect(call.id, "outcome", fields, pending)
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


def why_ended(call: Call) -> str:
    """Returns the cause of a call that was cut from outside: its caller, its key, or the worker's end."""
    if call.cut is not None:
        return call.cut.code
    return CallerGone.code if call.exchange.gone else Stopped.code


def settle(house: House, call: Call, attempt: Attempt, ending: Ending) -> Settled:
    """Prices what the attempt used; fills in a marked estimate where the provider could not report."""
    caller = call.caller
    if caller is None or call.path_class is not PathClass.INFERENCE:
        return Settled(None, None)
    call.dispatched = call.dispatched or attempt.sent
    cost = None
    if attempt.sent and _may_cost(ending) and call.facts.bills(call.front.path):
        if not ending.whole:
            ending.usage = estimate(
                ending.usage, request_bytes=text_bytes(call.body), reply_bytes=ending.text_bytes
            )
        cost = price(
            house.book, provider=call.front.provider.value, model=_priced_model(house, call, ending),
            usage=ending.usage, at_us=call.started_us, rates=caller.tenant.rates,
            reported_nano=ending.charged,
        )  # fmt: skip
    charged = fee(caller.tenant.fee, cost, call.dispatched) if ending.final else None
    return Settled(cost, charged)


def _priced_model(house: House, call: Call, ending: Ending) -> str:
    """The provider's own spelling says what was served; the caller's is used where the book knows only that."""
    spellings = (ending.model, call.model)
    return house.book.known(call.front.provider.value, *spellings) or ending.model or call.model or ""


def _may_cost(ending: Ending) -> bool:
    """A provider's refusal costs nothing; everything else may."""
    return ending.status is None or ending.status < 300
