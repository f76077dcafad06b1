"""Counts the text of requests and of streamed events, the ground of an estimate when usage never comes.

Law: images, audio and files are not text: data URLs and long base64 strings of a request do not count, nor do
members of an event that are not named. It counts bytes, not tokens. A request is only counted when needed.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

_LONG: Final = 512
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_=-]{512}")
_STRING: Final = re.compile(rb'\s?"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_OUTSIDE: Final = frozenset(("model", "stream", "stream_options", "user", "metadata", "service_tier"))


def text_bytes(body: bytes) -> int:
    """Returns how many bytes of text the JSON body holds; 0 for a body that is not JSON."""
    try:
        request = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0
    if not isinstance(request, dict):
        return 0
    waiting: list[object] = [value for name, value in request.items() if name not in _OUTSIDE]
    counted = 0
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            counted += _text_length(value)
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return counted


def _text_length(text: str) -> int:
    if len(text) >= _LONG and (text.startswith("data:") or _BASE64.match(text)):
        return 0
    return len(text.encode("utf-8", "surrogatepass"))


def event_text_bytes(event: bytes, names: tuple[bytes, ...]) -> int:
    """Returns how many bytes the string members called `names` (quoted, with colon) have in an event."""
    counted = 0
    for name in names:
        at = event.find(name)
        while at >= 0:
            at += len(name)
            text = _STRING.match(event, at)
            if text:
                counted += text.end(1) - text.start(1)
                at = text.end()
            at = event.find(name, at)
    return counted
