"""The whole story by the command line, against real processes and a provider stand-in over TLS."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from kit.installation import PASSWORD, Installation
from tokenone.cli.app import app
from tokenone.cli.desk import Desk
from tokenone.cli.settings import CliSettings

SECRET = "sk-proj-" + "0a1B2c3D" * 6
QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}


@dataclass(frozen=True)
class Place:
    """An installation with a stand-in beside it; `run` is the command line without the start of a process."""

    installation: Installation
    origin: str
    ca: str

    def run(self, *arguments: str, stdin: str = "", code: int = 0) -> str:
        ended = self.end(*arguments, stdin=stdin)
        assert ended.exit_code == code, ended.output
        return ended.stdout.strip()

    def end(self, *arguments: str, stdin: str = "") -> Result:
        folder = self.installation.directory
        settings = CliSettings(
            url=self.installation.console,
            data_dir=folder,
            session_file=folder.parent / "config" / "tokenone" / "session.json",
        )
        ended = CliRunner().invoke(app, list(arguments), input=stdin, obj=Desk(lambda _: settings))
        assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
        assert SECRET not in ended.output
        return ended

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder: Path = tmp_path_factory.mktemp("cli")
    (folder / "keys.json").write_text(json.dumps({"openai": [SECRET]}))
    standin = subprocess.Popen(
        [
            sys.executable, "-m", "tokenone.testing.standin", "--tls", str(folder / "tls"),
            "--keys", str(folder / "keys.json"),
        ],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    installation = Installation(folder / "data", settings={"XDG_CONFIG_HOME": str(folder / "config")})
    try:
        assert standin.stdout is not None
        told = json.loads(standin.stdout.readline())
        installation.init()
        installation.start()
        yield Place(installation, told["origin"], told["ca"])
    finally:
        installation.stop()
        standin.terminate()
        standin.wait(10)


def test_a_key_is_brought_assigned_used_and_accounted_for_by_the_command_line(place: Place) -> None:
    run = place.run
    run("key", "list", code=3)
    run("login", "admin", stdin="wrong password\n", code=3)
    run("login", "admin", stdin=PASSWORD + "\n")
    assert place.json("whoami")["name"] == "admin"
    assert "admin" in place.installation.command("whoami").stdout  # by its own process, too

    run("scope", "add", "acme")
    run("scope", "set", "acme", "--fee-flat", "0.0002", "--fee-share", "2%")
    run("scope", "add", "acme/web")
    run("scope", "add", "acme/web/ingest")
    run("scope", "add", "acme", code=5)
    run(
        "endpoint", "add", "lab", "--provider", "openai", "--origin", place.origin,
        "--tenant", "acme", "--endpoint-ca", place.ca,
    )  # fmt: skip

    pin = place.json("key", "sealing-key")["fingerprint"]
    add = ["key", "add", "main", "--tenant", "acme", "--provider", "openai", "--endpoint", "lab"]
    run(*add, "--pin", "sha256:" + "0" * 64, stdin=SECRET, code=7)
    key = run(*add, "--pin", pin, "--assign", "acme/web", stdin=SECRET)
    assert place.json("key", "test", "main")["usable"] is True
    run("route", "set", "acme", "fast", "--to", "openai/gpt-4o-mini", "--to", "anthropic/claude-haiku-4-5")
    told = place.json("route", "explain", "acme/web/ingest", "fast")
    assert [(line["order"], line["key"]) for line in told["lines"]] == [(1, key), (None, None)]
    assert [row["model"] for row in place.json("route", "list", "acme")] == ["fast"]
    run("route", "explain", "acme/web", "fast", code=2)
    token = run("token", "add", "acme/web/ingest", "--expires", "1d")
    assert token.startswith("to_live_")

    call, receipt = _call(place, token)
    shown = _settled(place, call)
    assert shown["attempts"][0]["key"] == key
    assert shown["cost_nano"] > 0
    assert shown["fee_nano"] >= 200_000
    report = place.json("cost", "report", "--by", "workload,model", "--tenant", "acme")
    assert report[0]["calls"] == 1
    assert report[0]["cost_nano"] == shown["cost_nano"]

    run("key", "suspend", "main", "--reason", "drill")
    assert place.json("key", "show", "main")["state"] == "suspended"
    actions = {event["action"] for event in place.json("audit", "list", "--limit", "0")}
    assert {"key.take-in", "key.suspend", "token.create", "session.open"} <= actions
    assert place.json("ledger", "verify")["ok"] is True
    assert "seq" in run("ledger", "receipt", receipt)
    run("logout")
    run("whoami", code=3)


def _call(place: Place, token: str) -> tuple[str, str]:
    """Calls once the gateway knows token and key (within two seconds); returns the call's id and receipt."""
    deadline = time.monotonic() + 10
    headers = {"authorization": f"Bearer {token}"}
    url = f"{place.installation.gateway}/openai/v1/chat/completions"
    while True:
        answer = place.installation.http.post(url, headers=headers, json=QUESTION)
        if answer.status_code == 200:
            return answer.headers["x-tokenone-call"], answer.headers["x-tokenone-receipt"]
        assert time.monotonic() < deadline, answer.text


def _settled(place: Place, call: str) -> Any:
    """Returns the call once it is shipped to the index and its outcome with it."""
    deadline = time.monotonic() + 20
    while True:
        ended = place.end("call", "show", call, "--json")
        if ended.exit_code == 0 and (shown := json.loads(ended.stdout))["outcome"] == "ok":
            return shown
        assert time.monotonic() < deadline, ended.output
