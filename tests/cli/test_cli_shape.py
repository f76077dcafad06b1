"""What holds for the whole command line: every verb speaks JSON, none takes a secret, it starts light."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from cli.console_stub import Tokenone
from tokenone.cli.app import app

HEAVY = ("sqlalchemy", "fastapi", "uvicorn", "pydantic", "httpx2", "genai_prices", "uvloop", "aiosqlite")
SECRETIVE = {"--secret", "--password", "--key-value", "--token-text", "--passphrase"}


def commands(group: TyperGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], TyperCommand]]:
    """Yields every verb with its path."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, (*path, name))
        elif isinstance(command, TyperCommand):
            yield (*path, name), command


ROOT = typer.main.get_command(app)
assert isinstance(ROOT, TyperGroup)
# Commands that start something on this machine are the roof's.
VERBS = [pair for pair in commands(ROOT) if pair[0][0] not in ("init", "serve", "doctor", "demo")]


@pytest.mark.parametrize(("path", "command"), VERBS, ids=[" ".join(path) for path, _ in VERBS])
def test_every_verb_has_help_and_json_and_no_option_for_a_secret(
    path: tuple[str, ...], command: TyperCommand, tokenone: Tokenone
) -> None:
    options = {option for parameter in command.params for option in parameter.opts}
    assert "--json" in options
    assert not options & SECRETIVE
    assert command.help
    assert tokenone(*path, "--help").code == 0


def test_the_nouns_are_those_of_the_glossary() -> None:
    assert set(ROOT.commands) >= {
        "login", "logout", "whoami", "status", "scope", "key", "token", "endpoint", "call", "cost", "audit", "ledger",
    }  # fmt: skip


def test_an_unknown_verb_ends_with_2(tokenone: Tokenone) -> None:
    assert tokenone("key", "frobnicate").code == 2


def test_the_version_is_told_without_settings(tokenone: Tokenone) -> None:
    assert tokenone("--version").out.startswith("tokenone ")


def test_the_command_line_starts_without_the_servers_libraries() -> None:
    code = "import sys, tokenone.cli.app; print(*sorted(m.partition('.')[0] for m in sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(ended.stdout.split())
