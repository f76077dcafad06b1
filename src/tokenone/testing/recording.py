"""A detector that records what it was shown, so that tests can say what detectors see and what they do not.

Law: it satisfies the same Protocol as a real detector and changes nothing that it is shown.
"""

from __future__ import annotations

from tokenone.types import Finding


class RecordingDetector:
    """Remembers every inspected text; finds the configured needles (none by default), or nothing."""

    name = "recording"

    def __init__(self, *needles: str, score: int = 1000) -> None:
        self.texts: list[str] = []
        self._needles = needles
        self._score = score

    def inspect(self, text: str) -> list[Finding]:
        """Records `text` and returns one finding (rule `needle`) for each place of each needle."""
        self.texts.append(text)
        found: list[Finding] = []
        for needle in self._needles:
            at = text.find(needle)
            while at >= 0:
                found.append(Finding("needle", self._score, at, at + len(needle)))
                at = text.find(needle, at + len(needle))
        return sorted(found, key=lambda finding: finding.start)

    def suspects(self, raw: bytes) -> bool:  # noqa: ARG002 (the seam's signature)
        """Always wants to see the text."""
        return True

    def settled(self, text: str) -> int:
        """Holds back as much as the start of a needle could be long."""
        longest = max(map(len, self._needles), default=1)
        return max(0, len(text) - longest + 1)

    def saw(self, fragment: str) -> bool:
        """Says whether any inspected text contained `fragment`."""
        return any(fragment in text for text in self.texts)
