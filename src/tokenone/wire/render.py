"""Writes the heads of HTTP/1.1 messages as bytes, for callers and providers alike; no I/O.

Law: framing fields (Host, Content-Length, Transfer-Encoding, Connection and their kin) are written here alone
and dropped from what others hand in; CR, LF or NUL in a field is refused, so no value becomes a second field.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

from tokenone.errors import TokenOneError
from tokenone.types import Headers

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
CLOSE: Final = b"connection: close\r\n"
CHUNKED: Final = b"transfer-encoding: chunked\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"

_STATUS_LINES: Final = {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode("ascii"))
    for status in HTTPStatus
}
_HOP_FIELDS: Final = frozenset(
    (b"connection", b"transfer-encoding", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade")
)
_FRAMING_FIELDS: Final = _HOP_FIELDS | {b"content-length"}
_REQUEST_FIELDS: Final = _FRAMING_FIELDS | {b"host", b"expect"}
_TARGET: Final = re.compile(rb"/[!$-;=?-\[\]-~]*+")
_METHODS: Final = frozenset((b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"HEAD", b"OPTIONS"))


class UnsafeField(TokenOneError):
    """Something that would not stay one field or line; nothing was written."""

    code = "unsafe_field"
    advice = "Send header fields without control characters and a plain method and target."


def status_line(status: int) -> bytes:
    """Returns the status line; unregistered codes get an empty reason."""
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def fields(headers: Headers, *, keep_length: bool = False) -> bytes:
    """Renders a response's fields without the framing ones; `keep_length` keeps Content-Length."""
    return _render(headers, _HOP_FIELDS if keep_length else _FRAMING_FIELDS)


def request_fields(headers: Headers) -> bytes:
    """Renders a request's fields without Host and the framing ones."""
    return _render(headers, _REQUEST_FIELDS)


def request_line(method: bytes, target: bytes) -> bytes:
    """Renders a request line; refuses what would not stay one."""
    if method not in _METHODS or not _TARGET.fullmatch(target):
        raise UnsafeField("method or target")
    return b"%b %b HTTP/1.1\r\n" % (method, target)


def _render(headers: Headers, dropped: frozenset[bytes]) -> bytes:
    kept = [b": ".join(field) for field in headers if field[0].lower() not in dropped]
    count = len(kept)
    kept.append(b"")
    block = b"\r\n".join(kept)
    if block.count(b"\n") != count or block.count(b"\r") != count or b"\0" in block:
        raise UnsafeField("a header field holds CR, LF or NUL")
    return block
