"""Reads the heads of HTTP/1.1 messages, for callers and providers alike: bytes in, a head out, no I/O.

Law: two parsers must agree. llhttp in strict mode reads the grammar of a whole head; this file decides what a
gateway must be stricter about (start line, Host, how long the body is) and refuses every message of which two
readers could disagree where it ends. A head is held until it is complete, never beyond its limit.
It does not read bodies (bodies.py) and knows no sockets.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import ClassVar, Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, HttpResponseParser

from tokenone.errors import TokenOneError
from tokenone.types import Headers

# RFC 9112 section 3. The target is in origin form and printable ASCII without "#<>\ : what browsers, SDKs and
# RFC 3986 agree on, and nothing that a log or another parser would read differently.
_REQUEST_LINE: Final = re.compile(rb"([A-Z]{1,20}) (/[!$-;=?-\[\]-~]*+) (HTTP/1\.[01])\r\n")
_STATUS_LINE: Final = re.compile(rb"(HTTP/1\.[01]) ([1-5][0-9]{2})(?: ([\t -~\x80-\xff]*+))?\r\n")
_HOST: Final = re.compile(rb"[A-Za-z0-9._~:\[\]%-]{1,260}")
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_OPENING: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_MAX_LENGTH_DIGITS: Final = 15
_SINGLE_FIELDS: Final = (
    (b"content-length", "content-length"),
    (b"transfer-encoding", "transfer-encoding"),
    (b"host", "host"),
    (b"expect", "expect"),
)

UNTIL_CLOSE: Final = -2
CHUNKED: Final = -1


class FramingError(TokenOneError):
    """A message of which two readers could disagree, or which is over a limit; the connection ends with it.

    `reason` is a stable word for statistics, `answer` the status for a caller.
    """

    code: ClassVar[str] = "bad_framing"
    status: ClassVar[int] = 400
    advice: ClassVar[str] = "Send one well-formed HTTP/1.1 message."

    def __init__(self, reason: str, detail: str, answer: int = 400) -> None:
        super().__init__(detail)
        self.reason = reason
        self.answer = answer


class HeadBuffer:
    """Collects the bytes of one head; holds at most `limit` bytes and one read."""

    __slots__ = ("_held", "_limit", "rest")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: bytearray | None = None
        self.rest = b""

    @property
    def empty(self) -> bool:
        """No byte of a head has arrived."""
        return self._held is None

    def feed(self, data: bytes) -> bytes | None:
        """Returns the head with its blank line once it is whole; what follows it is in `rest`."""
        held = self._held
        if held is None:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._hold(data)
                return None
        else:
            searched = max(0, len(held) - 3)
            held += data
            end = held.find(b"\r\n\r\n", searched)
            if end < 0:
                self._check_unfinished(held, searched)
                return None
            data, self._held = bytes(held), None
        if end + 4 > self._limit:
            raise _too_large(self._limit)
        self.rest = data[end + 4 :]
        return data[: end + 4] if self.rest else data

    def _hold(self, data: bytes) -> None:
        if data[0] not in _OPENING:
            raise FramingError("start-line", "this is not the start of an HTTP/1.1 message")
        self._held = bytearray(data)
        self._check_unfinished(self._held, 0)

    def _check_unfinished(self, held: bytearray, searched: int) -> None:
        if len(held) > self._limit:
            raise _too_large(self._limit)
        if _BARE_LF.search(held, searched):
            raise FramingError("line-end", "lines end with CR LF")


class Head:
    """What requests and responses share: fields in order, and look-up by lower-case name."""

    __slots__ = ("_index", "headers", "http_version", "keep_alive", "length")

    headers: Headers
    http_version: bytes
    keep_alive: bool
    length: int
    """Body bytes, or CHUNKED, or UNTIL_CLOSE."""
    _index: dict[bytes, bytes]

    def get(self, name: bytes) -> bytes | None:
        """Returns the first value of the field; `name` is lower case."""
        return self._index.get(name)

    def all(self, name: bytes) -> list[bytes]:
        """Returns every value of the field in order; `name` is lower case."""
        if name not in self._index:
            return []
        return [value for field, value in self.headers if field.lower() == name]

    def _take_fields(self, headers: Headers) -> None:
        """Takes over the fields and refuses those that may stand once only."""
        self.headers = headers
        self._index = index = {name.lower(): value for name, value in reversed(headers)}  # the first wins
        if len(index) != len(headers):
            for single, reason in _SINGLE_FIELDS:
                if len(self.all(single)) > 1:
                    raise FramingError(reason, "a framing field may stand once only")

    def _declared_length(self) -> int | None:
        """Returns the length that the fields declare, CHUNKED, or None without any (RFC 9112 section 6)."""
        length = self._index.get(b"content-length")
        coding = self._index.get(b"transfer-encoding")
        if coding is not None:
            if length is not None:
                raise FramingError("both-lengths", "Content-Length and Transfer-Encoding exclude each other")
            if self.http_version == b"HTTP/1.0":
                raise FramingError("transfer-encoding", "HTTP/1.0 knows no Transfer-Encoding")
            if coding.lower() != b"chunked":
                raise FramingError("transfer-encoding", "the only Transfer-Encoding here is chunked", 501)
            return CHUNKED
        if length is None:
            return None
        if not length.isdigit() or len(length) > _MAX_LENGTH_DIGITS:
            raise FramingError("content-length", "Content-Length is one plain number")
        return int(length)

    def _persists(self) -> bool:
        """HTTP/1.1 persists unless told to close; HTTP/1.0 connections serve one message."""
        if self.http_version == b"HTTP/1.0":
            return False
        value = self._index.get(b"connection")
        if value is None or value == b"keep-alive":
            return True
        tokens = b",".join(self.all(b"connection")).lower().split(b",")
        return all(token.strip() != b"close" for token in tokens)


class RequestHead(Head):
    """A caller's request line and header fields."""

    __slots__ = ("expects_continue", "method", "target", "upgrade")

    method: bytes
    target: bytes
    expects_continue: bool
    upgrade: bool
    """The caller asks for another protocol; nothing switches unless a handler answers so (it never does)."""


