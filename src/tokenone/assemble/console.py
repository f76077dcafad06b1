"""The console process: the management API on uvicorn, with the stores and the way to ask a gateway.

Law: it gets the session key and no root; h11 parses its requests, for its limits; TLS 1.3 where a certificate
is given, renewed without a restart.
"""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path
from typing import Final

import structlog
import uvicorn

from tokenone import __version__
from tokenone.assemble.files import RUN_DIRECTORY
from tokenone.assemble.logs import log_as_json
from tokenone.assemble.patience import PatientProtocol
from tokenone.assemble.spec import ConsoleSpec, receive, refuse
from tokenone.clock import AnchoredClock
from tokenone.console_api.app import create_app
from tokenone.console_api.deps import ConsoleDeps
from tokenone.control.client import ControlClient
from tokenone.errors import ConfigRefused, TokenOneError
from tokenone.store import Index, Store
from tokenone.wire.tls import ServerTls

RENEW_SECONDS: Final = 1.0


def config_of(app: object, tls: ServerTls | None) -> uvicorn.Config:
    """Returns the server's settings: no access log (it would hold queries), no version in answers."""
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # an ASGI application
        http=PatientProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=256,
        timeout_keep_alive=30,
        h11_max_incomplete_event_size=65_536,
        ssl_context_factory=None if tls is None else lambda *_: tls.context,
        timeout_graceful_shutdown=10,
    )


def _tls(spec: ConsoleSpec) -> ServerTls | None:
    if spec.tls_cert is None or spec.tls_key is None:
        return None
    return ServerTls(Path(spec.tls_cert), Path(spec.tls_key))


async def _renew(tls: ServerTls) -> None:
    """Takes changed certificate files for new connections; a pair that does not fit is told once and waited out."""
    told = ""
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        try:
            said = "the certificate was renewed" if tls.reload() else ""
        except ConfigRefused as error:
            said = error.detail
        if said and said != told:
            structlog.get_logger("console").warning("tls", detail=said)
        told = said


async def _run() -> None:
    spec, inherited = receive(ConsoleSpec)
    assert inherited.listener is not None
    clock = AnchoredClock()
    store = await Store.open(spec.database_url, clock)
    index = await Index.open(spec.index_url, clock)
    deps = ConsoleDeps(
        store=store,
        index=index,
        control=ControlClient(Path(spec.directory) / RUN_DIRECTORY),
        session_key=spec.session_key,
        clock=clock,
        allow_plaintext_intake=spec.allow_plaintext_intake,
        egress_allow=spec.egress_allow,
        version=__version__,
    )
    tls = _tls(spec)
    server = uvicorn.Server(config_of(create_app(deps), tls))
    renewing = None if tls is None else asyncio.create_task(_renew(tls))
    inherited.say_ready()
    await server.serve(sockets=[inherited.listener])
    if renewing is not None:
        renewing.cancel()
    await index.close()
    await store.close()


def main() -> None:
    """Runs the console."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    log_as_json()
    try:
        asyncio.run(_run())
    except TokenOneError as error:
        refuse("console", error)


if __name__ == "__main__":
    main()
