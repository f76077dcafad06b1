"""Private keys in text armour: PEM and PGP, line breaks real or written as `\\n`, whole or cut off.

Law: a block is its label, header lines, and lines of base64 of 16 characters and more; two shorter ones may
stand before the end. Each character is matched at most a few times, however often a block begins.
"""

from __future__ import annotations

import re
from typing import Final

from tokenone.detect import checks
from tokenone.types import Finding

BEGIN: Final = "-----BEGIN "
MAX_BLOCK: Final = 16_384
_SHORTEST_KEY: Final = 40
_BREAK: Final = r"(?:\s|\\{1,4}[nr])"
_HEADER: Final = rf"{_BREAK}*+[A-Z][A-Za-z\-]{{2,20}}: [^\n\\]{{0,200}}+"
_LINES: Final = rf"(?:{_BREAK}*+[A-Za-z0-9+/=]{{16,}}+)*+"
_SHORT_LINES: Final = rf"(?:{_BREAK}*+[A-Za-z0-9+/=]{{1,15}}+){{0,2}}{_BREAK}*+"
_LABEL: Final = re.compile(r"((?:[A-Z0-9]{1,16} ){0,4}?)PRIVATE KEY(?: BLOCK)?-----", re.ASCII)
_LABEL_PART: Final = re.compile(r"[A-Z0-9 ]{0,64}-{0,4}\Z", re.ASCII)
_HEADERS: Final = re.compile(rf"(?:{_HEADER}){{1,4}}+", re.ASCII)
_BODY: Final = re.compile(_LINES, re.ASCII)
_END: Final = re.compile(rf"{_SHORT_LINES}-----END [A-Z0-9 ]{{1,60}}-----", re.ASCII)
_HEADER_PART: Final = r"[A-Za-z\-]{1,20}(?:: [^\n\\]{0,200})?"
_CLOSING_PART: Final = r"-----(?:E|EN|END|END [A-Z0-9 ]{0,60}-{0,4})"
_BREAK_PART: Final = r"\\{0,4}"
_END_PART: Final = re.compile(rf"{_SHORT_LINES}(?:{_HEADER_PART}|{_CLOSING_PART})?{_BREAK_PART}\Z", re.ASCII)
_BREAKS: Final = re.compile(rf"{_BREAK}+", re.ASCII)


class PrivateKeyBlock:
    """Finds a private key from the place behind its `-----BEGIN `."""

    def find(self, text: str, at: int) -> tuple[Finding, ...]:
        label = _LABEL.match(text, at)
        if label is None:
            return ()
        headers, start = _after_headers(text, label.end())
        end = _body_end(text, start)
        inside = _BREAKS.sub("", text[start : min(end, start + MAX_BLOCK)])
        if len(inside) < _SHORTEST_KEY or not checks.looks_random(inside[:400], 3.0):
            return ()
        closing = _END.match(text, end)
        end = closing.end() if closing else end
        kind = label[1].strip()
        if kind == "ENCRYPTED" or headers:
            return (Finding("encrypted-private-key", 400, at - len(BEGIN), end),)
        google = not kind and text.rfind("private_key_id", max(0, at - 400), at) >= 0
        name = "google-service-account-key" if google else "private-key"
        return (Finding(name, 990, at - len(BEGIN), end),)


def unfinished(text: str, begin: int) -> bool:
    """Says whether the block that starts at `begin` may still grow when more text comes."""
    at = begin + len(BEGIN)
    label = _LABEL.match(text, at)
    if label is None:
        return _LABEL_PART.match(text, at) is not None
    _, start = _after_headers(text, label.end())
    end = _body_end(text, start)
    return end == len(text) or _END_PART.match(text, end) is not None


def _after_headers(text: str, at: int) -> tuple[bool, int]:
    headers = _HEADERS.match(text, at)
    return (True, headers.end()) if headers else (False, at)


def _body_end(text: str, at: int) -> int:
    body = _BODY.match(text, at)
    return body.end() if body else at
