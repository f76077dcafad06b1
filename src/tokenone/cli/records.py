"""`call`, `cost`, `audit`, `status`: what happened, what it cost, who did what, how things stand."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import typer

from tokenone.cli.client import Client, Document, path_of
from tokenone.cli.desk import Desk, verb
from tokenone.cli.moments import since_us
from tokenone.cli.output import Column, field, write_csv, write_json_lines
from tokenone.cli.references import find_scope

calls = typer.Typer(no_args_is_help=True, help="Governed calls.")
costs = typer.Typer(no_args_is_help=True, help="Costs and fees.")
audit = typer.Typer(no_args_is_help=True, help="The audit trail of management.")

Since = Annotated[str | None, typer.Option("--since", help="From then on: 24h or 2026-11-01.")]
Until = Annotated[str | None, typer.Option("--until", help="Up to then: 1h or 2026-12-01.")]
ScopeOption = Annotated[str | None, typer.Option("--scope", help="Only this scope, by path or id.")]
Limit = Annotated[int, typer.Option("--limit", min=0, help="At most so many; 0 is all.")]


class Format(StrEnum):
    CSV = "csv"
    JSON_LINES = "jsonl"


As = Annotated[Format, typer.Option("--format", help="csv, or one JSON object a line.")]

Query = dict[str, str | int | None]


def _window(since: str | None, until: str | None) -> Query:
    return {
        "from_us": since_us(since) if since is not None else None,
        "to_us": since_us(until) if until is not None else None,
    }


def _scoped(client: Client, scope: str | None) -> Query:
    if scope is None:
        return {}
    place = find_scope(client, scope)
    return {place.kind: place.id}


# ── calls ──────────────────────────────────────────────────────────────────────────────────────────────────
_CALL_COLUMNS = (
    field("at_us", "at"),
    field("id"),
    field("provider"),
    field("model"),
    Column("key", lambda row: f"{row['key']} v{row['ver']}" if row.get("key") else ""),
    field("attempts"),
    field("outcome"),
    field("status"),
    field("cost_nano", "cost"),
    field("fee_nano", "fee"),
)


@verb(calls, "list")
def list_calls(  # noqa: PLR0913 - one parameter for each option
    desk: Desk,
    *,
    scope: ScopeOption = None,
    outcome: Annotated[str | None, typer.Option(help="open, ok, failed, refused or unknown.")] = None,
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    key: Annotated[str | None, typer.Option(help="Only with this key (id).")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
) -> None:
    """List calls, newest first."""
    query: Query = {
        **_scoped(desk.client, scope),
        **_window(since, until),
        "outcome": outcome,
        "model": model,
        "key": key,
    }
    desk.output.rows(desk.client.pages("/calls", query, limit=limit or None), _CALL_COLUMNS)


_ATTEMPT_COLUMNS = (
    field("attempt"),
    Column("key", lambda row: f"{row['key']} v{row['ver']}"),
    field("origin"),
    field("method"),
    field("path"),
    field("status"),
    field("class"),
    field("cause"),
    field("verdict"),
)


@verb(calls, "show")
def show_call(desk: Desk, call: Annotated[str, typer.Argument(help="The id in x-tokenone-call.")]) -> None:
    """Show one call: how it routed, which key was used, what it cost."""
    found = desk.client.get(path_of("calls", call))
    if desk.output.as_json:
        desk.output.one(found)
        return
    attempts = found.pop("attempts") or []
    desk.output.one(found)
    desk.output.rows(attempts, _ATTEMPT_COLUMNS)


# ── costs ──────────────────────────────────────────────────────────────────────────────────────────────────
By = Annotated[
    str, typer.Option("--by", help="Comma list of tenant, project, workload, key, provider, model, day.")
]
_NAMED: Final = frozenset(("tenant", "project", "workload", "key"))
_SUMS: Final = ("calls", "unpriced", "cost_nano", "fee_nano", "input", "output")


def _cost_items(
    desk: Desk, by: str, tenant: str | None, since: str | None, until: str | None
) -> list[Document]:
    window = _window(since, until)
    owner = find_scope(desk.client, tenant).id if tenant else None
    found = desk.client.get("/costs", {"group_by": by, "tenant": owner, **window})
    return list(found["items"])


@verb(costs, "report")
def report(
    desk: Desk,
    by: By = "tenant,model",
    tenant: Annotated[str | None, typer.Option(help="Only this tenant.")] = None,
    since: Since = None,
    until: Until = None,
) -> None:
    """Show cost, fee and tokens, grouped. Calls without a price are counted, never guessed."""
    items = _cost_items(desk, by, tenant, since, until)
    if not desk.output.as_json:
        _put_names(desk.client, items, by.split(","))
    columns = [field(name) for name in by.split(",")]
    columns += [field(name, name.removesuffix("_nano")) for name in _SUMS]
    desk.output.rows(items, columns)


def _put_names(client: Client, items: list[Document], groups: list[str]) -> None:
    """Puts names in the place of ids, for people."""
    for group in groups:
        if items and group in _NAMED:
            names = {row["id"]: row["name"] for row in client.pages(f"/{group}s")}
            for item in items:
                item[group] = names.get(item[group], item[group])


@verb(costs, "export")
def export_costs(
    desk: Desk,
    by: By = "day,tenant,project,workload,provider,model",
    tenant: Annotated[str | None, typer.Option(help="Only this tenant.")] = None,
    since: Since = None,
    until: Until = None,
    form: As = Format.CSV,
) -> None:
    """Write costs as CSV or JSON lines, in nano-USD."""
    items = _cost_items(desk, by, tenant, since, until)
    if form is Format.CSV and not desk.output.as_json:
        write_csv(items, [*by.split(","), *_SUMS])
    else:
        write_json_lines(items)


# ── audit ──────────────────────────────────────────────────────────────────────────────────────────────────
_EVENT_FIELDS: Final = (
    "at_us",
    "actor",
    "actor_name",
    "action",
    "target",
    "tenant",
    "outcome",
    "reason",
    "source",
    "request_id",
    "id",
)
_EVENT_COLUMNS = (
    field("at_us", "at"),
    field("actor_name", "actor"),
    field("action"),
    field("target"),
    field("outcome"),
    field("reason"),
    field("source"),
)


@verb(audit, "list")
def list_events(  # noqa: PLR0913 - one parameter for each option
    desk: Desk,
    *,
    actor: Annotated[str | None, typer.Option(help="Only by this actor (id).")] = None,
    action: Annotated[str | None, typer.Option(help="Only this action, such as key.suspend.")] = None,
    target: Annotated[str | None, typer.Option(help="Only about this row (id).")] = None,
    outcome: Annotated[str | None, typer.Option(help="ok or refused.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
) -> None:
    """List what was done or tried, newest first."""
    query: Query = {**_window(since, until), "actor": actor, "action": action, "target": target}
    query["outcome"] = outcome
    desk.output.rows(desk.client.pages("/audit", query, limit=limit or None), _EVENT_COLUMNS)


@verb(audit, "export")
def export_events(desk: Desk, since: Since = None, until: Until = None, form: As = Format.JSON_LINES) -> None:
    """Write the whole trail as JSON lines or CSV."""
    events = desk.client.pages("/audit", _window(since, until))
    if form is Format.CSV and not desk.output.as_json:
        write_csv(events, _EVENT_FIELDS)
    else:
        write_json_lines(events)


# ── status ─────────────────────────────────────────────────────────────────────────────────────────────────
def status(desk: Desk) -> None:
    """Show how console, database, index and gateway stand."""
    desk.output.one(desk.client.get("/status"))
