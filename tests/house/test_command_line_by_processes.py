"""The command as people start it: data on stdout, the rest on stderr, secrets in no process list, exit codes."""

from __future__ import annotations

import json
import os
import resource
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from kit.installation import PASSWORD, Installation, free_port
from kit.routes import Route, route_to
from tokenone.testing.standin import StandIn, ThreadedListener

SECRET = "sk-proj-" + "5e6F7g8H" * 6
START_SECONDS = 0.4
ANSWER_SECONDS = 0.2
"""What reading the configuration and asking the console may cost on top."""
COMMAND = [sys.executable, "-m", "tokenone.main"]
ADD_KEY = ["key", "add", "--tenant", "plant", "--provider", "openai", "--endpoint", "plant-lab"]


@dataclass(frozen=True)
class Shell:
    """A person's shell: its own home, the installation's settings."""

    installation: Installation
    home: Path

    def environment(self, **more: str) -> dict[str, str]:
        return self.installation.environment() | {"XDG_CONFIG_HOME": str(self.home)} | more

    def run(
        self, *arguments: str, stdin: str = "", code: int = 0, **more: str
    ) -> subprocess.CompletedProcess[str]:
        ended = subprocess.run(
            [*COMMAND, *arguments], env=self.environment(**more), input=stdin,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert ended.returncode == code, ended.stdout + ended.stderr
        assert "Traceback" not in ended.stderr
        return ended


@pytest.fixture(scope="module")
def upstream() -> Iterator[ThreadedListener]:
    with ThreadedListener(StandIn()) as listener:
        yield listener


@pytest.fixture(scope="module")
def shell(
    installation: Installation, upstream: ThreadedListener, tmp_path_factory: pytest.TempPathFactory
) -> Shell:
    """Somebody who has signed in, and for whom a tenant with an endpoint was made."""
    made = Shell(installation, tmp_path_factory.mktemp("shell"))
    made.run("login", "admin", stdin=PASSWORD + "\n")
    made.run("scope", "add", "plant")
    made.run("endpoint", "add", "plant-lab", "--provider", "openai", "--origin", upstream.origin)
    return made


@pytest.fixture(scope="module")
def route(installation: Installation, upstream: ThreadedListener) -> Route:
    return route_to(installation, "processes", upstream.origin)


# ── secrets ────────────────────────────────────────────────────────────────────────────────────────────────
class Watch(threading.Thread):
    """Reads what anybody on this machine can read of some processes, until it is told to end."""

    def __init__(self, *roots: int) -> None:
        super().__init__(name="process list", daemon=True)
        self._roots = [psutil.Process(pid) for pid in roots]
        self._over = threading.Event()
        self.seen: set[str] = set()
        self.processes: set[int] = set()

    def run(self) -> None:
        while not self._over.wait(0.002):
            self.look()

    def look(self) -> None:
        for root in self._roots:
            try:
                for process in (root, *root.children(recursive=True)):
                    self.processes.add(process.pid)
                    self.seen.add("\0".join([*process.cmdline(), *process.environ().values()]))
            except psutil.Error:
                continue  # it has just ended

    def end(self) -> str:
        """Ends the watch and returns all that was seen."""
        self._over.set()
        self.join(5)
        return "\n".join(self.seen)


def test_a_secret_stands_in_no_process_list(shell: Shell) -> None:
    """From the prompt to the gateway: no argument and no environment of any process has it."""
    assert shell.installation.process is not None
    process = subprocess.Popen(
        [*COMMAND, *ADD_KEY, "watched"], env=shell.environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    watch = Watch(process.pid, shell.installation.process.pid)
    watch.start()
    out, err = process.communicate(SECRET + "\n", timeout=60)
    seen = watch.end()
    assert process.returncode == 0, err
    assert out.startswith("key_")
    assert len(watch.processes) >= 5  # the command, supervisor, gateway, console, jobs
    assert "watched" in seen
    assert SECRET not in seen + out + err
    assert PASSWORD not in seen


def test_the_session_is_kept_for_its_owner_alone(shell: Shell) -> None:
    (file,) = shell.home.glob("tokenone/session.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert PASSWORD not in file.read_text()


def test_a_wrong_pin_keeps_the_secret_here(shell: Shell, installation: Installation) -> None:
    before = len(installation.desk().api("GET", "/keys?limit=200")["items"])
    ended = shell.run(*ADD_KEY, "pinned", "--pin", "sha256:" + "0" * 64, stdin=SECRET, code=7)
    assert ended.stdout == ""
    assert "stayed on this machine" in ended.stderr
    assert len(installation.desk().api("GET", "/keys?limit=200")["items"]) == before
    pin = json.loads(shell.run("key", "sealing-key", "--json").stdout)["fingerprint"]
    assert shell.run(*ADD_KEY, "pinned", "--pin", pin, stdin=SECRET).stdout.startswith("key_")


# ── data and talk ──────────────────────────────────────────────────────────────────────────────────────────
def test_what_is_made_is_alone_on_stdout(shell: Shell) -> None:
    for arguments, start in (
        (("scope", "add", "plant/hall"), "prj_"),
        (("scope", "add", "plant/hall/robot"), "wkl_"),
        (("token", "add", "plant/hall/robot", "--expires", "1h"), "to_live_"),
    ):
        ended = shell.run(*arguments)
        (line,) = ended.stdout.splitlines()
        assert line.startswith(start)
        assert line not in ended.stderr
        assert ended.stderr.count("\n") == 1


def test_a_list_in_a_pipe_is_tab_separated_under_a_heading(shell: Shell) -> None:
    heading, *rows = shell.run("scope", "list").stdout.splitlines()
    assert heading.split("\t") == ["scope", "id", "state"]
    assert any(row.startswith("plant\tten_") for row in rows)
    assert {row.count("\t") for row in rows} == {2}


def test_what_is_only_said_is_on_stderr(shell: Shell) -> None:
    ended = shell.run("scope", "close", "plant")
    assert (ended.stdout, ended.stderr) == ("", "The tenant plant is closed.\n")
    shell.run("scope", "open", "plant")


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_a_completion_script_is_generated(shell: Shell, name: str) -> None:
    """By the variable that the installed script itself uses, so that no shell has to be running."""
    script = shell.run(_TOKENONE_COMPLETE=f"source_{name}").stdout
    assert "tokenone" in script
    assert "_TOKENONE_COMPLETE" in script


def test_completion_knows_nouns_and_verbs(shell: Shell) -> None:
    asked = {"_TOKENONE_COMPLETE": "complete_bash", "COMP_WORDS": "tokenone key s", "COMP_CWORD": "2"}
    assert set(shell.run(**asked).stdout.split()) == {"seal", "sealing-key", "show", "suspend"}


# ── exit codes ─────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("scope", 2, "Usage:"),  # no verb: the help, and it is a mistake
        ("scope add", 2, "Missing argument"),
        ("key list --frobnicate", 2, "No such option"),
        ("token add plant --expires 1d", 2, "a workload is needed here"),
        ("endpoint add x --provider nobody --origin https://x.example", 2, "one of 'openai'"),
        ("endpoint add x --provider openai --origin http://10.9.8.7 --tenant plant", 2, "Use https"),
        ("scope show nothing-like-it", 4, "no tenant nothing-like-it"),
        ("key show nothing-like-it", 4, "no key nothing-like-it"),
        ("call show call0_00000000000000000000", 4, "no such call"),
        ("scope add plant", 5, "exists already"),
        ("ledger receipt AAAA", 7, "does not verify"),
    ],
)
def test_a_command_that_fails_says_why_in_its_exit_code(
    shell: Shell, line: str, code: int, says: str
) -> None:
    ended = shell.run(*line.split(), code=code)
    assert says in " ".join((ended.stdout + ended.stderr).split())
    if code != 2:
        assert ended.stdout == ""


def test_a_stranger_is_told_to_sign_in(shell: Shell, tmp_path: Path) -> None:
    stranger = Shell(shell.installation, tmp_path)
    assert "tokenone login" in stranger.run("key", "list", code=3).stderr
    ended = stranger.run("login", "nobody-of-this-name", stdin="a wrong password\n", code=3)
    assert "Check name and password" in ended.stderr


def test_an_absent_console_is_one_sentence(shell: Shell) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    shutil.copytree(shell.home / "tokenone", shell.home / "copy" / "tokenone", dirs_exist_ok=True)
    session = shell.home / "copy/tokenone/session.json"
    session.write_text(session.read_text().replace(shell.installation.console, url))
    ended = shell.run("--url", url, "status", code=1, XDG_CONFIG_HOME=str(shell.home / "copy"))
    assert ended.stderr.startswith(f"tokenone: {url} does not answer: Connection refused. Start it")
    assert len(ended.stderr.splitlines()) == 1


def test_an_error_is_json_where_json_was_asked_for(shell: Shell) -> None:
    ended = shell.run("scope", "show", "nothing-like-it", "--json", code=4)
    assert ended.stdout == ""
    assert json.loads(ended.stderr)["code"] == "not_found"


# ── offline ────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_outsider_verifies_ledger_and_receipt_with_the_public_key(
    shell: Shell, route: Route, tmp_path: Path
) -> None:
    """No console, no database, no session: a copy of the ledger, a receipt, the log's public key."""
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
    headers = {"authorization": f"Bearer {route.place.token}"}
    url = f"{shell.installation.gateway}/openai/v1/chat/completions"
    receipt = shell.installation.http.post(url, headers=headers, json=body).headers["x-tokenone-receipt"]
    ledger = tmp_path / "ledger"
    shutil.copytree(shell.installation.directory / "ledger", ledger)
    key = json.loads((ledger / "log.json").read_text())["signing"]
    (tmp_path / "receipt").write_text(receipt)
    outside = Shell(shell.installation, tmp_path)
    nowhere = {"TOKENONE_DIR": str(tmp_path / "nothing here")}
    witness = ("--public-key", key, "--receipt", str(tmp_path / "receipt"))
    shown = json.loads(outside.run("ledger", "verify", str(ledger), *witness, "--json", **nowhere).stdout)
    assert (shown["ok"], shown["witnesses"], shown["key_from"]) == (True, 1, "given")
    outside.run("ledger", "receipt", receipt, "--public-key", key, **nowhere)
    outside.run("ledger", "receipt", receipt, code=2, **nowhere)  # without the key it asks for one
    segment = max(ledger.glob("0/*.seg"), key=lambda path: path.stat().st_size)
    bytes_ = bytearray(segment.read_bytes())
    bytes_[len(bytes_) // 2] ^= 1
    segment.write_bytes(bytes_)
    ended = outside.run("ledger", "verify", str(ledger), "--public-key", key, code=7, **nowhere)
    assert "FOUND" in ended.stderr


# ── speed ──────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_command_starts_quickly(shell: Shell, tmp_path: Path) -> None:
    """CPU seconds of a start with compiled modules, the best of several. Where other processes crowd the cores,
    caches and hyper-threads are shared and the same start costs up to twice as much."""
    environment = shell.environment(PYTHONPYCACHEPREFIX=str(tmp_path))
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    figures = {
        line: min(_cpu([*COMMAND, *line.split()], environment) for _ in range(7))
        for line in ("--version", "whoami")
    }
    for line, seconds in figures.items():
        print(f"tokenone {line}: {seconds * 1000:.0f} ms of CPU")
    crowded = min(2.0, max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)))
    assert figures["--version"] <= START_SECONDS * crowded
    assert figures["whoami"] <= (START_SECONDS + ANSWER_SECONDS) * crowded


def _cpu(command: list[str], environment: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
