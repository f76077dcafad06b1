"""The secrets detector: provider keys, cloud keys, tokens, private keys, JWTs (rules in `rules.py`).

Law: one pass over the text looks for anchors; only where one stands are rules tried, and what a rule finds
must pass its check. Time is linear in the text, whatever the text.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from typing import Final

from tokenone.detect.key_block import BEGIN, MAX_BLOCK, unfinished
from tokenone.detect.rules import ANCHORS, Anchor, Finder
from tokenone.types import Finding

MAX_HELD: Final = 8192
"""No undecided secret holds back more text than this."""
_UNANCHORED: Final = 96
"""The longest secret that an anchor announces later than its start, or from outside its run."""
_IN_RUNS: Final = string.ascii_letters + string.digits + "-_+/=.~"
_SPELLING_ESCAPE: Final = re.compile(rb"\\(?:u00[2-7]|/)")
_RUN: Final = r"[A-Za-z0-9+/_\-]{16}"


class SecretsDetector:
    """Finds credentials by form, checksum and randomness."""

    name = "secrets"

    def inspect(self, text: str) -> list[Finding]:
        """Returns the credentials in `text`, sorted, not overlapping."""
        found: list[Finding] = []
        end = 0
        for anchor in _IN_TEXT.finditer(text):
            if anchor.end() <= end:
                continue
            for finder in _FINDERS[anchor.lastindex or 0]:
                findings = finder.find(text, anchor.end())
                if findings:
                    found += [finding for finding in findings if finding.start >= end]
                    end = found[-1].end if found else end
                    break
        return found

    def suspects(self, raw: bytes) -> bool:
        """Looks for anchors, and for escapes that could spell one."""
        for search in _IN_RAW:
            if search(raw) is not None:
                return True
        return _SPELLING_ESCAPE.search(raw) is not None

    def settled(self, text: str) -> int:
        """Holds back the last run of token characters, or an unfinished key block."""
        length = len(text)
        run = len(text.rstrip(_IN_RUNS))
        if length - run > _UNANCHORED and _IN_TEXT.search(text, run) is None:
            run = length - _UNANCHORED
        block = text.rfind(BEGIN, max(0, length - MAX_BLOCK))
        if block >= 0 and unfinished(text, block):
            run = min(run, block)
        # Half of what is held goes at once: a text that never settles is looked at twice, not at every piece.
        return run if length - run <= MAX_HELD else length - MAX_HELD // 2


def _compile(anchors: Iterable[Anchor], *, raw: bool) -> list[str]:
    """One expression per trigger character. What follows the trigger is looked at before what stands behind
    it, and the long run that most anchors need before either: prose fails there soonest."""
    by_trigger: dict[str, list[Anchor]] = {}
    for anchor in anchors:
        by_trigger.setdefault(anchor.trigger, []).append(anchor)
    compiled = []
    for trigger, group in by_trigger.items():
        runs = [_alternative(anchor, raw=raw) for anchor in group if not anchor.ahead]
        others = [_alternative(anchor, raw=raw) for anchor in group if anchor.ahead]
        joined = [f"(?={_RUN})(?:{'|'.join(runs)})"] if runs else []
        compiled.append(f"{trigger}(?:{'|'.join(joined + others)})")
    return compiled


def _alternative(anchor: Anchor, *, raw: bool) -> str:
    own = anchor.behind + anchor.trigger
    text = f"(?<={own})"
    if anchor.bound and not raw:
        text += f"(?<!{anchor.bound}{own})"
    if anchor.strict and raw:
        text += rf"(?:(?<!{anchor.bound}{own})|(?<=\\[bfnrt]{own}))"
    first = f"(?={anchor.ahead})" if anchor.ahead else ""
    return first + text + anchor.ahead + ("" if raw else "()")


def _in_group_order(anchors: Iterable[Anchor]) -> list[Anchor]:
    """The order in which `_compile` numbers its groups."""
    places: dict[str, int] = {}
    for anchor in anchors:
        places.setdefault(anchor.trigger, len(places))
    return sorted(anchors, key=lambda anchor: (places[anchor.trigger], bool(anchor.ahead)))


_IN_TEXT: Final = re.compile("|".join(_compile(ANCHORS, raw=False)), re.ASCII)
_IN_RAW: Final = tuple(re.compile(form.encode("ascii")).search for form in _compile(ANCHORS, raw=True))
_FINDERS: Final[tuple[tuple[Finder, ...], ...]] = (
    (),
    *(anchor.finders for anchor in _in_group_order(ANCHORS)),
)
