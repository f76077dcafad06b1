"""An answer before it is put on the wire: a status, headers, and one body or a row of events.

Law: a plain value; sending it, well or badly, is `sender`'s part.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tokenone.testing.standin.prompt import compact


@dataclass(frozen=True, slots=True)
class Reply:
    """`events` is None for a plain answer; `error_event` is what the provider sends when a stream fails."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    events: tuple[bytes, ...] | None = None
    error_event: bytes = b""
    content_type: str = field(default="application/json")


def json_reply(value: object, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """A plain JSON answer."""
    return Reply(status, compact(value), headers)
