"""A call as its owner sees it: the ledger's fields put together, attempts in order, money in one place.

Law: shows what was recorded and nothing else; costs that are not known stay absent. An attempt's `verdict`
and `rules` are about the request, its `reply` about what came back. Pure.
"""

from __future__ import annotations

from typing import Any

from tokenone.canonical import Canonical
from tokenone.money import usd_text

Fields = dict[str, Canonical]


def call_view(call: str, entries: list[tuple[str, Fields]]) -> dict[str, Any]:
    """Puts the (kind, fields) entries of one call together."""
    intents = [fields for kind, fields in entries if kind == "intent"]
    outcomes = {fields["attempt"]: fields for kind, fields in entries if kind == "outcome"}
    denials = [fields for kind, fields in entries if kind == "deny"]
    receipts = [fields["receipt"] for kind, fields in entries if kind == "receipt"]
    view: dict[str, Any] = {"id": call, "state": _state(intents, outcomes, denials)}
    first = (intents or denials)[0] if intents or denials else {}
    for name in ("tenant", "project", "workload", "token", "model"):
        if name in first:
            view[name] = first[name]
    if denials:
        view["refusal"] = {
            name: denials[-1][name] for name in ("code", "verdict", "rules") if name in denials[-1]
        }
    view["attempts"] = [_attempt(intent, outcomes.get(intent["attempt"])) for intent in intents]
    if receipts:
        view["receipt"] = receipts[-1]
    view |= _money([outcomes[number] for number in sorted(outcomes, key=str)])
    return view


def _state(intents: list[Fields], outcomes: dict[Canonical, Fields], denials: list[Fields]) -> str:
    if denials and not intents:
        return "refused"
    if len(outcomes) < len(intents):
        return "open"
    return "closed"


def _attempt(intent: Fields, outcome: Fields | None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        name: intent[name]
        for name in ("attempt", "key", "ver", "provider", "origin", "method", "path", "verdict")
    }
    if "rules" in intent:
        shown["rules"] = intent["rules"]
    if outcome is not None and "verdict" in outcome:
        shown["reply"] = {"verdict": outcome["verdict"], "rules": outcome["rules"]}
    for name in ("status", "class", "cause", "sent", "received", "usage", "cost", "us"):
        if outcome is not None and name in outcome:
            shown[name] = outcome[name]
    return shown


def _money(outcomes: list[Fields]) -> dict[str, Any]:
    costs = [cost for fields in outcomes if isinstance(cost := fields.get("cost"), dict)]
    totals = [nano for cost in costs if isinstance(nano := cost.get("nano"), int)]
    fees = [nano for fields in outcomes if isinstance(nano := fields.get("fee"), int)]
    money: dict[str, Any] = {}
    if costs:
        money["cost_usd"] = usd_text(sum(totals)) if len(totals) == len(costs) else "unpriced"
        money["cost_sources"] = sorted({str(cost.get("source")) for cost in costs})
    if fees:
        money["fee_usd"] = usd_text(sum(fees))
    return money
