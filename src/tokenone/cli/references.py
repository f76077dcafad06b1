"""Finds what people name: scopes by path (`acme/web/ingest`), keys and endpoints by name, anything by id.

Law: a name that fits two rows is a conflict, never a guess; a destroyed key gives its name free.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from tokenone.cli.client import Client, Document, path_of
from tokenone.cli.exits import ProblemAnswer, UsageError
from tokenone.errors import Conflict, NotFound

Kind = Literal["tenant", "project", "workload"]
KINDS: Final[tuple[Kind, ...]] = ("tenant", "project", "workload")
_ID: Final = re.compile(r"[a-z0-9]{2,10}_[0-9a-z]{8,40}")


class Ambiguous(Conflict):
    advice = "The `list` command shows the ids."


class Place(NamedTuple):
    """A scope that exists."""

    kind: Kind
    row: Document

    @property
    def id(self) -> str:
        return str(self.row["id"])

    @property
    def path(self) -> str:
        """The route that reads and changes it."""
        return path_of(f"{self.kind}s", self.id)


def split_path(text: str) -> list[str]:
    """Splits a scope's path into one to three parts."""
    parts = text.split("/")
    if len(parts) > len(KINDS) or not all(parts):
        raise UsageError("a scope is tenant, tenant/project or tenant/project/workload, or an id")
    return parts


def find_scope(client: Client, text: str) -> Place:
    """Finds a scope by path or id."""
    parts = split_path(text)
    if _ID.fullmatch(text) and (found := _by_id(client, text)) is not None:
        return found
    parent: dict[str, str | int | None] = {}
    place: Place | None = None
    for kind, part in zip(KINDS, parts, strict=False):
        row = _named(client.pages(f"/{kind}s", parent), part, kind)
        place = Place(kind, row)
        parent = {kind: place.id}
    assert place is not None
    return place


def find_kind(client: Client, text: str, kind: Kind) -> Place:
    """Finds a scope that has to be of one kind."""
    place = find_scope(client, text)
    if place.kind != kind:
        raise UsageError(f"{text} is a {place.kind}; a {kind} is needed here")
    return place


def find_key(client: Client, text: str, tenant: str | None = None) -> Document:
    """Finds a key by id or name."""
    if _ID.fullmatch(text):
        return client.get(path_of("keys", text))
    return _named(client.pages("/keys", {"tenant": tenant}), text, "key")


def find_endpoint(client: Client, text: str | None, provider: str, tenant: str) -> Document:
    """Finds an endpoint of a provider by id or name; without either, the provider's only preset."""
    listed = client.pages("/endpoints", {"tenant": tenant, "provider": provider})
    if text is not None:
        return _named(listed, text, "endpoint")
    presets = [row for row in listed if row["tenant"] is None]
    if len(presets) != 1:
        raise UsageError(f"there is no single preset for {provider}; name an endpoint with --endpoint")
    return presets[0]


def find_any_endpoint(client: Client, text: str) -> Document:
    """Finds an endpoint of whomever by id or name."""
    return _named(client.pages("/endpoints"), text, "endpoint")


def _by_id(client: Client, text: str) -> Place | None:
    for kind in KINDS:
        try:
            return Place(kind, client.get(path_of(f"{kind}s", text)))
        except ProblemAnswer as refused:
            if refused.answered_status != 404:
                raise
    return None


def _named(rows: Iterable[Document], text: str, noun: str) -> Document:
    found = [row for row in rows if text in (row["id"], row["name"])]
    found = [row for row in found if row.get("state") != "destroyed"] or found
    if not found:
        raise NotFound(f"there is no {noun} {text}")
    if len(found) > 1:
        raise Ambiguous(f"more than one {noun} is named {text}; give its id")
    return found[0]
