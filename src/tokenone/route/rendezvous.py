"""Which of several places a session belongs to: weighted rendezvous hashing.

Law: a place's score depends on the session and on that place alone, so that a place which comes or goes moves
only the sessions that were or will be its own; over all sessions places share by weight (Schindelhauer and
Schomaker 2005: the least of -ln(u)/w). Weight 0 comes after all others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from heapq import nsmallest
from typing import Final

_FIRST: Final = 8
_WORD: Final = 2**64
_MASK: Final = 2**64 - 1


def digest(text: str) -> int:
    """Returns 64 bits that stand for a name; the same on every machine."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def order(session: int, places: Sequence[int], weights: Sequence[int]) -> Iterator[int]:
    """Yields the indexes of all places, the session's own first. `session` and `places` are digests. Costs one
    hash for each place; what lies behind the first few is put in order only when it is asked for."""
    scores = [
        (_score(session, place, weight), place, index)
        for index, (place, weight) in enumerate(zip(places, weights, strict=True))
    ]
    first = nsmallest(_FIRST, scores) if len(scores) > _FIRST else sorted(scores)
    yield from (index for _, _, index in first)
    if len(scores) > _FIRST:
        yield from (index for _, _, index in sorted(scores)[_FIRST:])


def _score(session: int, place: int, weight: int) -> float:
    """The time of a place's first arrival; a place without weight arrives after all others. Mixed by the two
    multiplications of SplitMix64's finaliser (Steele, Lea, Flood, OOPSLA 2014)."""
    mixed = ((session ^ place) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 32)) * 0x94D049BB133111EB) & _MASK
    wait = -math.log((mixed + 1) / _WORD)
    return wait / weight if weight > 0 else 1e6 + wait
