"""One JSON object per line over a Unix socket, bounded; and who is at the other end.

Law: a line longer than the bound ends the connection; the peer's user id comes from the kernel (SO_PEERCRED,
unix(7)), never from what the peer says.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any, Final

import msgspec

from tokenone.errors import ControlUnavailable

LINE_BYTES: Final = 1 << 20
_PEER: Final = struct.Struct("3i")


def peer_uid(connection: socket.socket) -> int:
    """Returns the user id of the process at the other end."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    uid: int = _PEER.unpack(credentials)[1]
    return uid


async def read_line(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """Reads one object; None at the end. Raises ControlUnavailable for anything else."""
    try:
        line = await reader.readline()
    except ValueError:
        raise ControlUnavailable("a control line is too long") from None
    if not line:
        return None
    try:
        value = msgspec.json.decode(line)
    except msgspec.DecodeError:
        raise ControlUnavailable("a control line is not JSON") from None
    if not isinstance(value, dict):
        raise ControlUnavailable("a control line is not an object")
    return value


def line_of(value: dict[str, Any]) -> bytes:
    """Returns the line of one object."""
    return msgspec.json.encode(value) + b"\n"
