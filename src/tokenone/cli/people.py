"""`login`, `logout`, `whoami`: a person's session at the console."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tokenone.cli.desk import Desk, verb
from tokenone.cli.exits import UsageError
from tokenone.cli.secretinput import read_secret


def register(app: typer.Typer) -> None:
    """Adds the commands to the top level."""
    verb(app, "login")(login)
    verb(app, "logout")(logout)
    verb(app, "whoami")(whoami)


def login(
    desk: Desk,
    name: Annotated[str, typer.Argument(help="Your name at the console.")],
    password_file: Annotated[
        Path | None,
        typer.Option("--password-file", help="Read the password from here; - is standard input."),
    ] = None,
) -> None:
    """Sign in. The password comes from a prompt, standard input or a file."""
    client = desk.client
    try:
        password = read_secret(password_file, f"Password of {name} at {client.url}: ").decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError("the password is not UTF-8") from None
    client.sign_in(name, password)
    if desk.output.as_json:
        desk.output.one(client.get("/me"))
    desk.output.say(f"Signed in at {client.url} as {name}.")


def logout(desk: Desk) -> None:
    """Sign out, here and at the console."""
    desk.client.sign_out()
    desk.output.say(f"Signed out at {desk.client.url}.")
    if desk.output.as_json:
        desk.output.one({"url": desk.client.url, "signed_in": False})


def whoami(desk: Desk) -> None:
    """Show who is signed in."""
    desk.output.one(desk.client.get("/me"))
