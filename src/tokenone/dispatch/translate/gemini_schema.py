"""Takes out of a JSON Schema what Gemini does not read.

Law: keywords that constrain are named by their place when they are taken out; those that only annotate are not,
for nothing is lost with them; `const` becomes an `enum` of one. A property may be called like a keyword. Source:
ai.google.dev/api, `GenerationConfig.responseJsonSchema`, the list of supported keywords.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tokenone.errors import MalformedBody

_READ: Final = frozenset(
    (
        "$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items",
        "prefixItems", "minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties",
        "additionalProperties", "required", "propertyOrdering",
    )
)  # fmt: skip
_ANNOTATE: Final = frozenset(
    ("$schema", "$comment", "default", "deprecated", "example", "examples", "readOnly", "writeOnly")
)
_NAMED: Final = frozenset(("properties", "$defs"))
"""Keywords whose members are names of the caller's own."""
_LISTS: Final = frozenset(("prefixItems", "anyOf", "oneOf"))
_INSIDE: Final = frozenset(("items", "additionalProperties"))
_decoder: Final = msgspec.json.Decoder()


def cleaned(schema: msgspec.Raw, place: str) -> tuple[msgspec.Raw, tuple[str, ...]]:
    """Returns the schema as Gemini reads it and the places of the constraints it lost."""
    try:
        found = _decoder.decode(schema)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedBody(f"`{place}` is no JSON Schema") from None
    lost: list[str] = []
    changed: list[str] = []
    written = _clean(found, place, lost, changed)
    return (msgspec.Raw(msgspec.json.encode(written)) if changed else schema), tuple(lost)


def _clean(schema: Any, place: str, lost: list[str], changed: list[str]) -> Any:
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for name, value in schema.items():
        here = f"{place}.{name}"
        if name == "definitions":  # the older spelling is not read, and neither are references to it
            lost.append(here)
        if name in _NAMED and isinstance(value, dict):
            kept[name] = {key: _clean(one, f"{here}.{key}", lost, changed) for key, one in value.items()}
        elif name in _LISTS and isinstance(value, list):
            kept[name] = [_clean(one, f"{here}[{at}]", lost, changed) for at, one in enumerate(value)]
        elif name in _INSIDE:
            kept[name] = _clean(value, here, lost, changed)
        elif name in _READ:
            kept[name] = value
        else:
            changed.append(here)
            _leave(kept, name, value, here, lost)
    return kept


def _leave(kept: dict[str, Any], name: str, value: Any, here: str, lost: list[str]) -> None:
    if name == "const":
        kept["enum"] = [value]
    elif name not in _ANNOTATE and name != "definitions":
        lost.append(here)
