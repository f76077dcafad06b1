"""Installations that tests break: one with a worker, one with two, both beside a stand-in and a gate.

Law: whoever uses one finds it whole (`whole` starts what is stopped) and may leave it in any state.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from kit.gate import Gate, gated
from kit.houses import copy_of
from kit.installation import Installation
from kit.processes import full_house
from kit.routes import Route, route_to
from tokenone.testing.desk import Workplace
from tokenone.testing.standin import Manner, StandIn, ThreadedListener

CHAT = "/openai/v1/chat/completions"


@dataclass
class Battered:
    """An installation with a workload whose keys lead to the stand-in, and one whose keys lead to the gate."""

    house: Installation
    upstream: ThreadedListener
    gate: Gate
    plain: Route
    slow: Route

    def whole(self) -> Battered:
        """Starts the installation if it is not running; returns once every worker serves."""
        if self.house.process is None or self.house.process.poll() is not None:
            self.house.stop()
            self.house.start()
        full_house(self.house)
        return self

    def call(self, place: Workplace | None = None) -> httpx2.Response:
        """Makes one plain call."""
        token = (place or self.plain.place).token
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
        headers = {"authorization": f"Bearer {token}"}
        return self.house.http.post(f"{self.house.gateway}{CHAT}", json=body, headers=headers)

    def refusal(self, place: Workplace | None = None) -> str | None:
        """Makes one plain call and returns the gateway's code of refusal; None when it went well."""
        answer = self.call(place)
        if answer.status_code == 200:
            return None
        return str(answer.headers.get("x-tokenone-error", answer.status_code))

    def ready(self) -> bool:
        return self.house.http.get(f"{self.house.gateway}/readyz").status_code == 200

    @property
    def sent(self) -> int:
        """How many requests both upstreams received."""
        return len(self.upstream.standin.received) + self.gate.opened


@contextmanager
def laid_out(house: Installation) -> Iterator[Battered]:
    """Starts the installation and furnishes it."""
    manner = Manner(latency=0.002, event_gap=0.002, keep=1_000_000)
    with ThreadedListener(StandIn(manner=manner)) as upstream, gated() as gate:
        house.start()
        try:
            plain = route_to(house, "plain", upstream.origin)
            slow = route_to(house, "slow", gate.origin)
            house.until_current()
            yield Battered(house, upstream, gate, plain, slow)
        finally:
            house.stop()


@pytest.fixture(scope="session")
def alone(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Battered]:
    """One worker: when it is away, nobody serves."""
    with laid_out(copy_of(template, tmp_path_factory.mktemp("alone"))) as made:
        yield made


@pytest.fixture(scope="session")
def pair(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Battered]:
    """Two workers on one port."""
    house = copy_of(template, tmp_path_factory.mktemp("pair"))
    house.workers = 2
    with laid_out(house) as made:
        yield made
