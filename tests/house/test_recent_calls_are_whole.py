"""What a worker remembers of its last calls: whole calls or nothing, never the end of one alone."""

from __future__ import annotations

from typing import Any

from tokenone.call.house import Recent


def noted(recent: Recent, call: str, *kinds: str) -> None:
    for kind in kinds:
        fields: dict[str, Any] = {"workload": "w", "attempt": 1}
        recent.note(call, kind, fields)


def test_a_long_call_that_made_room_for_others_is_not_remembered_by_its_end() -> None:
    recent = Recent(capacity=2)
    noted(recent, "long", "intent", "receipt")
    noted(recent, "a", "intent", "receipt", "outcome")
    noted(recent, "b", "intent", "receipt", "outcome")
    noted(recent, "long", "outcome")
    assert recent.entries("long") == [], "whoever asks is sent to the index, which has all of it"
    assert [kind for kind, _ in recent.entries("a")] == ["intent", "receipt", "outcome"]


def test_a_second_attempt_of_a_forgotten_call_is_not_its_first() -> None:
    recent = Recent(capacity=1)
    noted(recent, "long", "intent")
    noted(recent, "a", "deny")
    recent.note("long", "intent", {"workload": "w", "attempt": 2})
    assert recent.entries("long") == []
    assert [kind for kind, _ in recent.entries("a")] == ["deny"]
