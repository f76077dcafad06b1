"""Runs the application on a socket that is bound already, until told to stop; and the console's logging.

Law: h11, whose limits hold; no forwarding header is believed; uvicorn logs nothing (its lines have raw paths).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import sys
from collections.abc import Generator

import structlog
import uvicorn
from fastapi import FastAPI

DRAIN_SECONDS = 10


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


async def serve(
    app: FastAPI, listener: socket.socket, *, stop: asyncio.Event, tls: ssl.SSLContext | None = None
) -> None:
    """Serves until `stop` is set, then lets requests end for some seconds."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=65_536,
        limit_concurrency=200,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        ssl_context_factory=None if tls is None else lambda _config, _default: tls,
    )
    server = _Server(config)
    stopping = asyncio.create_task(_stop_when(stop, server))
    try:
        await server.serve(sockets=[listener])
    finally:
        stopping.cancel()


async def _stop_when(stop: asyncio.Event, server: uvicorn.Server) -> None:
    await stop.wait()
    server.should_exit = True


def log_as_json(level: int = logging.INFO) -> None:
    """Sends our log lines to stderr as JSON, and of libraries only warnings by name."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.getLogger().setLevel(logging.WARNING)
