"""How a row of `tokenone.rows` lies in its table: fields to columns and back.

Law: a column has its field's name; structs and tuples are JSON text, enums their value, all else as it is.
What is read is exactly what was written. Equal JSON texts give one shared (frozen) value, which keeps a
hundred thousand tokens small. No SQL runs here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar, cast, get_origin, get_type_hints

import msgspec
from sqlalchemy import Column, Table

from tokenone.rows import (
    Assignment,
    Endpoint,
    Key,
    KeyVersion,
    Project,
    Route,
    Row,
    Tenant,
    TenantKek,
    Token,
    Workload,
)
from tokenone.store import schema

R = TypeVar("R", bound=Row)
Decode = Callable[[Any], Any]


class Stored(msgspec.Struct, Generic[R], frozen=True):
    """A row and the revision that last touched it."""

    row: R
    revision: int


class Shape(Generic[R]):
    """One row class and its table."""

    __slots__ = ("_decoders", "columns", "kind", "table")

    def __init__(self, kind: type[R], table: Table) -> None:
        self.kind = kind
        self.table = table
        hints = get_type_hints(kind)
        names = kind.__struct_fields__
        self._decoders: tuple[tuple[int, Decode], ...] = tuple(
            (place, decode)
            for place, name in enumerate(names)
            if (decode := _decoder(hints[name])) is not None
        )
        self.columns: tuple[Column[Any], ...] = (*(table.c[name] for name in names), table.c.revision)

    def values(self, row: R) -> dict[str, Any]:
        """Returns the row's columns, without its revision."""
        return {name: _encoded(getattr(row, name)) for name in self.kind.__struct_fields__}

    def row(self, columns: Sequence[Any]) -> R:
        """Makes the row from `self.columns`' values."""
        values = list(columns[: len(self.columns) - 1])
        for place, decode in self._decoders:
            values[place] = decode(values[place])
        return self.kind(*values)

    def stored(self, columns: Sequence[Any]) -> Stored[R]:
        return Stored(self.row(columns), columns[len(self.columns) - 1])


def _decoder(hint: Any) -> Decode | None:
    """Returns what turns a column back into the field, or None where nothing is to be done."""
    if get_origin(hint) is tuple or (isinstance(hint, type) and issubclass(hint, msgspec.Struct)):
        return lru_cache(maxsize=1024)(msgspec.json.Decoder(hint).decode)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return {member.value: member for member in hint}.__getitem__
    return None


def _encoded(value: Any) -> Any:
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, (tuple, msgspec.Struct)):
        return msgspec.json.encode(value).decode("utf-8")
    return value


SHAPES: Final[MappingProxyType[type[Row], Shape[Any]]] = MappingProxyType(
    {
        kind: Shape(kind, table)
        for kind, table in (
            (Tenant, schema.tenants),
            (TenantKek, schema.tenant_keks),
            (Project, schema.projects),
            (Workload, schema.workloads),
            (Endpoint, schema.endpoints),
            (Key, schema.keys),
            (KeyVersion, schema.key_versions),
            (Assignment, schema.assignments),
            (Token, schema.tokens),
            (Route, schema.routes),
        )
    }
)
"""In the order of their foreign keys, parents first."""


def shape_of(kind: type[R]) -> Shape[R]:
    shape: Shape[R] = SHAPES[cast(type[Row], kind)]
    return shape
