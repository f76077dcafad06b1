"""`token`: caller tokens of workloads; the text is shown once, when a token is made."""

from __future__ import annotations

from typing import Annotated

import typer

from tokenone.cli.client import Document, path_of
from tokenone.cli.desk import Desk, verb
from tokenone.cli.moments import now_us, span_us, until_us
from tokenone.cli.output import Column, field
from tokenone.cli.references import find_kind, find_scope
from tokenone.errors import Conflict

group = typer.Typer(no_args_is_help=True, help="Caller tokens.")

TokenId = Annotated[str, typer.Argument(metavar="TOKEN", help="The token's id, not its text.")]


def _state(row: Document) -> str:
    if row["revoked_us"] is not None:
        return "revoked"
    if row["expires_us"] is not None and row["expires_us"] <= now_us():
        return "expired"
    return "active"


_COLUMNS = (
    field("id"),
    field("workload"),
    field("mode"),
    Column("state", _state),
    field("expires_us", "expires"),
    Column("grants", lambda row: ", ".join(row["grants"])),
    Column("addresses", lambda row: ", ".join(row["addresses"])),
)


@verb(group, "add")
def add(
    desk: Desk,
    workload: Annotated[str, typer.Argument(help="tenant/project/workload, or an id.")],
    expires: Annotated[str | None, typer.Option(help="When it ends: 90d or 2026-12-31.")] = None,
    address: Annotated[
        list[str] | None, typer.Option(help="Only from this address or block. Repeatable.")
    ] = None,
    stateful: Annotated[bool, typer.Option("--stateful", help="Grant stateful paths, too.")] = False,
    dev: Annotated[bool, typer.Option("--dev", help="A to_dev_… token, for keys marked dev.")] = False,
) -> None:
    """Make a token and print its text, once."""
    body = {
        "workload": find_kind(desk.client, workload, "workload").id,
        "mode": "dev" if dev else "live",
        "expires_us": until_us(expires) if expires is not None else None,
        "addresses": address or [],
        "grants": ["inference", "stateful"] if stateful else ["inference"],
    }
    _hand_over(desk, desk.client.post("/tokens", body))


@verb(group, "list")
def list_tokens(
    desk: Desk,
    scope: Annotated[
        str | None, typer.Argument(metavar="[SCOPE]", help="Only this tenant's or workload's.")
    ] = None,
) -> None:
    """List tokens; their text is not kept anywhere."""
    query: dict[str, str | int | None] = {}
    if scope is not None:
        place = find_scope(desk.client, scope)
        query = {place.kind: place.id} if place.kind != "project" else {"tenant": place.row["tenant"]}
        rows = desk.client.pages("/tokens", query)
        if place.kind == "project":
            inside = {row["id"] for row in desk.client.pages("/workloads", {"project": place.id})}
            rows = (row for row in rows if row["workload"] in inside)
        desk.output.rows(rows, _COLUMNS)
        return
    desk.output.rows(desk.client.pages("/tokens", query), _COLUMNS)


@verb(group, "show")
def show(desk: Desk, token: TokenId) -> None:
    """Show a token without its text."""
    desk.output.one(desk.client.get(path_of("tokens", token)))


@verb(group, "rotate")
def rotate(
    desk: Desk,
    token: TokenId,
    grace: Annotated[str | None, typer.Option(help="How long the old one still works; 24h.")] = None,
) -> None:
    """Make the successor of a token and print its text, once; the old one ends after the grace."""
    body = {"grace_us": span_us(grace)} if grace is not None else None
    _hand_over(desk, desk.client.post(path_of("tokens", token, "rotate"), body))


@verb(group, "revoke")
def revoke(
    desk: Desk,
    token: TokenId,
    reason: Annotated[str | None, typer.Option(help="Kept in the audit trail.")] = None,
) -> None:
    """End a token at once; it is refused everywhere within two seconds."""
    changed = desk.client.post(path_of("tokens", token, "revoke"), {"reason": reason} if reason else None)
    desk.output.say(f"The token {token} is revoked.")
    if desk.output.as_json:
        desk.output.one(changed)


def _hand_over(desk: Desk, made: Document) -> None:
    """Prints a new token's text; an answer that came a second time no longer has it."""
    if made.get("text") is None:
        raise Conflict(f"the token {made['id']} was made but its text got lost on the way; rotate it")
    desk.output.say(f"Made the token {made['id']}. Its text is shown this once:")
    desk.output.text(str(made["text"]), made)
