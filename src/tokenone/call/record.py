"""What the ledger is told about a call: intents, outcomes, denials and aggregated denials.

Law: no field holds content, a header's value or a secret; bodies appear as keyed commitments and counts.
Absent values are left out, so absent and zero stay different.
"""

from __future__ import annotations

import ipaddress
from typing import Final

import msgspec

from tokenone.call.house import Attempt, Call, House
from tokenone.canonical import Canonical
from tokenone.clock import MINUTE_US
from tokenone.errors import TokenOneError
from tokenone.meter.rate import Cost
from tokenone.types import Finding, Usage

MAX_TEXT: Final = 256
MAX_AGGREGATES: Final = 1024


def clip(text: str) -> str:
    """Bounds a text that came from outside; marks the cut."""
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def who(call: Call) -> dict[str, Canonical]:
    """Returns the actor's and scope's fields of a call; a call is identified once, so they are made once."""
    caller = call.caller
    if caller is None:
        return {"call": call.id}
    if not call.actor:
        scope = caller.scope
        call.actor = {
            "call": call.id,
            "tenant": scope.tenant,
            "project": scope.project,
            "workload": scope.workload,
            "token": caller.token.id,
        }
    return call.actor


def rules(findings: tuple[Finding, ...]) -> list[Canonical]:
    """Returns the distinct rules that fired, never what they matched."""
    return list(dict.fromkeys(finding.rule for finding in findings))


def intent(call: Call, attempt: Attempt, commitment: str) -> dict[str, Canonical]:
    """Returns the fields of an intent: the audited key access, durable before a byte leaves."""
    candidate = attempt.candidate
    fields: dict[str, Canonical] = {
        **who(call),
        "attempt": attempt.number,
        "key": candidate.key.id,
        "ver": candidate.version.version,
        "provider": candidate.key.provider.value,
        "endpoint": candidate.endpoint.id,
        "origin": candidate.endpoint.origins[0],
        "method": call.exchange.head.method.decode("ascii"),
        "path": clip(call.front.path.decode("ascii")),
        "body": commitment,
        "size": len(call.body),
        "verdict": call.verdict.value,
    }
    if call.model is not None:
        fields["model"] = clip(call.model)
    if call.findings:
        fields["rules"] = rules(call.findings)
    return fields


def usage_fields(usage: Usage) -> dict[str, Canonical]:
    """Returns the reported classes alone, texts bounded; `estimated` only where it is so."""
    reported = {
        name: clip(value) if isinstance(value, str) else value
        for name, value in msgspec.structs.asdict(usage).items()
        if value is not None
    }
    if not reported["estimated"]:
        del reported["estimated"]
    return reported


def cost_fields(cost: Cost) -> dict[str, Canonical]:
    """Returns total, source, price-book version and lines of a cost in nano-USD."""
    fields: dict[str, Canonical] = {"source": cost.source.value, "book": cost.book}
    if cost.total is not None:
        fields["nano"] = cost.total
    if cost.lines:
        fields["lines"] = [
            {"name": line.name, "quantity": line.quantity, "rate": line.rate, "nano": line.nano}
            for line in cost.lines
        ]
    if cost.caveats:
        fields["caveats"] = list(cost.caveats)
    return fields


def deny(house: House, call: Call, error: TokenOneError) -> None:
    """Records the refusal of an identified call; raises LedgerUnavailable if it cannot be recorded."""
    path = clip(call.front.path.decode("ascii", "replace"))
    fields: dict[str, Canonical] = {**who(call), "code": error.code, "path": path}
    if call.model is not None:
        fields["model"] = clip(call.model)
    if call.findings:
        fields["rules"] = rules(call.findings)
        fields["verdict"] = call.verdict.value
    house.recent.expect(call.id, "deny", fields, house.ledger.append("deny", fields))


class Aggregates:
    """Counts refusals of the unidentified per reason, source prefix and minute; bounded."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, int], int] = {}

    def count(self, reason: str, peer: str, now_us: int) -> None:
        """Adds one; beyond the bound the source is `other`, so nobody fills disk or memory."""
        place = (reason, source_prefix(peer), now_us // MINUTE_US)
        if place not in self._counts and len(self._counts) >= MAX_AGGREGATES:
            place = (reason, "other", now_us // MINUTE_US)
        self._counts[place] = self._counts.get(place, 0) + 1

    def flush(self, house: House, *, before_us: int) -> None:
        """Appends the aggregates of minutes that ended before `before_us`."""
        ended = [place for place in self._counts if (place[2] + 1) * MINUTE_US <= before_us]
        for reason, source, minute in ended:
            count = self._counts[reason, source, minute]
            house.ledger.append(
                "deny-aggregate",
                {"code": reason, "source": source, "minute_us": minute * MINUTE_US, "count": count},
            )
            del self._counts[reason, source, minute]


def source_prefix(peer: str) -> str:
    """Returns the /24 (IPv4) or /48 (IPv6) of an address."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return "unknown"
    bits = 24 if address.version == 4 else 48
    return str(ipaddress.ip_network((address, bits), strict=False))
