"""HMAC-SHA256 (RFC 2104) under one key that is used again and again.

Law: the key's two padded blocks are hashed once; a MAC is then two copies and two updates, and for short texts
the interpreter is not given away in between (`hmac.digest` does, and waits for it to come back). It shows
neither key nor state.
"""

from __future__ import annotations

import hashlib
from typing import Final

BLOCK: Final = 64
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))


class Keyed:
    """A key of at most 64 bytes, ready to authenticate."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        if not 1 <= len(key) <= BLOCK:
            raise ValueError("a key has 1 to 64 bytes")
        block = key.ljust(BLOCK, b"\0")
        self._inner = hashlib.sha256(block.translate(_INNER))
        self._outer = hashlib.sha256(block.translate(_OUTER))

    def mac(self, text: bytes) -> bytes:
        """Returns the 32 bytes of HMAC-SHA256."""
        inner = self._inner.copy()
        inner.update(text)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()
