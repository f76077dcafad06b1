"""Clients that call a gateway again and again, plain and streaming, and remember what they were told.

Law: every request carries a mark of its own (as its model's name), is sent once and never repeated; what a
client remembers is what it really got: headers, the end of a body, an outcome.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tokenone.testing.desk import Workplace

TEXT = "echo " + "crash and carry on; " * 3
"""Streamed by the stand-in in a dozen events."""


@dataclass
class Spoken:
    """One call as its client knows it."""

    mark: str
    streamed: bool
    status: int | None = None
    call: str | None = None
    receipt: str | None = None
    code: str | None = None
    whole: bool = False
    """The reply came to its end."""
    error: str | None = None
    told: dict[str, Any] = field(default_factory=dict)
    """What GET /tokenone/calls/{id} said."""
    began: float = 0.0


class Load:
    """Runs `clients` threads between `start` and `stop`; `wait` lets a test act at a random moment of it."""

    def __init__(
        self, url: str, place: Workplace, *, name: str, clients: int = 4, seed: int = 1, think: float = 0.0
    ) -> None:
        self.spoken: list[Spoken] = []
        self.seen = threading.Condition()
        self.events = 0
        """Counts what clients observe: a request sent, a head, a piece of a body, an end."""
        self._url = url
        self._authorization = {"authorization": f"Bearer {place.token}"}
        self._name = name
        self._think = think
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(
                target=self._run, args=(number, random.Random(seed * 1000 + number)), daemon=True
            )
            for number in range(clients)
        ]

    def start(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> list[Spoken]:
        """Lets every client end its call and returns everything that was spoken."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a client hangs"
        return self.spoken

    def wait(self, more: int, *, seconds: float = 40.0) -> None:
        """Returns once the clients have observed `more` events."""
        with self.seen:
            target = self.events + more
            assert self.seen.wait_for(lambda: self.events >= target, seconds), "the load stands still"

    def wait_whole(self, more: int, *, seconds: float = 40.0) -> None:
        """Returns once `more` calls that began from now on came to their end."""
        start = time.monotonic()
        with self.seen:
            assert self.seen.wait_for(
                lambda: sum(one.whole for one in self.spoken[-8 * more - 64 :] if one.began > start) >= more,
                seconds,
            ), f"no calls come through: {self.spoken[-3:]}"

    def _note(self) -> None:
        with self.seen:
            self.events += 1
            self.seen.notify_all()

    def _run(self, number: int, chance: random.Random) -> None:
        limits = httpx2.Limits(max_connections=1, max_keepalive_connections=1)
        with httpx2.Client(base_url=self._url, trust_env=False, timeout=40, limits=limits) as client:
            count = 0
            while not self._stopping.is_set():
                count += 1
                spoken = Spoken(f"{self._name}-{number}-{count}", chance.random() < 0.5)
                self.spoken.append(spoken)
                self._speak(client, spoken, ask=chance.random() < 0.5)
                self._stopping.wait(self._think)

    def _speak(self, client: httpx2.Client, spoken: Spoken, *, ask: bool) -> None:
        spoken.began = time.monotonic()
        try:
            self._call(client, spoken)
            if ask and spoken.call is not None:
                answer = client.get(f"/tokenone/calls/{spoken.call}", headers=self._authorization)
                spoken.told = answer.json() if answer.status_code == 200 else {}
        except httpx2.ConnectError as error:
            spoken.error = repr(error)
            self._stopping.wait(0.05)  # nobody listens: the whole house is down
        except httpx2.HTTPError as error:
            spoken.error = repr(error)
        self._note()

    def _call(self, client: httpx2.Client, spoken: Spoken) -> None:
        body = {
            "model": spoken.mark,
            "messages": [{"role": "user", "content": TEXT}],
            "stream": spoken.streamed,
        }
        path = "/openai/v1/chat/completions"
        with client.stream("POST", path, json=body, headers=self._authorization) as reply:
            spoken.status = reply.status_code
            spoken.call = reply.headers.get("x-tokenone-call")
            spoken.receipt = reply.headers.get("x-tokenone-receipt") or None
            spoken.code = reply.headers.get("x-tokenone-error")
            self._note()
            read = b""
            for piece in reply.iter_raw():
                read += piece
                self._note()
        ended = b"data: [DONE]" in read if spoken.streamed else True
        spoken.whole = reply.status_code == 200 and ended


def failures(spoken: list[Spoken]) -> list[Spoken]:
    """Returns the calls of which a client saw an error of any kind."""
    return [one for one in spoken if not one.whole]
