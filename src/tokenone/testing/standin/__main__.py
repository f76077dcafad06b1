"""Runs the stand-in as a process: `python -m tokenone.testing.standin --port 8399 [--tls DIR] [--control]`.

Law: the first line on stdout is one JSON object, {"origin": …, "pid": …, "ca": …}, once it listens; SIGTERM
and SIGINT end it. Accepted keys come from a JSON file ({"openai": […], "anthropic": […]}), never by argv;
without one every key is accepted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import ssl
import sys
from pathlib import Path

import uvloop

from tokenone.testing.authority import Authority
from tokenone.testing.standin.listen import Listener
from tokenone.testing.standin.service import Manner, StandIn


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tokenone.testing.standin", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument(
        "--tls", type=Path, help="directory for a fresh authority (ca.pem) and server certificate"
    )
    parser.add_argument("--keys", type=Path, help="JSON file of accepted keys by provider")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--event-gap", type=float, default=0.0, help="seconds between streamed events")
    parser.add_argument("--keep", type=int, default=10_000, help="how many received requests to remember")
    parser.add_argument("--control", action="store_true", help="allow /__standin__/…")
    return parser.parse_args()


def _tls(directory: Path | None, host: str) -> tuple[ssl.SSLContext | None, str | None]:
    if directory is None:
        return None, None
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = Authority()
    ca = authority.write_ca(directory / "ca.pem")
    return authority.server_context(directory, ("localhost", "127.0.0.1", "::1", host)), str(ca)


async def _serve(arguments: argparse.Namespace) -> None:
    keys = json.loads(arguments.keys.read_text(encoding="utf-8")) if arguments.keys else None
    manner = Manner(arguments.latency, arguments.event_gap, arguments.keep, arguments.control)
    tls, ca = _tls(arguments.tls, arguments.host)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    listener = Listener(StandIn(keys, manner), host=arguments.host, port=arguments.port, tls=tls)
    async with listener:
        sys.stdout.write(json.dumps({"origin": listener.origin, "pid": os.getpid(), "ca": ca}) + "\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    uvloop.run(_serve(_arguments()))
