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
    also: tuple[str, ...] = ()
    """Further models that the body lets the provider use."""


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
_ESCAPED_LETTER: Final = (
    b"\\u006"  # the letters of `model` lie between U+0064 and U+006F; no encoder escapes them
)
# Forms are read strictly, because parsers differ in how they read loose ones.
_PARAMETER: Final = rb"""[ \t]*;[ \t]*([-!#$%&'*+.^_`|~0-9A-Za-z]+)=("[^"\r\n]*"|[^\s;"]+)"""
_PARAMETERS: Final = re.compile(_PARAMETER)
_FORM: Final = re.compile(rb"multipart/form-data((?:" + _PARAMETER + rb")*)[ \t]*;?", re.IGNORECASE)
_DISPOSITION: Final = re.compile(
    rb"content-disposition:[ \t]*form-data((?:" + _PARAMETER + rb")*)[ \t]*;?[ \t]*", re.IGNORECASE
)
_PART_FIELD: Final = re.compile(rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+:[^\r\n]*")
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
    if len(_MODEL_WORD.findall(body)) > 1 or _ESCAPED_LETTER in body:
        _refuse_repeated_model(body)
    if found.stream_options is msgspec.UNSET:
        return Peek(found.model, bool(found.stream))
    return Peek(found.model, bool(found.stream), _asks_usage(found.stream_options), True)


def _refuse_repeated_model(body: bytes) -> None:
    """Counts spellings as well: an escaped name is the same name to a parser."""
    spelled = [member.key for member in members(body) if member.key == b'"model"' or b"\\" in member.key]
    if sum(msgspec.json.decode(key) == "model" for key in spelled) > 1:
        raise MalformedBody("the body names `model` more than once")


def _asks_usage(raw: msgspec.Raw | msgspec.UnsetType) -> bool:
    try:
        return bool(_stream_options.decode(raw).include_usage) if isinstance(raw, msgspec.Raw) else False
    except msgspec.DecodeError:
        return False  # null or a wrong shape; the provider will say so


def _peek_form(body: bytes, content_type: str) -> Peek:
    """Finds the `model` and `stream` fields of multipart/form-data (RFC 7578)."""
    form = _FORM.fullmatch(content_type.encode("latin-1", "replace"))
    delimiter = b"--" + _parameter(form[1] if form else b"", b"boundary")
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
    """Returns name and value of each part; the delimiter may stand nowhere but between them."""
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
        parts.append((_part_name(body[start:head_end]), body[head_end + 4 : end]))
        at = end + 2
    if body.count(delimiter) != len(parts) + 1:
        raise MalformedBody("the form's boundary appears where no part begins")
    return parts


def _part_name(head: bytes) -> bytes:
    """Returns the name that a part's head gives it, in the one way that all parsers read alike."""
    opening, *lines = head.split(b"\r\n")
    named = [found[1] for line in lines if (found := _DISPOSITION.fullmatch(line))]
    if opening or len(named) != 1 or not all(_PART_FIELD.fullmatch(line) for line in lines):
        raise MalformedBody("a part of the form has not exactly one plain Content-Disposition")
    return _parameter(named[0], b"name")


def _parameter(text: bytes, wanted: bytes) -> bytes:
    """Returns the value of a parameter that stands once, unencoded and without escaped quotes."""
    found: list[tuple[bytes, bytes]] = _PARAMETERS.findall(text)
    named = [(name, value) for name, value in found if name.lower() in (wanted, wanted + b"*")]
    if len(named) != 1 or named[0][0].endswith(b"*") or b'\\"' in text:
        raise MalformedBody(f"the form needs one plain `{wanted.decode()}` where one belongs")
    return named[0][1].strip(b'"')
