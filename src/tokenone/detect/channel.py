"""The text of one channel of a stream as it grows, and which part of it is decided.

Law: every place is looked at with the context before it, and reported once; the result depends on the text
alone, not on how it was cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tokenone.detect.detector import Detector
from tokenone.detect.inspect import merged
from tokenone.types import Finding

CONTEXT: Final = 400
"""How much decided text stays to be looked at as context."""
MAX_UNDECIDED: Final = 16_384
"""However undecided, no more text than this is held."""


class ChannelText:
    """`end` and `settled` count characters since the channel began."""

    __slots__ = ("_base", "_parts", "end", "settled")

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._base = 0
        self.end = 0
        self.settled = 0

    @property
    def waiting(self) -> int:
        """How many characters came since the last decision."""
        return self.end - self.settled

    def add(self, text: str) -> None:
        self._parts.append(text)
        self.end += len(text)

    def decide(self, detectors: Sequence[Detector], *, final: bool = False) -> list[tuple[Finding, str]]:
        """Settles what can be settled and returns the new findings (offsets in the channel) with their text."""
        text = "".join(self._parts)
        base, before = self._base, self.settled
        settled = len(text)
        if not final and self.waiting < MAX_UNDECIDED:
            settled = min((detector.settled(text) for detector in detectors), default=settled)
        if base + settled <= before:
            self._parts = [text]
            return []
        self.settled = base + settled
        found = [
            (Finding(item.rule, item.score, base + item.start, base + item.end), text[item.start : item.end])
            for item in merged(text, detectors)
            if before <= base + item.start < self.settled
        ]
        cut = max(0, self.settled - base - CONTEXT)
        self._parts = [text[cut:]]
        self._base = base + cut
        return found
