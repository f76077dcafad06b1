"""Reads the usage of a JSON reply that is too long to hold: from its last bytes, as it passes.

Law: remembers at most `KEPT` bytes. Providers write `usage` (Cohere `meta`, Google `usageMetadata`) behind the
content; it is found as a member's name, which no text inside a JSON string can look like. A reply whose usage is
elsewhere reports nothing.
"""

from __future__ import annotations

import re
from typing import Final

from tokenone.dispatch.members import value_end

KEPT: Final = 64 * 1024
LOOKED_AT: Final = 32
"""Members of such a name that are looked at, the last ones: each may take as long as the tail is."""

_USAGE: Final = re.compile(rb'"(usage|usageMetadata|meta)"\s*:\s*(?=\{)')
_NAMED: Final = re.compile(rb'"(?:model|modelVersion|service_tier)"\s*:\s*"[^"\\]{0,256}"')


class TailReader:
    """Takes decoded bytes in and keeps the head and the tail in which replies name model and usage."""

    __slots__ = ("_head", "_tail")

    def __init__(self) -> None:
        self._head = b""
        self._tail = b""

    def feed(self, data: bytes) -> None:
        """Takes the next bytes in."""
        if len(self._head) < KEPT:
            self._head += data[: KEPT - len(self._head)]
        self._tail = data[-KEPT:] if len(data) >= KEPT else (self._tail + data)[-KEPT:]

    def digest(self) -> bytes:
        """Returns a small reply with the model, tier and usage found, to be read as any other."""
        found = {
            member[0].partition(b":")[0].rstrip(): member[0]
            for part in (self._head, self._tail)
            for member in _NAMED.finditer(part)
        }
        return b"{" + b",".join([*found.values(), *self._usage().values()]) + b"}"

    def _usage(self) -> dict[bytes, bytes]:
        """Returns the last whole member of each name."""
        found: dict[bytes, bytes] = {}
        for member in reversed(list(_USAGE.finditer(self._tail))[-LOOKED_AT:]):
            at = member.start()
            if member[1] not in found and (end := value_end(self._tail, self._tail.index(b"{", at))) > 0:
                found[member[1]] = self._tail[at:end]
        return found
