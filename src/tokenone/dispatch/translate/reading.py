"""Reads a caller's body strictly, and again without what the form has no place for.

Law: one typed pass for a body that fits; what does not fit is refused by its place, never by what stood there.
"""

from __future__ import annotations

import re
from typing import Final, TypeVar

import msgspec

from tokenone.dispatch.translate.unknown import Shapes, unknown_members
from tokenone.errors import BodyTooDeep, MalformedBody

T = TypeVar("T")
_PLACE: Final = re.compile(r"at `\$\.?([^`]*)`")
_HINTS: Final = ("cache_control", "prompt_cache_key", "prompt_cache_retention")
"""Members that change no answer but what it costs."""
Read = tuple[T, tuple[str, ...], tuple[str, ...]]


def read_strictly(decoder: msgspec.json.Decoder[T], body: bytes, shapes: Shapes, what: str) -> Read[T]:
    """Returns the body, its unknown members and its unknown hints; `what` names the API for a refusal."""
    try:
        if not body.isascii():
            body.decode()  # parts that are copied undecoded are text all the same
        return decoder.decode(body), (), ()
    except msgspec.ValidationError as error:
        if "unknown field" not in str(error):
            raise _malformed(error, what) from None
    except RecursionError:
        raise BodyTooDeep from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise MalformedBody from None
    return _read_again(decoder, body, shapes, what)


def _read_again(decoder: msgspec.json.Decoder[T], body: bytes, shapes: Shapes, what: str) -> Read[T]:
    try:
        whole = msgspec.json.decode(body)
        unknown = unknown_members(whole, shapes)
        found = decoder.decode(msgspec.json.encode(whole))
    except msgspec.ValidationError as error:
        raise _malformed(error, what) from None
    except RecursionError:
        raise BodyTooDeep from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise MalformedBody from None
    hints = tuple([name for name in unknown if name.endswith(_HINTS)])
    return found, tuple([name for name in unknown if not name.endswith(_HINTS)]), hints


def _malformed(error: msgspec.ValidationError, what: str) -> MalformedBody:
    found = _PLACE.search(str(error))
    where = f"`{found[1]}`" if found and found[1] else "the body"
    return MalformedBody(f"{where} is not of the form that {what} have")
