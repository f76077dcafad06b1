"""Answers control requests in a gateway worker.

Law: only the listed user ids are heard; every request gets one reply, `ok` or a code with a sentence; no reply
carries a provider secret. It decides nothing: `ops` does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog

from tokenone.control.line import LINE_BYTES, line_of, peer_uid, read_line
from tokenone.control.place import reachable
from tokenone.errors import NotFound, TokenOneError

Op = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class ControlServer:
    """Listens on `path` (mode 0600, or 0660 for a console under another uid) and runs `ops` by name."""

    def __init__(self, path: Path, ops: dict[str, Op], *, allowed_uids: frozenset[int]) -> None:
        self._path = path
        self._ops = ops
        self._allowed = allowed_uids | {os.getuid()}
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Binds the socket, replacing one that a crashed worker left behind."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        previous = os.umask(0o117)
        try:
            with reachable(self._path) as name:
                bound.bind(name)
        finally:
            os.umask(previous)
        self._server = await asyncio.start_unix_server(self._talk, sock=bound, limit=LINE_BYTES)

    async def close(self) -> None:
        """Stops listening and removes the socket."""
        if self._server is not None:
            self._server.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if peer_uid(writer.get_extra_info("socket")) not in self._allowed:
                return
            while (request := await read_line(reader)) is not None:
                writer.write(line_of(await self._answer(request)))
                await writer.drain()
        except (TokenOneError, ConnectionError):
            return
        finally:
            writer.close()

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        op = self._ops.get(str(request.get("op")))
        try:
            if op is None:
                raise NotFound("no such control operation")
            return {"ok": True, **await op(request)}
        except TokenOneError as error:
            return {"ok": False, "code": error.code, "status": error.status, "detail": error.detail}
        except Exception as error:  # noqa: BLE001  the door: a defect ends this request, not the worker
            structlog.get_logger("control").error("defect", kind=type(error).__name__)
            return {"ok": False, "code": "internal", "status": 500, "detail": "a defect in the gateway"}
