"""Runs the peers beside the gateway in the same run: LiteLLM's proxy, HAProxy, nginx.

Law: a peer is configured as its documentation says for production, with one worker on the same core and the
same upstream; LiteLLM comes from a hashed lock into a virtual environment of its own, only when asked for.
HAProxy and nginx forward bytes and govern nothing: they are the floor, not rivals.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import msgspec

from benchmarks import gauge, scenarios
from benchmarks.plans import Target
from benchmarks.processes import ROOT, Child, measured_cores
from benchmarks.results import Figures
from benchmarks.scenarios import Pace, Streams
from benchmarks.subject import Unavailable

TOOLS = ROOT / ".tools"
LITELLM_VENV = TOOLS / "peers"
UNPACKED = TOOLS / "root"
LOCK = Path(__file__).parent / "peers.lock"
_MASTER = "sk-benchmark-master"
_READY_SECONDS = 90.0
_WARM_SECONDS = 5.0


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A peer that answers."""

    target: Target
    pids: tuple[int, ...]
    ready_seconds: float


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """A peer: `start` yields it running, or raises Unavailable with what to do."""

    name: str
    start: Callable[[int, Path], AbstractContextManager[Running]]


def measure(
    note: Callable[[str, str, Figures], None], name: str, running: Running, direct: Target, pace: Pace
) -> None:
    """Takes a peer, warmed up, through the scenarios that ratios are printed for, at a rate it can hold."""
    scenarios.closed(running.target, (), msgspec.structs.replace(pace, closed_seconds=_WARM_SECONDS), 64)
    closed = scenarios.closed(running.target, running.pids, pace, 64)
    note("closed-64", name, closed)
    rate = min(pace.rate, (closed.calls_per_second or 0.0) / 2)
    if rate >= 1:
        held = msgspec.structs.replace(pace, rate=rate)
        note("open", name, scenarios.open_loop(running.target, direct, running.pids, held))
    shape = Streams(counts=(32, 32), seconds=pace.stream_seconds, interval_ms=200, ramp=1.0)
    note("streams-32", name, scenarios.streams((running.target, direct), running.pids, shape))


@contextmanager
def _running(command: list[str], target: Target, log: Path, environment: dict[str, str]) -> Iterator[Running]:
    began = time.monotonic()
    child = Child(command, cores=measured_cores(), log=log, environment=environment)
    try:
        _wait(child, target.port)
        ready_seconds = time.monotonic() - began
        yield Running(target=target, pids=gauge.descendants(child.pid), ready_seconds=ready_seconds)
    finally:
        child.end()


