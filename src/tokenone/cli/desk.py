"""What a command works at: settings, the client, the way to speak; and how a function becomes a command.

Law: a command is a plain function that takes the desk first; `verb` gives it `--json` and turns its errors
into one sentence and an exit code, here and nowhere else.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Concatenate, Final, ParamSpec

import typer

from tokenone.cli.client import Client
from tokenone.cli.exits import exit_code
from tokenone.cli.output import Output
from tokenone.cli.session import SessionFile
from tokenone.cli.settings import CliSettings, SettingsSource
from tokenone.cli.transport import Transport
from tokenone.errors import TokenOneError

Arguments = ParamSpec("Arguments")


class Desk:
    """Made once a command line; opens nothing before it is asked for."""

    def __init__(self, source: SettingsSource) -> None:
        self._source = source
        self.directory: Path | None = None
        self.url: str | None = None
        self.ca_file: Path | None = None
        self.output = Output()

    @cached_property
    def settings(self) -> CliSettings:
        return self._source(self.directory)

    @cached_property
    def client(self) -> Client:
        transport = Transport(self.url or self.settings.url, self.ca_file or self.settings.ca_file)
        return Client(transport, SessionFile(self.settings.session_file))


_CONTEXT: Final = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
_JSON: Final = inspect.Parameter(
    "as_json",
    inspect.Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[bool, typer.Option("--json", help="JSON on stdout; errors as JSON on stderr.")],
)

Act = Callable[Concatenate[Desk, Arguments], None]


def verb(group: typer.Typer, name: str) -> Callable[[Act[Arguments]], Act[Arguments]]:
    """Registers a function as the command `name` of a group; its first parameter is the desk."""

    def register(act: Act[Arguments]) -> Act[Arguments]:
        group.command(name)(_command(act))
        return act

    return register


def _command(act: Callable[..., None]) -> Callable[..., None]:
    """Returns what typer sees: the function's own parameters, the context instead of the desk, `--json`."""

    def command(ctx: typer.Context, *, as_json: bool, **given: Any) -> None:
        desk: Desk = ctx.obj
        desk.output.as_json = as_json
        try:
            act(desk, **given)
        except TokenOneError as error:
            desk.output.complain(error)
            raise typer.Exit(exit_code(error)) from None

    own = list(inspect.signature(act, eval_str=True).parameters.values())[1:]
    keyword_only = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    command.__signature__ = inspect.Signature([_CONTEXT, *keyword_only, _JSON])  # type: ignore[attr-defined]
    command.__annotations__ = {}  # typer takes them from the signature, where they are evaluated
    command.__doc__ = act.__doc__
    return command
