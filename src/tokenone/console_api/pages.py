"""Cursor pages: bounded lists that stay right while rows are added.

Law: a cursor is opaque, holds a place and no secret, and a broken one is the caller's error.
"""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

import msgspec
from fastapi import Query
from pydantic import BaseModel

from tokenone.canonical import MAX_INTEGER, b64, unb64
from tokenone.errors import IntegrityError, InvalidRequest

T = TypeVar("T")

_Moment = Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=256, pattern=r"^[A-Za-z0-9_-]+$")]


class Page(BaseModel, Generic[T]):
    """Items, and where the next page begins."""

    items: list[T]
    next: str | None


def after_of(cursor: str | None) -> str:
    """Reads a cursor of a list in id order."""
    return "" if cursor is None else _read(cursor, tuple[str])[0]


def before_of(cursor: str | None) -> tuple[int, str] | None:
    """Reads a cursor of a list that is newest first."""
    return None if cursor is None else _read(cursor, tuple[_Moment, str])


def next_after(ids: list[str], limit: int) -> str | None:
    """Returns the cursor behind a full page."""
    return _cursor([ids[-1]]) if len(ids) == limit else None


def next_before(places: list[tuple[int, str]], limit: int) -> str | None:
    """Returns the cursor behind a full page that is newest first."""
    return _cursor(list(places[-1])) if len(places) == limit else None


def _cursor(place: list[int | str]) -> str:
    return b64(msgspec.json.encode(place))


def _read(cursor: str, kind: type[T]) -> T:
    try:
        place = msgspec.json.decode(unb64(cursor), type=kind)
    except (IntegrityError, msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidRequest("the cursor is not one of this list") from None
    if any(isinstance(part, str) and "\x00" in part for part in place):  # type: ignore[attr-defined]
        raise InvalidRequest("the cursor is not one of this list")
    return place
