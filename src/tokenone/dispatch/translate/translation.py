"""What one provider's translation is: five pure functions over the unified form.

Law: no I/O and no state but a stream's own. A translation reads and writes one provider's dialect and knows no
other; it never raises on what a provider may send (a reply that cannot be read raises UpstreamBroken, once).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from tokenone.dispatch.translate.form import ChatError, ChatReply, ChatRequest, Event
from tokenone.types import Headers


class StreamReader(Protocol):
    """Reads one streamed reply: decoded bytes in, events out, the same however the bytes were cut.

    After `Failed` or `Ended` nothing follows; `finish` says `CUT_OFF` where neither came.
    """

    def feed(self, data: bytes) -> list[Event]: ...
    def finish(self) -> list[Event]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """One provider's dialect of a chat call."""

    path: Callable[[str, bool], bytes]
    """(model, stream) → the path below the provider's base, query included."""
    request: Callable[[ChatRequest, bool], tuple[bytes, tuple[str, ...]]]
    """(request, may drop) → the body, and the parameters left out; raises UnsupportedParameter naming them."""
    reply: Callable[[bytes], ChatReply]
    stream: Callable[[], StreamReader]
    error: Callable[[int, bytes], ChatError]
    headers: Headers = field(default_factory=list)
    """What the provider demands beside credential and content type."""
