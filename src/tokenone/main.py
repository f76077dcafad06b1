"""The command `tokenone`: the CLI's commands, and those that make or start something on this machine.

Law: this is the top; nobody imports it. What is heavy (price data, console, demo) runs in processes of its
own, so that a command line answers at once.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from tokenone import config
from tokenone.cli.app import app, run
from tokenone.cli.desk import Desk
from tokenone.cli.settings import CliSettings
from tokenone.errors import ConfigRefused

Place = Annotated[
    Path | None, typer.Option("--dir", help="Data directory; may stand before the command, too.")
]


@app.command(rich_help_panel="This machine")
def init(
    ctx: typer.Context,
    admin: Annotated[str, typer.Option("--admin", help="Name of the first owner.")] = "admin",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the owner's password from standard input.")
    ] = False,
    directory: Place = None,
) -> None:
    """Make an installation: roots, keys, databases, price book and the first owner."""
    flags = ["--password-stdin"] if password_stdin else []
    _become("tokenone.assemble.install", "--dir", _place(ctx, directory), "--admin", admin, *flags)


@app.command(rich_help_panel="This machine")
def serve(
    ctx: typer.Context,
    init: Annotated[
        bool, typer.Option("--init", help="If there is no installation yet, make one first.")
    ] = False,
    workers: Annotated[int | None, typer.Option("--workers", min=1, max=64, help="Gateway workers.")] = None,
    directory: Place = None,
) -> None:
    """Start gateways, console and jobs. SIGTERM drains and ends; SIGHUP replaces the workers one by one."""
    flags = ["--init"] if init else []
    if workers is not None:
        flags += ["--workers", str(workers)]
    _become("tokenone.assemble.installation", "--dir", _place(ctx, directory), *flags)


@app.command(rich_help_panel="This machine")
def doctor(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
    directory: Place = None,
) -> None:
    """Examine an installation, running or not, and say what to mend. Exit code 1 if something is wrong."""
    _become("tokenone.assemble.doctor", "--dir", _place(ctx, directory), *(["--json"] if as_json else []))


@app.command(rich_help_panel="This machine")
def upgrade(ctx: typer.Context, directory: Place = None) -> None:
    """Bring databases and price book up to the installed version; keys and ledger are left alone."""
    _become("tokenone.assemble.upgrade", "--dir", _place(ctx, directory))


@app.command(rich_help_panel="This machine")
def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the demonstration.")] = False,
) -> None:
    """Show a governed call end to end with a local provider stand-in."""
    if importlib.util.find_spec("openai") is None or importlib.util.find_spec("anthropic") is None:
        raise ConfigRefused("the demo calls through the official SDKs: pip install openai anthropic")
    _become("tokenone.demo", *(["--once"] if once else []))


def _place(ctx: typer.Context, directory: Path | None) -> str:
    """Returns the data directory, named behind the command or before it."""
    desk: Desk = ctx.obj
    return str(config.data_directory(directory or desk.directory))


def _become(module: str, *arguments: str) -> NoReturn:
    """Goes on as `python -m module`, so that heavy imports cost only whoever needs them."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606  (our own)


def _settings(directory: Path | None) -> CliSettings:
    """Tells the command line what it needs to know; the one place where it meets the environment."""
    place = config.data_directory(directory)
    settings = config.load(place)
    scheme = "https" if settings.console.tls_cert else "http"
    return CliSettings(
        url=settings.cli.url or f"{scheme}://{settings.console.listen}",
        data_dir=place,
        ca_file=settings.cli.ca_file,
        pin=settings.cli.pin,
        session_file=config.home_directory() / "session.json",
    )


def main() -> None:
    """Runs the command line; the exit codes are those of `tokenone.cli`."""
    run(app, _settings)


if __name__ == "__main__":
    main()
