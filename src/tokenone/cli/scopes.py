"""`scope`: tenants, projects and workloads, named by their path: `acme`, `acme/web`, `acme/web/ingest`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from tokenone.cli.client import Client, Document
from tokenone.cli.desk import Desk, verb
from tokenone.cli.exits import UsageError
from tokenone.cli.moments import percent_ppm, span_us, usd_nano
from tokenone.cli.output import Column, field
from tokenone.cli.references import KINDS, find_scope, split_path

group = typer.Typer(no_args_is_help=True, help="Tenants, projects and workloads.")

Where = Annotated[
    str, typer.Argument(metavar="SCOPE", help="tenant, tenant/project, tenant/project/workload, or an id.")
]
_COLUMNS = (
    field("path", "scope"),
    field("id"),
    Column("state", lambda row: "closed" if row["closed"] else "open"),
)


@verb(group, "add")
def add(
    desk: Desk,
    path: Annotated[
        str, typer.Argument(metavar="SCOPE", help="Its path; all but the last part exist already.")
    ],
) -> None:
    """Add a tenant, a project or a workload, as the path is one, two or three parts long."""
    *above, name = split_path(path)
    kind = KINDS[len(above)]
    body: Document = {"name": name}
    if above:
        body[KINDS[len(above) - 1]] = find_scope(desk.client, "/".join(above)).id
    made = desk.client.post(f"/{kind}s", body)
    desk.output.say(f"Added the {kind} {path}.")
    desk.output.text(str(made["id"]), made)


@verb(group, "list")
def list_scopes(
    desk: Desk,
    below: Annotated[
        str | None, typer.Argument(metavar="[SCOPE]", help="Only this one and what is below it.")
    ] = None,
) -> None:
    """List scopes by path."""
    rows = _tree(desk.client)
    if below is not None:
        found = find_scope(desk.client, below)
        top = "".join(str(row["path"]) for row in rows if row["id"] == found.id)
        rows = [row for row in rows if f"{row['path']}/".startswith(f"{top}/")]
    desk.output.rows(rows, _COLUMNS)


def _tree(client: Client) -> list[Document]:
    """Returns every scope that one may see, with `kind` and `path`, sorted by path."""
    return sorted(_with_paths(client), key=lambda row: str(row["path"]).split("/"))


def _with_paths(client: Client) -> Iterator[Document]:
    paths: dict[str, str] = {}
    for kind, parent in zip(KINDS, ("", "tenant", "project"), strict=True):
        for row in client.pages(f"/{kind}s"):
            above = f"{paths.get(row[parent], row[parent])}/" if parent else ""
            paths[row["id"]] = above + row["name"]
            yield {**row, "kind": kind, "path": paths[row["id"]]}


@verb(group, "show")
def show(desk: Desk, scope: Where) -> None:
    """Show one scope."""
    desk.output.one(find_scope(desk.client, scope).row)


@verb(group, "close")
def close(desk: Desk, scope: Where) -> None:
    """Close a scope: every call from it or below it is refused within two seconds."""
    _set_closed(desk, scope, closed=True)


@verb(group, "open")
def reopen(desk: Desk, scope: Where) -> None:
    """Open a closed scope again."""
    _set_closed(desk, scope, closed=False)


def _set_closed(desk: Desk, scope: str, *, closed: bool) -> None:
    place = find_scope(desk.client, scope)
    changed = desk.client.patch(place.path, {"closed": closed})
    desk.output.say(f"The {place.kind} {scope} is {'closed' if closed else 'open'}.")
    if desk.output.as_json:
        desk.output.one(changed)


@verb(group, "rename")
def rename(desk: Desk, scope: Where, name: Annotated[str, typer.Argument(help="The new name.")]) -> None:
    """Give a scope another name; its id stays."""
    place = find_scope(desk.client, scope)
    changed = desk.client.patch(place.path, {"name": name}, revision=place.row["revision"])
    desk.output.say(f"The {place.kind} is now named {name}.")
    if desk.output.as_json:
        desk.output.one(changed)


@verb(group, "restrict")
def restrict(  # noqa: PLR0913 - one parameter for each option
    desk: Desk,
    *,
    scope: Where,
    model: Annotated[list[str] | None, typer.Option(help="Allow this model; * matches. Repeatable.")] = None,
    provider: Annotated[list[str] | None, typer.Option(help="Allow this provider. Repeatable.")] = None,
    per_minute: Annotated[int | None, typer.Option(min=1, help="Calls per minute.")] = None,
    concurrent: Annotated[int | None, typer.Option(min=1, help="Calls at the same time.")] = None,
    lift: Annotated[
        list[str] | None,
        typer.Option(help="Lift one: models, providers, per-minute, concurrent, all. Repeatable."),
    ] = None,
) -> None:
    """Set what a scope allows; what is not named stays. Restrictions of all levels intersect."""
    place = find_scope(desk.client, scope)
    wanted = {
        "models": model or None,
        "providers": provider or None,
        "requests_per_minute": per_minute,
        "concurrent": concurrent,
    }
    restrictions = {
        **place.row["restrictions"],
        **{name: value for name, value in wanted.items() if value is not None},
        **dict.fromkeys(_lifted(lift or [])),
    }
    changed = desk.client.patch(place.path, {"restrictions": restrictions}, revision=place.row["revision"])
    desk.output.one(changed if desk.output.as_json else changed["restrictions"])


_LIFTS = {
    "models": ("models",),
    "providers": ("providers",),
    "per-minute": ("requests_per_minute",),
    "concurrent": ("concurrent",),
    "all": ("models", "providers", "requests_per_minute", "concurrent"),
}


def _lifted(names: list[str]) -> list[str]:
    unknown = set(names) - set(_LIFTS)
    if unknown:
        raise UsageError(f"--lift takes {', '.join(_LIFTS)}")
    return [field_name for name in names for field_name in _LIFTS[name]]


@verb(group, "set")
def set_tenant(  # noqa: PLR0913 - one parameter for each option
    desk: Desk,
    *,
    scope: Where,
    detect_request: Annotated[
        str | None, typer.Option(help="Findings in requests: allow, flag, redact, block.")
    ] = None,
    detect_response: Annotated[
        str | None, typer.Option(help="Findings in responses: allow, flag, redact, block.")
    ] = None,
    fee_flat: Annotated[str | None, typer.Option(help="Fee per call in USD, such as 0.0005.")] = None,
    fee_share: Annotated[str | None, typer.Option(help="Fee as a share of the cost, such as 1.5%.")] = None,
    staleness: Annotated[
        str | None, typer.Option(help="How long to serve without the database, such as 10m.")
    ] = None,
    rates: Annotated[Path | None, typer.Option(help="JSON file with the tenant's own rates.")] = None,
) -> None:
    """Set a tenant's policies; what is not named stays."""
    place = find_scope(desk.client, scope)
    if place.kind != "tenant":
        raise UsageError("these are policies of a tenant; a project or workload has `scope restrict`")
    body: Document = {}
    detect = {"request": detect_request, "response": detect_response}
    fee = {
        "flat_nano": usd_nano(fee_flat) if fee_flat is not None else None,
        "share_ppm": percent_ppm(fee_share) if fee_share is not None else None,
    }
    for name, chosen in (("detect", detect), ("fee", fee)):
        given = {part: value for part, value in chosen.items() if value is not None}
        if given:
            body[name] = {**place.row[name], **given}
    if staleness is not None:
        body["staleness_us"] = span_us(staleness)
    if rates is not None:
        body["rates"] = _read_rates(rates)
    if not body:
        raise UsageError("name at least one policy")
    desk.output.one(desk.client.patch(place.path, body, revision=place.row["revision"]))


def _read_rates(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UsageError(f"{file} is not a readable JSON file") from None
