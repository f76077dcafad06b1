"""Completes usage that a reply did not report whole: a documented estimate, marked as one.

Law: four bytes of text are taken as a token; what was reported stands, but a cut stream's output is at least
what its text amounts to; inference is never estimated as zero. A whole, reported usage is not touched.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tokenone.types import Usage

BYTES_PER_TOKEN: Final = 4


def settled(usage: Usage | None, *, whole: bool, request_bytes: int, reply_bytes: int) -> Usage:
    """Returns the usage to price: as reported if the reply was `whole` and reported it, else an estimate.

    `request_bytes` and `reply_bytes` count text alone (no images, no JSON around it).
    """
    if whole and usage is not None and is_reported(usage):
        return usage
    return estimate(usage, request_bytes=request_bytes, reply_bytes=reply_bytes)


def is_reported(usage: Usage) -> bool:
    """Says whether input, or what is billed in its place, was reported at all."""
    return any(count is not None for count in (usage.input, usage.audio_seconds, usage.server_tools))


def estimate(usage: Usage | None, *, request_bytes: int, reply_bytes: int) -> Usage:
    """Returns `usage` with estimates where it is silent or was cut off."""
    known = usage or Usage()
    into = max(1, _tokens(request_bytes)) if known.input is None else known.input
    out = max(1, known.output or 0, _tokens(reply_bytes))
    return msgspec.structs.replace(known, input=into, output=out, estimated=True)


def _tokens(text_bytes: int) -> int:
    return -(-text_bytes // BYTES_PER_TOKEN)
