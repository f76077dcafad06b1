"""The console process: the management API on uvicorn, with the stores and the way to ask a gateway.

Law: it gets the session key and no root; h11 parses its requests, for its limits; TLS 1.3 where a certificate
is given.
"""

from __future__ import annotations

import asyncio
import resource
import ssl
from pathlib import Path

import uvicorn

from tokenone import __version__
from tokenone.assemble.files import RUN_DIRECTORY
from tokenone.assemble.logs import log_as_json
from tokenone.assemble.spec import ConsoleSpec, receive, refuse
from tokenone.clock import AnchoredClock
from tokenone.console_api.app import create_app
from tokenone.console_api.deps import ConsoleDeps
from tokenone.control.client import ControlClient
from tokenone.errors import TokenOneError
from tokenone.store import Index, Store


class TlsConfig(uvicorn.Config):
    """uvicorn's settings with TLS 1.3 as the least."""

    def load(self) -> None:
        """Loads as uvicorn does, then raises the floor."""
        super().load()
        if self.ssl is not None:
            self.ssl.minimum_version = ssl.TLSVersion.TLSv1_3


def config_of(spec: ConsoleSpec, app: object) -> TlsConfig:
    """Returns the server's settings: no access log (it would hold queries), no version in answers."""
    return TlsConfig(
        app,  # type: ignore[arg-type]  # an ASGI application
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=256,
        timeout_keep_alive=30,
        h11_max_incomplete_event_size=65_536,
        ssl_certfile=spec.tls_cert,
        ssl_keyfile=spec.tls_key,
        timeout_graceful_shutdown=10,
    )


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
    server = uvicorn.Server(config_of(spec, create_app(deps)))
    inherited.say_ready()
    await server.serve(sockets=[inherited.listener])
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