class ResponseHead(Head):
    """A provider's status line and header fields."""

    __slots__ = ("reason", "status")

    status: int
    reason: bytes


def parse_request_head(raw: bytes, max_fields: int) -> RequestHead:
    """Parses a whole head (with its blank line); raises FramingError."""
    line = _REQUEST_LINE.match(raw)
    if line is None:
        raise _bad_request_line(raw)
    head = RequestHead()
    head.method, head.target, head.http_version = line.groups()
    if head.method == b"CONNECT":
        raise FramingError("method", "CONNECT is not served here", 405)
    head._take_fields(_read_fields(HttpRequestParser, raw, max_fields))
    index = head._index
    _check_host(index.get(b"host"), head.http_version)
    length = head._declared_length()
    head.length = 0 if length is None else length
    head.keep_alive = head._persists()
    head.upgrade = b"upgrade" in index
    head.expects_continue = b"expect" in index and _expects_continue(head)
    return head


def parse_response_head(raw: bytes, max_fields: int, *, to_head: bool = False) -> ResponseHead:
    """Parses a whole response head; `to_head` says that it answers HEAD. Raises FramingError."""
    line = _STATUS_LINE.match(raw)
    if line is None:
        raise FramingError("start-line", "this is not an HTTP/1.1 status line")
    head = ResponseHead()
    head.http_version, status, reason = line.groups()
    head.status, head.reason = int(status), reason or b""
    head._take_fields(_read_fields(HttpResponseParser, raw, max_fields))
    declared = head._declared_length()
    head.keep_alive = head._persists()
    if to_head or head.status < 200 or head.status in (204, 304):
        head.length = 0
    elif declared is None:
        head.length, head.keep_alive = UNTIL_CLOSE, False
    else:
        head.length = declared
    return head


class _Sink:
    """What llhttp calls with each field. The other callbacks are named, so that looking for them is cheap."""

    __slots__ = ("on_header",)

    on_url = on_status = on_body = on_headers_complete = None
    on_message_begin = on_message_complete = on_chunk_header = on_chunk_complete = None

    def __init__(self, on_header: Callable[[bytes, bytes], object]) -> None:
        self.on_header = on_header


def _read_fields(parser: type[HttpRequestParser | HttpResponseParser], raw: bytes, most: int) -> Headers:
    """Returns the fields that llhttp reads; as many as there are lines, or the two of us disagree."""
    lines = raw.count(b"\n") - 2
    if lines > most:
        raise FramingError("header-count", f"at most {most} header fields", 431)
    unique: dict[bytes, bytes] = {}  # filled without a Python call per field; most heads repeat no name
    _run(parser(_Sink(unique.setdefault)), raw)
    headers = list(unique.items())
    if len(headers) != lines:
        headers = []
        _run(parser(_Sink(lambda name, value: headers.append((name, value)))), raw)
    if len(headers) != lines:
        raise FramingError("head", "the head does not end where its blank line is")
    # llhttp leaves white space at the end of a value.
    if b" \r\n" in raw or (b"\t" in raw and b"\t\r\n" in raw):
        return [(name, value.rstrip(b" \t")) for name, value in headers]
    return headers


def _run(parser: HttpRequestParser | HttpResponseParser, raw: bytes) -> None:
    try:
        parser.feed_data(raw)
    except HttpParserUpgrade:
        pass  # raised after the whole head was read; the handler answers it
    except HttpParserError as error:
        # llhttp's sentences name grammar, never a field's value.
        raise FramingError("head", str(error) or "malformed header fields") from None


def _check_host(host: bytes | None, version: bytes) -> None:
    """RFC 9112 section 3.2: exactly one Host; HTTP/1.0 may leave it out (load balancers' probes do)."""
    if host is None and version == b"HTTP/1.0":
        return
    if host is None or not _HOST.fullmatch(host):
        raise FramingError("host", "a request names exactly one host")


def _expects_continue(head: RequestHead) -> bool:
    value = head.get(b"expect")
    if value is None or value.lower() != b"100-continue":
        raise FramingError("expect", "the only expectation met here is 100-continue", 417)
    return head.http_version == b"HTTP/1.1" and head.length != 0


def _bad_request_line(raw: bytes) -> FramingError:
    if raw.startswith(b"PRI * HTTP/2"):
        return FramingError("http2", "this port speaks HTTP/1.1", 505)
    words = raw[: raw.index(b"\r\n")].split(b" ")
    if len(words) != 3:
        return FramingError("request-line", "a request line is method, target and version")
    if words[0] == b"CONNECT":
        return FramingError("method", "CONNECT is not served here", 405)
    if not re.fullmatch(rb"HTTP/1\.[01]", words[2]):
        return FramingError("version", "this port speaks HTTP/1.1", 505)
    if not words[1].startswith(b"/"):
        return FramingError("target", "the target begins with a slash")
    return FramingError("request-line", "the request line holds characters that do not belong there")


def _too_large(limit: int) -> FramingError:
    return FramingError("header-size", f"a head has at most {limit} bytes", 431)
