"""`make demo`: the main job for a newcomer, on this machine, with real processes and the official SDKs.

Law: every line that it prints was measured in this run; it exits 0 only if all of it held. The provider is a
stand-in (`tokenone.testing.standin`) on loopback, over TLS; nothing leaves the machine.
"""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anthropic
import httpx2
import openai
from rich.console import Console
from rich.table import Table

from tokenone.config import environment_for_children
from tokenone.testing.desk import Desk, Workplace

OPENAI_MODEL: Final = "gpt-4o-mini"
ANTHROPIC_MODEL: Final = "claude-sonnet-5"
GATEWAY_PORT: Final = 8484
CONSOLE_PORT: Final = 8485
START_SECONDS: Final = 60
PASSWORD: Final = "demo password, loopback only"  # noqa: S105  (made for this run's installation)


class DemoFailed(Exception):
    """Something that the demo promises did not hold."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where this run takes place."""

    directory: Path
    gateway: str
    console: str
    environment: dict[str, str]


def demonstrate(say: Console, *, once: bool) -> None:
    """Runs the demonstration; raises DemoFailed at the first thing that does not hold."""
    started = time.monotonic()
    with _directory(keep=not once) as directory, _standin(directory) as upstream:
        keys = json.loads((directory / "standin-keys.json").read_text(encoding="utf-8"))
        stage = _stage(directory)
        _step(say, "1", f"a provider stand-in speaks OpenAI and Anthropic over TLS at {upstream['origin']}")
        _init(stage)
        _step(say, "2", "tokenone init: three roots (root=local), SQLite, an owner, an auditor's key")
        with _serving(stage):
            _step(say, "3", f"tokenone serve: gateway {stage.gateway}, console {stage.console}")
            place = _bring_keys(say, stage, upstream, keys)
            calls = _call(say, stage, place)
            _show(say, stage, place, calls)
            _refusals(say, stage)
            _verify(say, stage)
            say.print(f"\n[bold green]all of it held[/] in {time.monotonic() - started:.1f} s")
            say.print(
                "skipped: real providers (this run never leaves the machine); "
                "PostgreSQL and TLS on the gateway (make test has them)"
            )
            if not once:
                _stay(say, stage, place)


def _step(say: Console, number: str, what: str) -> None:
    say.print(f"[bold cyan]{number}[/] {what}", highlight=False, soft_wrap=True)


@contextmanager
def _directory(*, keep: bool) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="tokenone-demo-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        if keep:
            sys.stderr.write("the demo's data directory was removed\n")


