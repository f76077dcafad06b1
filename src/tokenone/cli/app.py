"""The command `tokenone`: its nouns, its options for all of them, and how it ends.

Law: it is told its settings (`run`), it does not find them. `main.py` adds the commands that start or make
something on this machine.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from tokenone import __version__
from tokenone.cli import endpoints, keys, ledger, people, records, routes, scopes, tokens
from tokenone.cli.desk import Desk, verb
from tokenone.cli.exits import exit_code
from tokenone.cli.settings import CliSettings, SettingsSource
from tokenone.errors import TokenOneError

__all__ = ["CliSettings", "app", "run"]

app = typer.Typer(
    name="tokenone",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they show local variables, and some of those are secrets
    help="Govern, sign and meter model calls made with your own provider keys.",
    epilog="Begin with `tokenone init`, `tokenone serve` and `tokenone login NAME`; `tokenone doctor` examines.",
)
people.register(app)
verb(app, "status")(records.status)
app.add_typer(scopes.group, name="scope")
app.add_typer(keys.group, name="key")
app.add_typer(tokens.group, name="token")
app.add_typer(endpoints.group, name="endpoint")
app.add_typer(routes.group, name="route")
app.add_typer(records.calls, name="call")
app.add_typer(records.costs, name="cost")
app.add_typer(records.audit, name="audit")
app.add_typer(ledger.group, name="ledger")


@app.callback()
def root(
    ctx: typer.Context,
    url: Annotated[
        str | None, typer.Option("--url", help="The console; else that of the configuration.")
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option("--ca-file", help="PEM file with the CA of the console's certificate.")
    ] = None,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Data directory (else TOKENONE_DIR, else ./tokenone-data).")
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=lambda wanted: _version(wanted=wanted),
            help="Show it and exit.",
        ),
    ] = False,
) -> None:
    desk: Desk = ctx.obj
    desk.url, desk.ca_file, desk.directory = url, ca_file, directory
    del version  # its callback has ended the program


def _version(*, wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"tokenone {__version__}\n")
        raise typer.Exit


def run(app: typer.Typer, settings: SettingsSource) -> NoReturn:
    """Runs the command line and exits; errors of commands that are not verbs end here in the same manner."""
    desk = Desk(settings)
    try:
        app(obj=desk, prog_name="tokenone")
    except TokenOneError as error:
        desk.output.complain(error)
        sys.exit(exit_code(error))
    sys.exit(0)
