"""Providers that give the key away: in every spelling, in every part of an answer, whole or damaged.

Law: an echo is a function of the key alone; each row must come back to the caller without it.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from kit.scripted import answer

SPELLINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda key: key,
    "reversed": lambda key: key[::-1],
    "hex": lambda key: key.hex().encode(),
    "HEX": lambda key: key.hex().upper().encode(),
    "base64": base64.b64encode,
    "base64url": base64.urlsafe_b64encode,
    "base64 of the header": lambda key: base64.b64encode(b"Authorization: Bearer " + key + b"\r\n"),
    "base64 shifted": lambda key: base64.b64encode(b"x" + key),
    "JSON escapes": lambda key: "".join(f"\\u{byte:04x}" for byte in key).encode(),
    "JSON": lambda key: json.dumps(key.decode())[1:-1].encode(),
    "percent": lambda key: "".join(f"%{byte:02X}" for byte in key).encode(),
    "URL": lambda key: quote(key.decode(), safe="").encode(),
    "twice": lambda key: key + b" and again " + key,
}
REASONS = {
    302: b"302 Found", 400: b"400 Bad Request", 401: b"401 Unauthorized", 403: b"403 Forbidden",
    429: b"429 Too Many Requests", 500: b"500 Internal Server Error", 503: b"503 Service Unavailable",
}  # fmt: skip


@dataclass(frozen=True)
class Echo:
    """One answer; `bytes_for` makes it of the key that came."""

    name: str
    bytes_for: Callable[[bytes], bytes]
    status: int | None
    """What the caller gets; None where nothing of it can be read."""


def _body(spelled: bytes) -> bytes:
    return b'{"error":{"message":"the key ' + spelled + b' is not known","type":"e","code":null}}'


def _refusal(
    status: int, spell: Callable[[bytes], bytes], *, zipped: bool = False
) -> Callable[[bytes], bytes]:
    def made(key: bytes) -> bytes:
        body = _body(spell(key))
        if zipped:
            return answer(gzip.compress(body, mtime=0), b"content-encoding: gzip", status=REASONS[status])
        return answer(body, status=REASONS[status])

    return made


def _head(*fields: bytes, status: int = 400) -> Callable[[bytes], bytes]:
    def made(key: bytes) -> bytes:
        return answer(b"{}", *(field.replace(b"KEY", key) for field in fields), status=REASONS[status])

    return made


def _raw(template: bytes) -> Callable[[bytes], bytes]:
    return lambda key: template.replace(b"KEY", key)


def _unread(encoding: bytes, spoil: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda key: answer(
        spoil(_body(key)), b"content-encoding: " + encoding, status=REASONS[400], kind=b"text/plain"
    )


ECHOES: tuple[Echo, ...] = (
    *(Echo(f"{name} in a 401", _refusal(401, spell), 401) for name, spell in SPELLINGS.items()),
    *(Echo(f"{name}, zipped", _refusal(400, spell, zipped=True), 400) for name, spell in SPELLINGS.items()),
    *(Echo(f"plain in a {status}", _refusal(status, SPELLINGS["plain"]), status) for status in REASONS),
    Echo("header", _head(b"x-your-key: KEY", b"www-authenticate: Bearer realm=KEY"), 400),
    Echo("location of a redirect", _head(b"location: https://elsewhere.example/?key=KEY", status=302), 302),
    Echo("cookie", _head(b"set-cookie: key=KEY; Path=/", status=500), 500),
    Echo("reason phrase", _raw(b"HTTP/1.1 400 KEY\r\ncontent-length: 2\r\n\r\n{}"), 400),
    Echo("unknown encoding", _unread(b"br", lambda body: body), 400),
    Echo("not gzip", _unread(b"gzip", lambda body: body), 400),
    Echo("half of a gzip", _unread(b"gzip", lambda body: gzip.compress(body)[:-9]), 400),
    Echo("gzip twice", _unread(b"gzip, gzip", lambda body: gzip.compress(gzip.compress(body))), 400),
    Echo(
        "beyond what is read",
        lambda key: answer(_body(key) + b" " * (1 << 20) + key, status=REASONS[400], kind=b"text/plain"),
        400,
    ),
    Echo("version", _raw(b"HTTP/KEY 200 OK\r\n\r\n"), 502),
    Echo("header name", _raw(b"HTTP/1.1 200 OK\r\nx KEY: 1\r\ncontent-length: 0\r\n\r\n"), 502),
    Echo("length", _raw(b"HTTP/1.1 200 OK\r\ncontent-length: KEY\r\n\r\n"), 502),
    Echo("coding", _raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: KEY\r\n\r\n"), 502),
    Echo("chunk size", _raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nKEY\r\n"), 502),
    Echo("no HTTP at all", _raw(b"KEY KEY KEY\r\n\r\n"), 502),
    Echo("interim answer", _raw(b"HTTP/1.1 103 KEY\r\nlink: KEY\r\n\r\nHTTP/1.1 101 KEY\r\n\r\n"), 502),
    Echo("half a refusal", _raw(b"HTTP/1.1 401 No\r\ncontent-length: 999\r\n\r\nthe key KEY is"), 502),
    Echo(
        "content type of a refusal",
        _raw(b"HTTP/1.1 403 No\r\ncontent-type: text/KEY\r\ncontent-length: 2\r\n\r\n{}"), 403,
    ),
)  # fmt: skip


def error_event(front: str, spelled: bytes) -> bytes:
    """An event in the middle of a stream that says why it ends, in a front's shape."""
    said = b'"message":"the key ' + spelled + b' was withdrawn"'
    if front == "anthropic":
        return b'event: error\ndata: {"type":"error","error":{"type":"api_error",' + said + b"}}\n\n"
    return b'data: {"error":{' + said + b',"type":"server_error","code":null}}\n\n'


def failing_stream(
    front: str, spell: Callable[[bytes], bytes], *, zipped: bool = False
) -> Callable[[bytes], bytes]:
    """A 200 whose stream ends with such an event."""
    start = b'data: {"type":"message_start","model":"m","choices":[]}\n\n'

    def made(key: bytes) -> bytes:
        body = start + error_event(front, spell(key))
        fields = [b"content-encoding: gzip"] if zipped else []
        return answer(gzip.compress(body) if zipped else body, *fields, kind=b"text/event-stream")

    return made