@contextmanager
def _standin(directory: Path) -> Iterator[dict[str, Any]]:
    """Runs the stand-in as a process that accepts one key per provider."""
    keys = {
        "openai": ["sk-proj-" + secrets.token_hex(24)],
        "anthropic": ["sk-ant-api03-" + secrets.token_hex(24)],
    }
    accepted = directory / "standin-keys.json"
    accepted.touch(mode=0o600)
    accepted.write_text(json.dumps(keys), encoding="utf-8")
    command = [sys.executable, "-m", "tokenone.testing.standin", "--tls", str(directory / "standin")]
    process = subprocess.Popen(  # noqa: S603  (our own module)
        [*command, "--keys", str(accepted), "--event-gap", "0.01"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline() or "{}")
        if "origin" not in told:
            raise DemoFailed("the provider stand-in did not start")
        yield told
    finally:
        _end(process)


def _stage(directory: Path) -> Stage:
    gateway, console = _port(GATEWAY_PORT), _port(CONSOLE_PORT)
    told = {
        "TOKENONE_DIR": str(directory / "data"),
        "TOKENONE_GATEWAY__LISTEN": f"127.0.0.1:{gateway}",
        "TOKENONE_CONSOLE__LISTEN": f"127.0.0.1:{console}",
        "TOKENONE_EGRESS__ALLOW": '["127.0.0.0/8"]',
    }
    environment = {**environment_for_children(), **told}
    return Stage(
        directory / "data", f"http://127.0.0.1:{gateway}", f"http://127.0.0.1:{console}", environment
    )


def _port(wanted: int) -> int:
    """Returns the wanted loopback port, or a free one where it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _tokenone(stage: Stage, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  (our own command)
        [sys.executable, "-m", "tokenone.main", *arguments],
        env=stage.environment, input=stdin, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def _init(stage: Stage) -> None:
    done = _tokenone(stage, "init", "--admin", "admin", "--password-stdin", stdin=PASSWORD + "\n")
    if done.returncode:
        raise DemoFailed(f"tokenone init failed: {done.stderr}")


@contextmanager
def _serving(stage: Stage) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tokenone.main", "serve"],
        env=stage.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    lines: list[str] = []
    ready = threading.Event()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if line.startswith("ready"):
                ready.set()
        ready.set()

    threading.Thread(target=read, daemon=True).start()
    try:
        if not ready.wait(START_SECONDS) or process.poll() is not None:
            raise DemoFailed("tokenone serve did not get ready:\n" + "".join(lines))
        yield
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


def _bring_keys(
    say: Console, stage: Stage, upstream: dict[str, Any], keys: dict[str, list[str]]
) -> Workplace:
    """A tenant with a fee, a place to work, two keys sealed on this side."""
    ca_pem = Path(upstream["ca"]).read_text(encoding="ascii")
    with Desk(stage.console, "admin", PASSWORD) as desk:
        fee = {"flat_nano": 200_000, "share_ppm": 20_000}
        tenant = desk.tenant("Acme", fee=fee, detect={"request": "block", "response": "flag"})
        place = desk.place(tenant, "assistant")
        _step(
            say, "4", "tenant Acme (fee $0.0002 a call + 2 % of cost), a project, a workload, a caller token"
        )
        for provider, (secret,) in keys.items():
            endpoint = desk.endpoint(provider, upstream["origin"], tenant=tenant, ca_pem=ca_pem)
            desk.assign(desk.key(tenant, provider, endpoint, secret), "tenant", tenant)
        _step(say, "5", "two provider keys, sealed on this side, stored as envelopes, assigned to the tenant")
    _until(lambda: len(_whoami(stage, place)["providers"]) == 2, "the gateway did not see the keys in time")
    return place


def _whoami(stage: Stage, place: Workplace) -> dict[str, Any]:
    answer = httpx2.get(
        f"{stage.gateway}/tokenone/whoami", headers={"x-api-key": place.token}, trust_env=False
    )
    told: dict[str, Any] = answer.json()
    return told if answer.status_code == 200 else {"providers": []}


def _until(holds: Callable[[], bool], complaint: str, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise DemoFailed(complaint)
        time.sleep(0.05)


def _call(say: Console, stage: Stage, place: Workplace) -> dict[str, str]:
    """Calls through the stock SDKs; only base URL and key are ours. Returns what was called, by call id."""
    calls: dict[str, str] = {}
    messages: Any = [{"role": "user", "content": "Say something about bees."}]
    with openai.OpenAI(base_url=f"{stage.gateway}/openai/v1", api_key=place.token, max_retries=0) as client:
        plain = client.chat.completions.with_raw_response.create(model=OPENAI_MODEL, messages=messages)
        calls[plain.headers["x-tokenone-call"]] = "openai: chat"
        streamed = client.chat.completions.with_raw_response.create(
            model=OPENAI_MODEL, messages=messages, stream=True
        )
        chunks = sum(1 for _ in streamed.parse())
        calls[streamed.headers["x-tokenone-call"]] = f"openai: chat, streamed ({chunks} chunks)"
    with anthropic.Anthropic(
        base_url=f"{stage.gateway}/anthropic", api_key=place.token, max_retries=0
    ) as other:
        answer = other.messages.with_raw_response.create(
            model=ANTHROPIC_MODEL, max_tokens=256, messages=messages
        )
        calls[answer.headers["x-tokenone-call"]] = "anthropic: messages"
        with other.messages.stream(model=ANTHROPIC_MODEL, max_tokens=256, messages=messages) as stream:
            events = sum(1 for _ in stream)
            calls[stream.response.headers["x-tokenone-call"]] = (
                f"anthropic: messages, streamed ({events} events)"
            )
    _step(say, "6", "four calls through the official openai and anthropic SDKs; only base URL and key differ")
    return calls


def _show(say: Console, stage: Stage, place: Workplace, calls: dict[str, str]) -> None:
    table = Table(title="what each call used and cost", title_justify="left")
    for column in ("call", "key / version", "route", "tokens in+out", "cost", "source", "fee", "receipt"):
        table.add_column(column, overflow="fold")
    for call, name in calls.items():
        told = _told(stage, place, call)
        attempt = told["attempts"][-1]
        usage = attempt["usage"]
        table.add_row(
            name,
            f"…{attempt['key'][-6:]} / {attempt['ver']}",
            f"{attempt['provider']} ({len(told['attempts'])} attempt)",
            f"{usage['input']}+{usage['output']}",
            f"${told['cost_usd']}",
            ", ".join(told["cost_sources"]),
            f"${told['fee_usd']}",
            told["receipt"][:14] + "…",
        )
    say.print(table)


def _told(stage: Stage, place: Workplace, call: str) -> dict[str, Any]:
    """Asks for a call with the caller's own token, until its outcome is there."""
    told: dict[str, Any] = {}

    def closed() -> bool:
        answer = httpx2.get(
            f"{stage.gateway}/tokenone/calls/{call}",
            headers={"authorization": f"Bearer {place.token}"}, trust_env=False,
        )  # fmt: skip
        told.update(answer.json() if answer.status_code == 200 else {})
        return told.get("state") == "closed"

    _until(closed, f"the outcome of {call} did not appear")
    return told


def _refusals(say: Console, stage: Stage) -> None:
    """A stranger gets one constant answer."""
    answer = httpx2.post(
        f"{stage.gateway}/openai/v1/chat/completions", json={}, trust_env=False,
        headers={"authorization": "Bearer sk-not-a-caller-token"},
    )  # fmt: skip
    if answer.status_code != 401:
        raise DemoFailed(f"a stranger got {answer.status_code}")
    _step(say, "7", f"a stranger gets 401: {answer.json()['error']['message']}")


def _verify(say: Console, stage: Stage) -> None:
    """The ledger verifies; with one byte changed in a copy it does not."""
    ledger = stage.directory / "ledger"
    done = _tokenone(stage, "ledger", "verify", str(ledger), "--json")
    report = json.loads(done.stdout or "{}")
    if done.returncode:
        raise DemoFailed(f"the ledger does not verify: {done.stdout}{done.stderr}")
    _step(say, "8", f"tokenone ledger verify: {report['entries']} entries, intact, from the files alone")
    copy = stage.directory.parent / "tampered"
    shutil.copytree(ledger, copy)
    segment = max(copy.glob("*/*.seg"), key=lambda path: path.stat().st_size)
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)
    done = _tokenone(stage, "ledger", "verify", str(copy))
    if done.returncode != 7:
        raise DemoFailed(f"one changed byte was not found (exit {done.returncode})")
    first = (done.stdout + done.stderr).strip().splitlines()
    _step(say, "9", f"one bit flipped in a copy is found (exit 7): {first[-1] if first else ''}")


