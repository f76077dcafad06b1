"""One audit event: actor, action, target, outcome, reason, where it came from.

Law: every act of management is an event in the same transaction as the change, and every refusal is one of
its own; an event holds ids and stable codes, never content, a header's value or a secret. No I/O here.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    OK = "ok"
    REFUSED = "refused"


class Act(msgspec.Struct, frozen=True, gc=False):
    """Somebody about to do something: `actor` is a person's id (or `operator` at the command line, or
    `anonymous`), `action` is `noun.verb`, `source` an address, `request_id` what the answer carries too."""

    actor: str
    actor_name: str
    action: str
    source: str = ""
    request_id: str = ""
    reason: str = ""
    """What a person gave as the reason, if anything."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """What the trail keeps. `reason` of a refusal is the error's stable code."""

    id: str
    at_us: int
    actor: str
    actor_name: str
    action: str
    target: str
    tenant: str | None
    outcome: Outcome
    reason: str
    source: str
    request_id: str
