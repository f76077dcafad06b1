"""JSON texts that go from one body into another: arguments of tool calls, and the schemas of tools.

Law: what is put into a body undecoded was decoded once before: nothing a caller wrote can break out of its place.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tokenone.errors import MalformedBody

_object: Final = msgspec.json.Decoder(dict[str, Any])
EMPTY: Final = msgspec.Raw(b"{}")
NO_PARAMETERS: Final = msgspec.Raw(b'{"type":"object","properties":{}}')


def arguments_object(arguments: str, place: str) -> msgspec.Raw:
    """Returns a call's arguments as the object they must be; no text at all is no arguments."""
    text = arguments.strip().encode("utf-8", "replace")
    if not text:
        return EMPTY
    try:
        _object.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedBody(f"`{place}` is not the JSON text of one object") from None
    return msgspec.Raw(text)


def told_object(arguments: str) -> msgspec.Raw:
    """Returns a model's arguments as an object; those that are none are wrapped, as Anthropic's documentation
    has it ("Fine-grained tool streaming")."""
    try:
        return arguments_object(arguments, "arguments")
    except MalformedBody:
        return msgspec.Raw(msgspec.json.encode({"INVALID_JSON": arguments}))


def arguments_text(value: msgspec.Raw) -> str:
    """Returns a reply's arguments as the JSON text they are; nothing or null is an empty object."""
    text = bytes(value).decode("utf-8", "replace").strip()
    return "{}" if text in ("", "null") else text
