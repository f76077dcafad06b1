"""What each process is told at its start, passed through a pipe by the supervisor.

Law: children read nothing from the environment; the passphrase reaches gateways alone, and the session key the
console alone. A child whose supervisor is gone ends as if it had been told to.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, TypeVar

import msgspec

from tokenone.dispatch.reference import Rule
from tokenone.errors import ConfigRefused, RootRefused, TokenOneError
from tokenone.supervise import REFUSED


class GatewaySpec(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway worker's settings; paths are absolute."""

    directory: str
    slots: tuple[int, ...]
    """Ledger slots that this worker may take; it takes the first free one."""
    workers: int
    database_url: str
    index_url: str
    roots: dict[str, str]
    passphrase: str | None = None
    profile: str = "single"
    egress_allow: tuple[str, ...] = ()
    reference_rules: tuple[Rule, ...] = ()
    reference_variables: dict[str, str] = {}
    """The variables that rules name, as they were when the supervisor started."""
    references_world_readable: bool = False
    ledger_origin: str
    segment_bytes: int
    body_bytes: int
    drain_seconds: float
    connect_seconds: float
    first_byte_seconds: float
    idle_seconds: float
    tls_cert: str | None = None
    tls_key: str | None = None
    client_ca: str | None = None
    control_uids: tuple[int, ...] = ()


class ConsoleSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The console's settings; it gets the session key and no root."""

    directory: str
    database_url: str
    index_url: str
    session_key: bytes
    allow_plaintext_intake: bool = False
    egress_allow: tuple[str, ...] = ()
    tls_cert: str | None = None
    tls_key: str | None = None


class JobsSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The jobs' settings."""

    directory: str
    database_url: str
    index_url: str


Spec = TypeVar("Spec", GatewaySpec, ConsoleSpec, JobsSpec)
SPEC_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Inherited:
    """The descriptors that a child got: its listening socket and the pipe to say that it is ready."""

    listener: socket.socket | None
    ready_fd: int

    def say_ready(self) -> None:
        """Tells the supervisor; once."""
        os.write(self.ready_fd, b"\n")
        os.close(self.ready_fd)


def receive(kind: type[Spec]) -> tuple[Spec, Inherited]:
    """Reads this process's spec from the descriptor named on its command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--spec-fd", type=int, required=True)
    parser.add_argument("--ready-fd", type=int, required=True)
    parser.add_argument("--life-fd", type=int)
    parser.add_argument("--listen-fd", type=int)
    arguments = parser.parse_args()
    if arguments.life_fd is not None:
        threading.Thread(target=_follow, args=(arguments.life_fd,), name="life", daemon=True).start()
    with os.fdopen(arguments.spec_fd, "rb") as pipe:
        content = pipe.read(SPEC_BYTES)
    try:
        spec = msgspec.msgpack.decode(content, type=kind)
    except msgspec.DecodeError:
        raise ConfigRefused("this process is started by `tokenone serve`, not by hand") from None
    listener = None
    if arguments.listen_fd is not None:
        listener = socket.socket(fileno=arguments.listen_fd)
        listener.setblocking(False)
    return spec, Inherited(listener, arguments.ready_fd)


def _follow(life: int) -> None:
    """Ends this process gently once the other end of the pipe is gone, and with it the supervisor."""
    os.read(life, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def refuse(who: str, error: TokenOneError) -> NoReturn:
    """Ends a process that cannot start, in one line that says what is wrong."""
    sys.stderr.write(f"{who}: refuses to start: {error.code}: {error.detail}\n")
    sys.stderr.flush()
    sys.exit(REFUSED if isinstance(error, ConfigRefused | RootRefused) else 1)


def database_url(url: str, directory: Path) -> str:
    """Makes a relative `sqlite:///path` absolute below the data directory."""
    prefix = "sqlite:///"
    if url.startswith(prefix) and not url.startswith(prefix + "/"):
        return f"{prefix}{directory / url[len(prefix) :]}"
    return url
