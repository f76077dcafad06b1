"""Asks for an OpenAI chat stream's usage by inserting bytes into the caller's own body.

Law: the original bytes stay: `"stream_options":{"include_usage":true},` (or, in an existing object,
`"include_usage":true,`) is inserted and nothing else moves; an explicit null or false is replaced by the
value that asks. Wherever two parsers could disagree (repeated or escaped member names) nothing is spliced.
"""

from __future__ import annotations

import re
from typing import Final

from tokenone.dispatch.members import Member, members
from tokenone.dispatch.peek import Peek

OPTIONS: Final = b'"stream_options":{"include_usage":true},'
_STREAM_WORD: Final = re.compile(rb'"stream"')
_ASK: Final = b'"include_usage":true'


def splice_usage(body: bytes, peek: Peek) -> bytes:
    """Returns the body that asks for usage, or `body` itself when there is nothing to splice."""
    if not peek.stream or peek.asked_usage:
        return body
    if not peek.names_options and b'"stream_options"' not in body and len(_STREAM_WORD.findall(body)) == 1:
        return _inserted(body, body.index(b"{") + 1, OPTIONS)
    return _splice_carefully(body)


def _splice_carefully(body: bytes) -> bytes:
    top = members(body)
    options = [member for member in top if member.key == b'"stream_options"']
    escaped = any(b"\\" in member.key for member in top)
    repeated = sum(member.key == b'"stream"' for member in top) != 1 or len(options) > 1
    if escaped or repeated:
        return body
    if not options:
        return _inserted(body, body.index(b"{") + 1, OPTIONS)
    return _splice_options(body, options[0])


def _splice_options(body: bytes, options: Member) -> bytes:
    value = body[options.start : options.end]
    if value == b"null":
        return _replaced(body, options, b"{" + _ASK + b"}")
    if not value.startswith(b"{"):
        return body
    inner = members(body, options.start, options.end)
    asks = [member for member in inner if member.key == b'"include_usage"']
    if any(b"\\" in member.key for member in inner) or len(asks) > 1:
        return body
    if not asks:
        return _inserted(body, options.start + 1, _ASK + b"," if inner else _ASK)
    if body[asks[0].start : asks[0].end] in (b"false", b"null"):
        return _replaced(body, asks[0], b"true")
    return body


def _inserted(body: bytes, at: int, what: bytes) -> bytes:
    return b"".join((body[:at], what, body[at:]))


def _replaced(body: bytes, member: Member, what: bytes) -> bytes:
    return b"".join((body[: member.start], what, body[member.end :]))
