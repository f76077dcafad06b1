"""Merkle trees of RFC 6962: roots, inclusion paths, and folding a path back to its root.

Law: leaves are hashed by whoever owns them (0x00 prefix); nodes are SHA-256(0x01 ‖ left ‖ right). Pure; no
I/O.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from tokenone.errors import IntegrityError

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()


class Tree:
    """All levels over at least one leaf, lowest first; a node without a sibling moves up as it is."""

    __slots__ = ("_levels",)

    def __init__(self, leaves: Sequence[bytes]) -> None:
        if not leaves:
            raise IntegrityError("a tree without leaves")
        self._levels: list[Sequence[bytes]] = [leaves]
        while len(self._levels[-1]) > 1:
            self._levels.append(_parents(self._levels[-1]))

    @property
    def root(self) -> bytes:
        return self._levels[-1][0]

    def path(self, index: int) -> list[bytes]:
        """Returns the siblings from the leaf up (RFC 6962 section 2.1.1)."""
        if not 0 <= index < len(self._levels[0]):
            raise IntegrityError("no such leaf")
        siblings = []
        for level in self._levels[:-1]:
            if (index ^ 1) < len(level):
                siblings.append(level[index ^ 1])
            index >>= 1
        return siblings


def root(leaves: Sequence[bytes]) -> bytes:
    """Returns the tree's head; that of no leaves is SHA-256 of nothing."""
    level = leaves
    while len(level) > 1:
        level = _parents(level)
    return level[0] if level else EMPTY_ROOT


def _parents(level: Sequence[bytes]) -> list[bytes]:
    sha256 = hashlib.sha256
    above = [
        sha256(b"\x01" + left + right).digest()
        for left, right in zip(level[::2], level[1::2], strict=False)  # an odd last one has no pair
    ]
    if len(level) & 1:
        above.append(level[-1])
    return above


def fold(leaf: bytes, *, index: int, count: int, path: Sequence[bytes]) -> bytes:
    """Returns the root that `path` gives over `leaf`; IntegrityError if it has the wrong length."""
    if not 0 <= index < count:
        raise IntegrityError("no such leaf in the tree")
    node, last, rest = leaf, count - 1, iter(path)
    while last:
        if index ^ 1 <= last:
            sibling = next(rest, None)
            if sibling is None:
                raise IntegrityError("the path is too short")
            pair = sibling + node if index & 1 else node + sibling
            node = hashlib.sha256(b"\x01" + pair).digest()
        index, last = index >> 1, last >> 1
    if next(rest, None) is not None:
        raise IntegrityError("the path is too long")
    return node
