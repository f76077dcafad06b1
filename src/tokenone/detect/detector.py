"""The seam of every detector: text in, findings out.

Law: a detector sees text that a caller or a model wrote. It sees neither headers nor keys, it does no I/O,
and it takes time linear in the text.
"""

from __future__ import annotations

from typing import Protocol

from tokenone.types import Finding


class Detector(Protocol):
    """Contract: stateless and safe to share; findings are sorted by `start` and do not overlap."""

    name: str

    def inspect(self, text: str) -> list[Finding]:
        """Returns what it finds; `start` and `end` count characters of `text`."""
        ...

    def suspects(self, raw: bytes) -> bool:
        """Returns False only if no string inside these raw bytes (JSON, escapes included) holds a finding.

        It is the cheap look that clean traffic pays for; True costs a look at every string."""
        ...

    def settled(self, text: str) -> int:
        """Returns how many leading characters are decided whatever text follows: no finding will start
        before that place and end behind it. Streams forward so much and hold the rest back."""
        ...
