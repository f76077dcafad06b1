"""One streamed call that a test holds in its hand: opened, read piece by piece, ended or cut."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from kit.installation import Installation
from tokenone.testing.desk import Workplace


class SlowCall:
    """A reply under way; `text` is what came so far."""

    def __init__(self, reply: httpx2.Response) -> None:
        self.reply = reply
        self.call: str = reply.headers["x-tokenone-call"]
        self.text = b""
        self.cut = False
        """The connection ended before the reply did."""
        self._pieces = reply.iter_raw()

    def read_event(self) -> None:
        """Reads until one more event is whole."""
        seen = self.text.count(b"\n\n")
        while self.text.count(b"\n\n") <= seen:
            self.text += next(self._pieces)

    def read_on(self) -> bytes:
        """Reads to the end, or to where it is cut."""
        try:
            for piece in self._pieces:
                self.text += piece
        except httpx2.HTTPError:
            self.cut = True
        return self.text

    @property
    def whole(self) -> bool:
        return not self.cut and b"data: [DONE]" in self.text


@contextmanager
def slow_call(installation: Installation, place: Workplace) -> Iterator[SlowCall]:
    """Opens a stream on a connection of its own; returns once its head is here."""
    body = {"model": "gate", "messages": [{"role": "user", "content": "go on"}], "stream": True}
    headers = {"authorization": f"Bearer {place.token}"}
    url = f"{installation.gateway}/openai/v1/chat/completions"
    with (
        httpx2.Client(trust_env=False, timeout=60) as client,
        client.stream("POST", url, json=body, headers=headers) as reply,
    ):
        assert reply.status_code == 200, reply.read()
        yield SlowCall(reply)
