"""Finds the members of a chat-completions body that the form has no place for, and takes them out.

Law: each is named by its place (`messages[2].content[0].cache_control`); one whose value is null asks nothing and
is not named. Runs only for bodies that the strict reading refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tokenone.dispatch.translate import front_chat_wire as wire

_ROLES: Final[Mapping[object, type[msgspec.Struct]]] = {kind.__struct_config__.tag: kind for kind in (
    wire.System, wire.Developer, wire.User, wire.Assistant, wire.ToolMessage)}  # fmt: skip
_TYPES: Final[Mapping[object, type[msgspec.Struct]]] = {kind.__struct_config__.tag: kind for kind in (
    wire.TextPart, wire.RefusalPart, wire.ImagePart, wire.FilePart, wire.AudioPart)}  # fmt: skip
_INSIDE: Final[Mapping[tuple[type, str], type[msgspec.Struct]]] = {
    (wire.ImagePart, "image_url"): wire.ImageUrl,
    (wire.FilePart, "file"): wire.File,
    (wire.AudioPart, "input_audio"): wire.Audio,
    (wire.Call, "function"): wire.CalledFunction,
    (wire.FunctionTool, "function"): wire.Function,
    (wire.ChooseFunction, "function"): wire.ChosenFunction,
    (wire.SchemaFormat, "json_schema"): wire.JsonSchema,
    (wire.Body, "tool_choice"): wire.ChooseFunction,
    (wire.Body, "response_format"): wire.SchemaFormat,
}
_LISTED: Final[Mapping[tuple[type, str], type[msgspec.Struct]]] = {
    (wire.Assistant, "tool_calls"): wire.Call,
    (wire.Body, "tools"): wire.FunctionTool,
}


def unknown_members(body: object) -> tuple[str, ...]:
    """Returns the places of unknown members and removes them from `body`."""
    found: list[str] = []
    _walk(body, wire.Body, "", found)
    return tuple(found)


def _walk(value: object, kind: type[msgspec.Struct], place: str, found: list[str]) -> None:
    if not isinstance(value, dict):
        return
    known = {*kind.__struct_encode_fields__, kind.__struct_config__.tag_field}
    for name in [name for name in value if name not in known]:
        if value[name] is not None:
            found.append(f"{place}{name}")
        del value[name]
    for name, inner in value.items():
        _descend(inner, kind, name, f"{place}{name}", found)


def _descend(inner: Any, kind: type[msgspec.Struct], name: str, place: str, found: list[str]) -> None:
    if single := _INSIDE.get((kind, name)):
        _walk(inner, single, f"{place}.", found)
    elif isinstance(inner, list):
        for at, item in enumerate(inner):
            expected = _expected(item, kind, name)
            if expected is not None:
                _walk(item, expected, f"{place}[{at}].", found)


def _expected(item: object, kind: type[msgspec.Struct], name: str) -> type[msgspec.Struct] | None:
    """Returns what a list's item should be; messages and parts say so themselves."""
    if (kind, name) in _LISTED:
        return _LISTED[kind, name]
    if not isinstance(item, dict) or name not in ("messages", "content"):
        return None
    said = item.get("role" if name == "messages" else "type")
    table = _ROLES if name == "messages" else _TYPES
    return table.get(said) if isinstance(said, str) else None
