"""What an examination says of one thing: its name, how it stands, what was seen, what to do about it.

Law: a finding that is wrong says what to do next; none holds a secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    ADVICE = "advice"
    """It works; something about it should be better."""
    WRONG = "wrong"
    """It does not work, or will not at the next start."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's."""

    check: str
    level: Level
    said: str
    do: str = ""


def ok(check: str, said: str) -> Finding:
    return Finding(check, Level.OK, said)


def advice(check: str, said: str, do: str) -> Finding:
    return Finding(check, Level.ADVICE, said, do)


def wrong(check: str, said: str, do: str) -> Finding:
    return Finding(check, Level.WRONG, said, do)