def _stay(say: Console, stage: Stage, place: Workplace) -> None:
    body = json.dumps({"model": OPENAI_MODEL, "messages": [{"role": "user", "content": "hello"}]})
    say.print(f"\ngateway  {stage.gateway}\nconsole  {stage.console}/tokenone/byok (admin / {PASSWORD!r})\n")
    say.print("try it:", style="bold")
    say.print(
        f"curl -si {stage.gateway}/openai/v1/chat/completions -H 'content-type: application/json' \\\n"
        f"  -H 'authorization: Bearer {place.token}' -d '{body}'",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    say.print("\nCtrl-C ends it.")
    with suppress(KeyboardInterrupt):
        while True:
            signal.pause()


def main() -> None:
    """`python -m tokenone.demo [--once]`; exit 1 and a sentence where something did not hold."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--once", action="store_true", help="end after the demonstration")
    once: bool = parser.parse_args().once
    say = Console(width=None if sys.stdout.isatty() else 140)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does, and ends what it started
    try:
        demonstrate(say, once=once)
    except KeyboardInterrupt:
        sys.exit("the demo was interrupted")
    except DemoFailed as failure:
        say.print(f"[bold red]the demo failed:[/] {failure}")
        sys.exit(1)


if __name__ == "__main__":
    main()
