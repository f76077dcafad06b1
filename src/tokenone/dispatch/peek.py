"""Peeks at a request's body: which model, streamed or not. The body itself stays as it is.

Law: typed, one pass, nothing re-serialised. A body that two parsers could read differently about the model
(a repeated member) is refused, since allow-lists decide by it.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from tokenone.dispatch.members import members
from tokenone.errors import BodyTooDeep, MalformedBody


class Peek(msgspec.Struct, frozen=True, gc=False):
    """What the way of a call needs to know of a body."""

    model: str | None = None
    stream: bool = False
    asked_usage: bool = False
    """The caller asked for the stream's usage chunk."""
    names_options: bool = False
    """The body has a `stream_options` member."""


class _Body(msgspec.Struct, gc=False):
    model: str | None = None
    stream: bool | None = None
    stream_options: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _StreamOptions(msgspec.Struct, gc=False):
    include_usage: bool | None = None


NOTHING: Final = Peek()
_body: Final = msgspec.json.Decoder(_Body)
_stream_options: Final = msgspec.json.Decoder(_StreamOptions)
_MODEL_WORD: Final = re.compile(rb'"model"')  # twice as fast here as bytes.count
_BOUNDARY: Final = re.compile(r'boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)
_PART_NAME: Final = re.compile(rb'content-disposition:[^\r\n]*;\s*name="?([^";\r\n]*)"?', re.IGNORECASE)
_PART_HEADER_LIMIT: Final = 8192


def peek(body: bytes, content_type: str | None) -> Peek:
    """Reads model and stream flag of a JSON or multipart body; an empty body has neither."""
    if not body:
        return NOTHING
    if content_type and content_type[0] in "mM" and content_type[:19].lower() == "multipart/form-data":
        return _peek_form(body, content_type)
    return _peek_json(body)


def _peek_json(body: bytes) -> Peek:
    try:
        found = _body.decode(body)
    except RecursionError:
        raise BodyTooDeep from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise MalformedBody(
            "the body is not one JSON object with a text `model` and a true or false `stream`"
        ) from None
    if len(_MODEL_WORD.findall(body)) > 1:
        _refuse_repeated_model(body)
    if found.stream_options is msgspec.UNSET:
        return Peek(found.model, bool(found.stream))
    return Peek(found.model, bool(found.stream), _asks_usage(found.stream_options), True)


def _refuse_repeated_model(body: bytes) -> None:
    if sum(member.key == b'"model"' for member in members(body)) > 1:
        raise MalformedBody("the body names `model` more than once")


def _asks_usage(raw: msgspec.Raw | msgspec.UnsetType) -> bool:
    try:
        return bool(_stream_options.decode(raw).include_usage) if isinstance(raw, msgspec.Raw) else False
    except msgspec.DecodeError:
        return False  # null or a wrong shape; the provider will say so


def _peek_form(body: bytes, content_type: str) -> Peek:
    """Finds the `model` and `stream` fields of multipart/form-data (RFC 7578)."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise MalformedBody("multipart/form-data without a boundary")
    delimiter = b"--" + (found[1] or found[2]).encode("latin-1", "replace")
    fields: dict[bytes, bytes] = {}
    for name, value in _parts(body, delimiter):
        if name not in (b"model", b"stream"):
            continue
        if name in fields:
            raise MalformedBody(f"the form names `{name.decode()}` more than once")
        fields[name] = value
    try:
        model = fields[b"model"].decode() if b"model" in fields else None
    except UnicodeDecodeError:
        raise MalformedBody("the form's `model` is not text") from None
    return Peek(model, fields.get(b"stream", b"").lower() in (b"true", b"1"))


def _parts(body: bytes, delimiter: bytes) -> list[tuple[bytes, bytes]]:
    """Returns name and value of each part; a part without a name is skipped."""
    parts: list[tuple[bytes, bytes]] = []
    at = 0 if body.startswith(delimiter) else body.find(b"\r\n" + delimiter) + 2
    if at < 2 and not body.startswith(delimiter):
        raise MalformedBody("the form's boundary does not appear in the body")
    while not body.startswith(b"--", at + len(delimiter)):
        start = at + len(delimiter)
        head_end = body.find(b"\r\n\r\n", start, start + _PART_HEADER_LIMIT)
        end = body.find(b"\r\n" + delimiter, max(head_end, start))
        if head_end < 0 or end < 0:
            raise MalformedBody("the form ends in the middle of a part")
        named = _PART_NAME.search(body, start, head_end)
        if named:
            parts.append((named[1], body[head_end + 4 : end]))
        at = end + 2
    return parts
