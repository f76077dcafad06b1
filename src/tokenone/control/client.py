"""Asks a gateway worker over its control socket.

Law: one connection per question, bounded in time; workers are tried in the order of their slots until one
answers; a refusal comes back as the error it was.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import Any, Final

from tokenone import errors
from tokenone.control.line import LINE_BYTES, line_of, peer_uid, read_line
from tokenone.control.place import reachable
from tokenone.errors import ControlUnavailable, TokenOneError

SECONDS: Final = 15.0
_SLOT: Final = re.compile(r"gateway-(\d+)\.sock$")


def _by_code() -> dict[str, type[TokenOneError]]:
    kinds = (kind for kind in vars(errors).values() if isinstance(kind, type))
    return {kind.code: kind for kind in kinds if issubclass(kind, TokenOneError)}


class ControlClient:
    """Talks to the workers whose sockets lie in `directory`; `gateway_uid` must be at the other end."""

    def __init__(self, directory: Path, *, gateway_uid: int | None = None) -> None:
        self._directory = directory
        self._gateway_uid = os.getuid() if gateway_uid is None else gateway_uid
        self._errors: Final = _by_code()

    def slots(self) -> list[int]:
        """Lists the slots that have a socket, lowest first."""
        found = (_SLOT.search(path.name) for path in self._directory.glob("gateway-*.sock"))
        return sorted(int(match.group(1)) for match in found if match)

    async def ask(self, op: str, *, slot: int | None = None, **fields: Any) -> dict[str, Any]:
        """Returns the reply's fields; raises the error that the gateway named, or ControlUnavailable."""
        for number in self.slots() if slot is None else [slot]:
            try:
                reply = await asyncio.wait_for(self._ask(number, {"op": op, **fields}), SECONDS)
            except (OSError, TimeoutError):
                continue
            return self._opened(reply)
        raise ControlUnavailable

    async def _ask(self, slot: int, request: dict[str, Any]) -> dict[str, Any]:
        with reachable(self._directory / f"gateway-{slot}.sock") as name:
            reader, writer = await asyncio.open_unix_connection(name, limit=LINE_BYTES)
        try:
            if peer_uid(writer.get_extra_info("socket")) not in (self._gateway_uid, 0):
                raise ControlUnavailable("another user listens on the control socket")
            writer.write(line_of(request))
            reply = await read_line(reader)
        finally:
            writer.close()
        if reply is None:
            raise ConnectionResetError
        return reply

    def _opened(self, reply: dict[str, Any]) -> dict[str, Any]:
        if reply.pop("ok", False):
            return reply
        kind = self._errors.get(str(reply.get("code")), ControlUnavailable)
        raise kind(str(reply.get("detail", "")))