def _wait(child: Child, port: int) -> None:
    """Waits until the port accepts a connection."""
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        if not child.running:
            raise Unavailable(f"it ended at start: {child.tail()[-300:]}")
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise Unavailable(f"it did not listen within {_READY_SECONDS:g} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _target(name: str, port: int, token: str) -> Target:
    return Target(name=name, port=port, path="/v1/chat/completions", tokens=(token,))


@contextmanager
def litellm(upstream_port: int, directory: Path) -> Iterator[Running]:
    """LiteLLM's proxy, one worker, a master key, no database, no callbacks, no network but the upstream."""
    port = _free_port()
    config = directory / "litellm.yaml"
    config.write_text(
        "model_list:\n"
        "  - model_name: gpt-4o-mini\n"
        "    litellm_params:\n"
        "      model: openai/gpt-4o-mini\n"
        f"      api_base: http://127.0.0.1:{upstream_port}/v1\n"
        "      api_key: sk-upstream\n"
        "general_settings:\n"
        f"  master_key: {_MASTER}\n"
        "litellm_settings:\n"
        "  telemetry: false\n"
    )
    arguments = ["--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    environment = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        "LITELLM_TELEMETRY": "False",
    }
    command = [str(_installed_litellm()), *arguments]
    with _running(command, _target("LiteLLM", port, _MASTER), directory / "log", environment) as running:
        yield running


def _installed_litellm() -> Path:
    """Installs the locked packages into `.tools/peers` unless they are there, and returns the program."""
    program = LITELLM_VENV / "bin" / "litellm"
    stamp = LITELLM_VENV / ".ready"
    if stamp.exists() and stamp.stat().st_mtime >= LOCK.stat().st_mtime:
        return program
    uv = str(TOOLS / "bin" / "uv")
    environment = {**os.environ, "UV_CACHE_DIR": str(TOOLS / "cache")}
    python = str(LITELLM_VENV / "bin" / "python")
    steps = (
        [uv, "venv", "--quiet", "--allow-existing", str(LITELLM_VENV)],
        [
            uv,
            "pip",
            "sync",
            "--quiet",
            "--compile-bytecode",
            "--python",
            python,
            "--require-hashes",
            str(LOCK),
        ],
    )
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            raise Unavailable(f"installing it failed: {done.stderr.strip()[-300:]}")
    stamp.touch()
    return program


@contextmanager
def haproxy(upstream_port: int, directory: Path) -> Iterator[Running]:
    """HAProxy, one thread, keep-alive and connection reuse on both sides."""
    program, port = (
        _found("haproxy", "haproxy liblua5.3-0 libopentracing-c-wrapper0 libopentracing1"),
        _free_port(),
    )
    config = directory / "haproxy.cfg"
    config.write_text(
        "global\n  nbthread 1\n  maxconn 8192\n"
        "defaults\n  mode http\n  option http-no-delay\n"
        "  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
        f"frontend in\n  bind 127.0.0.1:{port}\n  default_backend up\n"
        f"backend up\n  http-reuse always\n  server up 127.0.0.1:{upstream_port}\n"
    )
    command = [program, "-db", "-f", str(config)]
    with _running(
        command, _target("HAProxy", port, "none"), directory / "log", _unpacked_libraries()
    ) as running:
        yield running


@contextmanager
def nginx(upstream_port: int, directory: Path) -> Iterator[Running]:
    """nginx, one process, keep-alive on both sides, no buffering of responses."""
    program, port = _found("nginx", "nginx"), _free_port()
    config = directory / "nginx.conf"
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    scratch = "".join(f"  {kind}_temp_path {directory}/{kind};\n" for kind in kinds)
    config.write_text(
        f"daemon off;\nmaster_process off;\nworker_processes 1;\npid {directory}/pid;\nerror_log stderr;\n"
        "events { worker_connections 8192; }\n"
        f"http {{\n{scratch}  access_log off;\n  keepalive_requests 1000000;\n"
        f"  upstream up {{ server 127.0.0.1:{upstream_port}; keepalive 256; keepalive_requests 1000000; }}\n"
        f"  server {{\n    listen 127.0.0.1:{port};\n    location / {{\n"
        "      proxy_pass http://up;\n      proxy_http_version 1.1;\n"
        '      proxy_set_header Connection "";\n      proxy_buffering off;\n    }\n  }\n}\n'
    )
    command = [program, "-c", str(config), "-p", str(directory)]
    with _running(
        command, _target("nginx", port, "none"), directory / "log", _unpacked_libraries()
    ) as running:
        yield running


def _found(program: str, packages: str) -> str:
    """Finds a program on the path or unpacked below `.tools/root`; `packages` are Debian's names for it."""
    places = (os.environ.get("PATH", ""), "/usr/sbin", str(UNPACKED / "usr" / "sbin"))
    path = shutil.which(program, path=os.pathsep.join(places))
    if path is None:
        raise Unavailable(
            f"{program} is not on this machine. Install it, or, on Debian without root: "
            f"`mkdir -p .tools/root && cd .tools/root && apt-get download {packages} "
            "&& for each in *.deb; do dpkg -x $each .; done`"
        )
    return path


def _unpacked_libraries() -> dict[str, str]:
    """Lets a program from `.tools/root` find the libraries unpacked beside it."""
    libraries = [str(path) for path in UNPACKED.glob("usr/lib/*-linux-gnu")]
    return {"LD_LIBRARY_PATH": os.pathsep.join(libraries)} if libraries else {}


PEERS = (
    Peer(name="LiteLLM", start=litellm),
    Peer(name="HAProxy", start=haproxy),
    Peer(name="nginx", start=nginx),
)
