"""Finds the members of a body that the form has no place for, and takes them out.

Law: each is named by its place (`messages[2].content[0].wish`); one whose value is null asks nothing and is not
named. Runs only for bodies that a front's strict reading refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

Kind: TypeAlias = type[msgspec.Struct]


@dataclass(frozen=True, slots=True)
class Shapes:
    """A front's structures: what stands in which member, alone, in a list, or by what an item says it is."""

    body: Kind
    inside: Mapping[tuple[Kind, str], Kind]
    listed: Mapping[tuple[Kind, str], Kind]
    said: Mapping[str, tuple[str, Mapping[object, Kind]]]
    """A list's member → the item's member that says its kind, and the kinds."""


def tagged(*kinds: Kind) -> dict[object, Kind]:
    """Returns the kinds by the tags that they are told apart by."""
    return {kind.__struct_config__.tag: kind for kind in kinds}


def unknown_members(body: object, shapes: Shapes) -> tuple[str, ...]:
    """Returns the places of unknown members and removes them from `body`."""
    found: list[str] = []
    _walk(body, shapes.body, "", found, shapes)
    return tuple(found)


def _walk(value: object, kind: Kind, place: str, found: list[str], shapes: Shapes) -> None:
    if not isinstance(value, dict):
        return
    known = {*kind.__struct_encode_fields__, kind.__struct_config__.tag_field}
    for name in [name for name in value if name not in known]:
        if value[name] is not None:
            found.append(f"{place}{name}")
        del value[name]
    for name, inner in value.items():
        here = f"{place}{name}"
        if single := shapes.inside.get((kind, name)):
            _walk(inner, single, f"{here}.", found, shapes)
        elif isinstance(inner, list):
            for at, item in enumerate(inner):
                if (expected := _expected(item, kind, name, shapes)) is not None:
                    _walk(item, expected, f"{here}[{at}].", found, shapes)


def _expected(item: Any, kind: Kind, name: str, shapes: Shapes) -> Kind | None:
    """Returns what a list's item should be; some say so themselves."""
    if (kind, name) in shapes.listed:
        return shapes.listed[kind, name]
    if not isinstance(item, dict) or name not in shapes.said:
        return None
    member, kinds = shapes.said[name]
    told = item.get(member)
    return kinds.get(told) if isinstance(told, str) else None
