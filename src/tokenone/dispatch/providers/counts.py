"""Types of the counts that providers report: bounded, so that a hostile reply cannot price or overflow.

Law: a count is a non-negative integer of at most a billion or it is not a count; what does not decode is *not
reported*, never zero and never an exception.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
T = TypeVar("T")


def lenient(decoder: msgspec.json.Decoder[T], text: bytes | msgspec.Raw) -> T | None:
    """Decodes, or returns None for anything of another shape."""
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def total(*counts: int | None) -> int | None:
    """Adds what was reported; None if nothing was."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
