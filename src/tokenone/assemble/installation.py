"""`tokenone serve`: everything of one installation under one supervisor.

Law: roots are opened here once, so that a wrong one refuses the start before anything listens; gateways open
them again for themselves, the console gets the derived session key and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import msgspec

from tokenone.assemble.roots import open_keys, open_roots, passphrase_of
from tokenone.assemble.spec import ConsoleSpec, GatewaySpec, JobsSpec, database_url
from tokenone.config import (
    CONFIG_NAME,
    Settings,
    check_listeners,
    environment_for_children,
    load,
    referenced_variables,
)
from tokenone.errors import ConfigRefused, TokenOneError
from tokenone.supervise import Role, Supervisor, listen

Say = Callable[[str], None]
GATEWAY: Final = "tokenone.assemble.gateway"
SPARE_SLOTS: Final = 2
"""Beyond two for each worker: for logs that are just being closed, and a replacement in haste."""


async def serve(directory: Path, settings: Settings, say: Say) -> None:
    """Starts gateways, console and jobs; returns after SIGTERM or SIGINT, when all have drained."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    roles = _roles(directory, settings)
    supervisor = Supervisor(
        environment=environment_for_children(settings.references.variables()),
        say=say,
        drain_seconds=settings.gateway.drain_seconds,
    )
    stop, reload = _signals()
    try:
        if await _before(stop, _start(supervisor, roles)):
            say(f"gateway  {_url(settings.gateway.listen, settings.gateway.tls_cert)}")
            say(f"console  {_url(settings.console.listen, settings.console.tls_cert)}/tokenone/byok")
            say(f"ready    {settings.gateway.workers} worker{'s' if settings.gateway.workers > 1 else ''}")
        while await _before(stop, reload.wait()):
            reload.clear()
            await _before(stop, _replace_workers(supervisor, roles, say))
    finally:
        say("stopping: streams may end first")
        await supervisor.stop()


async def _before(stop: asyncio.Event, work: Coroutine[Any, Any, object]) -> bool:
    """Says whether the work was done before `stop`; what is not is left to end with the supervisor."""
    task = asyncio.ensure_future(work)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if stop.is_set():
        return False
    task.result()
    return True


async def _start(supervisor: Supervisor, roles: list[Role]) -> None:
    await asyncio.gather(*(supervisor.start(role) for role in roles))


async def _replace_workers(supervisor: Supervisor, roles: list[Role], say: Say) -> None:
    """One after the other, so that there is always one that serves."""
    workers = [role for role in roles if role.module == GATEWAY]
    done = [await supervisor.replace(role) for role in workers]
    say(f"replaced {sum(done)} of {len(workers)} workers")


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    stop, reload = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    return stop, reload


def _url(listening: str, certificate: Path | None) -> str:
    return f"{'https' if certificate else 'http'}://{listening}"


def _roles(directory: Path, settings: Settings) -> list[Role]:
    check_listeners(settings)
    uris = settings.roots.uris()
    passphrase = passphrase_of(settings)
    keys = open_keys(open_roots(uris, directory, passphrase, profile=settings.profile), directory)
    gateway = msgspec.msgpack.encode(_gateway_spec(directory, settings, uris, passphrase))
    console = msgspec.msgpack.encode(_console_spec(directory, settings, keys.session))
    jobs = msgspec.msgpack.encode(_jobs_spec(directory, settings))
    shared = listen(settings.gateway.listen)
    workers = [
        Role(f"gateway {number}", GATEWAY, gateway, shared) for number in range(settings.gateway.workers)
    ]
    return [
        *workers,
        Role("console", "tokenone.assemble.console", console, listen(settings.console.listen)),
        Role("jobs", "tokenone.assemble.jobs", jobs),
    ]


def _gateway_spec(
    directory: Path, settings: Settings, uris: dict[str, str], passphrase: str | None
) -> GatewaySpec:
    section = settings.gateway
    return GatewaySpec(
        directory=str(directory),
        slots=slots_of(section.workers),
        workers=section.workers,
        database_url=database_url(settings.database.url, directory),
        index_url=database_url(settings.database.index_url, directory),
        roots=uris,
        passphrase=passphrase,
        profile=settings.profile,
        egress_allow=tuple(settings.egress.allow),
        reference_rules=settings.references.allow,
        reference_variables=referenced_variables(settings.references),
        references_world_readable=settings.references.world_readable,
        ledger_origin=settings.ledger.origin,
        segment_bytes=settings.ledger.segment_mib << 20,
        body_bytes=section.body_mib << 20,
        drain_seconds=section.drain_seconds,
        connect_seconds=section.connect_seconds,
        first_byte_seconds=section.first_byte_seconds,
        idle_seconds=section.idle_seconds,
        tls_cert=_text(section.tls_cert),
        tls_key=_text(section.tls_key),
        client_ca=_text(section.client_ca),
    )


def slots_of(workers: int) -> tuple[int, ...]:
    """Returns the slots that workers may take: a successor needs one of its own while the old one drains."""
    return tuple(range(2 * workers + SPARE_SLOTS))


def _console_spec(directory: Path, settings: Settings, session_key: bytes) -> ConsoleSpec:
    return ConsoleSpec(
        directory=str(directory),
        database_url=database_url(settings.database.url, directory),
        index_url=database_url(settings.database.index_url, directory),
        session_key=session_key,
        allow_plaintext_intake=settings.console.allow_plaintext_intake,
        egress_allow=tuple(settings.egress.allow),
        tls_cert=_text(settings.console.tls_cert),
        tls_key=_text(settings.console.tls_key),
    )


def _jobs_spec(directory: Path, settings: Settings) -> JobsSpec:
    return JobsSpec(
        directory=str(directory),
        database_url=database_url(settings.database.url, directory),
        index_url=database_url(settings.database.index_url, directory),
    )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def main() -> None:
    """`python -m tokenone.assemble.installation --dir DIR [--init] [--workers N]`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--init", action="store_true")
    parser.add_argument("--workers", type=int)
    chosen = parser.parse_args()
    try:
        if not (chosen.dir / CONFIG_NAME).exists():
            _make_first(chosen.dir, allowed=chosen.init)
        settings = load(chosen.dir)
        if chosen.workers is not None:
            settings.gateway.workers = chosen.workers
        asyncio.run(serve(chosen.dir, settings, _say))
    except TokenOneError as error:
        sys.exit(f"tokenone serve refuses to start: {error.sentence}")


def _make_first(directory: Path, *, allowed: bool) -> None:
    """Makes an installation in a process of its own: what that imports is heavy and not needed again."""
    if not allowed:
        raise ConfigRefused(f"there is no installation in {directory}; make one with `tokenone init`")
    command = [
        sys.executable,
        "-m",
        "tokenone.assemble.install",
        "--dir",
        str(directory),
        "--generate-password",
    ]
    made = subprocess.run(command, check=False)  # noqa: S603  (our own module)
    if made.returncode:
        sys.exit(made.returncode)


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # whoever listened may be gone: the workers are not to go with them
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
