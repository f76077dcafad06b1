"""`endpoint`: where keys may be sent: presets for everybody, and a tenant's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tokenone.cli.client import Document
from tokenone.cli.desk import Desk, verb
from tokenone.cli.exits import UsageError
from tokenone.cli.output import Column, field
from tokenone.cli.references import find_any_endpoint, find_kind

group = typer.Typer(no_args_is_help=True, help="Providers' endpoints.")

_COLUMNS = (
    field("name"),
    field("id"),
    field("provider"),
    Column("origins", lambda row: ", ".join(row["origins"])),
    field("base_path"),
    Column("tenant", lambda row: row["tenant"] or "preset"),
)


@verb(group, "add")
def add(  # noqa: PLR0913 - one parameter for each option
    desk: Desk,
    *,
    name: Annotated[str, typer.Argument(help="What you call the endpoint.")],
    provider: Annotated[str, typer.Option(help="Whose API it speaks: openai, anthropic, custom, …")],
    origin: Annotated[list[str], typer.Option(help="https://host[:port]; the first is the API. Repeatable.")],
    tenant: Annotated[str | None, typer.Option(help="Whose it is; without, a preset for all.")] = None,
    base_path: Annotated[str, typer.Option(help="Path below which the API lies.")] = "",
    ca_file: Annotated[
        Path | None, typer.Option("--endpoint-ca", help="PEM file with the CA of its certificate.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="A model it serves beyond the price book. Repeatable.")
    ] = None,
) -> None:
    """Add an endpoint. It never changes: other origins are another endpoint and need the secret again."""
    body: Document = {
        "tenant": find_kind(desk.client, tenant, "tenant").id if tenant else None,
        "provider": provider,
        "name": name,
        "origins": origin,
        "base_path": base_path,
        "models": model or [],
    }
    if ca_file is not None:
        body["ca_pem"] = _read(ca_file)
    made = desk.client.post("/endpoints", body)
    desk.output.say(f"Added the endpoint {name}.")
    desk.output.text(str(made["id"]), made)


@verb(group, "list")
def list_endpoints(
    desk: Desk,
    tenant: Annotated[str | None, typer.Option(help="This tenant's, and the presets.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only this provider's.")] = None,
) -> None:
    """List endpoints."""
    owner = find_kind(desk.client, tenant, "tenant").id if tenant else None
    desk.output.rows(desk.client.pages("/endpoints", {"tenant": owner, "provider": provider}), _COLUMNS)


@verb(group, "presets")
def presets(desk: Desk) -> None:
    """List the endpoints that everybody may use."""
    rows = (row for row in desk.client.pages("/endpoints") if row["tenant"] is None)
    desk.output.rows(rows, _COLUMNS)


@verb(group, "show")
def show(
    desk: Desk, endpoint: Annotated[str, typer.Argument(help="Its id, or its name if that is unique.")]
) -> None:
    """Show one endpoint."""
    desk.output.one(find_any_endpoint(desk.client, endpoint))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"{file} is not a readable PEM file") from None
