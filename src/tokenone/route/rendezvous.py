"""Which of several places a session belongs to: weighted rendezvous hashing.

Law: a place's score depends on the session and on that place alone, so that a place which comes or goes moves
only the sessions that were or will be its own; over all sessions places share by weight (Schindelhauer and
Schomaker 2005: the least of -ln(u)/w). Weight 0 comes after all others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b

_WORD = 2**64


def digest(text: str) -> int:
    """Returns 64 bits that stand for a name; the same on every machine."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def order(session: int, places: Sequence[int], weights: Sequence[int]) -> list[int]:
    """Returns the indexes of all places, the session's own first. `session` and `places` are digests."""
    scores = [(_score(session, place, weight), place, index)
              for index, (place, weight) in enumerate(zip(places, weights, strict=True))]  # fmt: skip
    scores.sort()
    return [index for _, _, index in scores]


def _score(session: int, place: int, weight: int) -> tuple[bool, float]:
    wait = -math.log((_mixed(session ^ place) + 1) / _WORD)
    return weight <= 0, wait / (weight if weight > 0 else 1)


def _mixed(number: int) -> int:
    """SplitMix64's finaliser (Steele, Lea, Flood, OOPSLA 2014)."""
    number = (number + 0x9E3779B97F4A7C15) % _WORD
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) % _WORD
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) % _WORD
    return number ^ (number >> 31)
