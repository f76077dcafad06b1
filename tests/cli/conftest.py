"""A console to talk to, and a way to run command lines against it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.console_stub import PASSWORD, Ended, Handler, Stub, Tokenone
from tokenone.cli.app import app
from tokenone.cli.desk import Desk
from tokenone.cli.settings import CliSettings


@pytest.fixture
def console() -> Iterator[Stub]:
    """A fresh console with a preset endpoint for OpenAI."""
    stub = Stub()
    stub.new("endpoints", provider="openai", name="openai", origins=["https://api.openai.com"], tenant=None)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"stub": stub}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    stub.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield stub
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def session_file(tmp_path: Path) -> Path:
    return tmp_path / "config" / "session.json"


@pytest.fixture
def tokenone(console: Stub, tmp_path: Path, session_file: Path) -> Tokenone:
    """Runs a command line against the console; settings such as `pin` by keyword."""

    def run(*arguments: str, input: str | bytes = "", **settings: Any) -> Ended:
        given = {"url": console.url, "data_dir": tmp_path / "data", "session_file": session_file, **settings}
        desk = Desk(lambda _: CliSettings(**given))
        ended = CliRunner().invoke(app, list(arguments), input=input, obj=desk)
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        return Ended(ended.exit_code, ended.stdout, ended.stderr)

    return run


@pytest.fixture
def signed_in(tokenone: Tokenone) -> Tokenone:
    """The same, signed in as olga."""
    assert tokenone("login", "olga", input=PASSWORD + "\n").code == 0
    return tokenone
