"""Houses under attack: a real installation with short patience, and the house in this process, on equal grounds."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from kit.fronts import FRONTS, Front, caller
from kit.grounds import Grounds, Management, lay_out, outside, secret_of
from kit.inprocess import InProcess
from kit.installation import Installation
from kit.logbook import Logbook
from kit.mishaps import Mishap
from kit.until import until
from tokenone.control.client import ControlClient
from tokenone.testing.desk import Workplace

IMPATIENT = {
    "TOKENONE_GATEWAY__CONNECT_SECONDS": "2",
    "TOKENONE_GATEWAY__FIRST_BYTE_SECONDS": "2",
    "TOKENONE_GATEWAY__IDLE_SECONDS": "2",
    "TOKENONE_GATEWAY__BODY_MIB": "1",
    "TOKENONE_GATEWAY__DRAIN_SECONDS": "10",
}
SECRETS = {name: secret_of(front, "hostile" * 6) for name, front in FRONTS.items()}


@dataclass
class Attacked:
    """A house with every kind of place in it, and what tests ask of it."""

    gateway: str
    grounds: Grounds
    logbook: Logbook
    pid: int
    desk: Management
    counted: Counter[str] = field(default_factory=Counter)
    """What strangers did, by code: what the ledger must have counted at the end."""
    http: httpx2.Client = field(default_factory=caller)

    @property
    def rss_mib(self) -> float:
        return float(psutil.Process(self.pid).memory_info().rss) / (1 << 20)

    def route(self, origin: str, name: str, **tenant: object) -> Workplace:
        """Makes a tenant whose keys of both providers lead to one origin, and waits until the gateway knows."""
        made = self.desk.tenant(name, **tenant)
        place = self.desk.place(made, name, grants=["inference", "stateful"])
        for front, secret in SECRETS.items():
            endpoint = self.desk.endpoint(front, origin, tenant=made, base_path=f"/{front}")
            self.desk.assign(self.desk.key(made, front, endpoint, secret), "workload", place.workload)
        until(lambda: self._sees(place), f"the gateway to see {name}")
        return place

    def _sees(self, place: Workplace) -> bool:
        headers = {"authorization": f"Bearer {place.token}"}
        answer = self.http.get(f"{self.gateway}/tokenone/whoami", headers=headers)
        return answer.status_code == 200 and len(answer.json()["providers"]) >= len(SECRETS)

    def ask(self, front: Front, place: Workplace, **fields: Any) -> httpx2.Response:
        """Makes an ordinary call; `fields` are those of the front's body, `fault` the stand-in's."""
        headers = front.headers(place.token)
        if fault := fields.pop("fault", None):
            headers["x-standin-fault"] = fault
        return self.http.post(self.gateway + front.chat, headers=headers, content=front.body(**fields))

    def received(self, text: str) -> bool:
        """Says whether the stand-in got a call with a text."""
        return any(
            text.encode() in record.request.body for record in list(self.grounds.outside.standin.received)
        )

    def intents(self, place: Workplace) -> list[dict[str, Any]]:
        """Returns the intents of a place so far."""
        self.logbook.refresh()
        entries = self.logbook.entries
        return [
            fields for kind, fields in entries if kind == "intent" and fields["workload"] == place.workload
        ]

    def last_call(self, place: Workplace) -> str:
        """Returns the id of the last call that a place opened."""
        return str(self.intents(place)[-1]["call"])

    def outcome(self, answer: httpx2.Response) -> dict[str, Any]:
        """Returns the last entry of an answered call, once it is there."""
        return self.logbook.closed(answer.headers["x-tokenone-call"])[-1][1]

    def provoke(self, mishap: Mishap, front: str) -> httpx2.Response:
        """Makes a mishap happen, and remembers what the ledger must have counted of it."""
        place = self.grounds.places[mishap.place]
        for _ in range(mishap.times):
            answer = self.http.send(mishap.request(self.gateway, FRONTS[front], place))
        if mishap.recorded == "counted":
            self.counted[str(mishap.code)] += mishap.times
        return answer

    def healthy(self) -> bool:
        """Says whether the gateway serves, and an ordinary call of both fronts works."""
        if self.http.get(f"{self.gateway}/readyz").status_code != 200:
            return False
        place = self.grounds.places["good"]
        return all(self.ask(front, place).status_code == 200 for front in FRONTS.values())


def gateway_pid(installation: Installation) -> int:
    """The process id of the one worker."""
    return int(installation.desk().api("GET", "/status")["gateway"]["pid"])


def caught_up(installation: Installation, revision: int | None = None) -> None:
    """Returns once every worker knows what the database holds now (or a given revision)."""
    wanted = revision or int(installation.desk().api("GET", "/status")["revision"])
    control = ControlClient(installation.directory / "run")

    def everybody() -> bool:
        told = [asyncio.run(control.ask("status", slot=slot)) for slot in control.slots()]
        return bool(told) and all(one["revision"] >= wanted for one in told)

    until(everybody, f"every worker to know revision {wanted}")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory as `tokenone init` makes it; copied by whoever needs an installation of their own."""
    made = Installation(tmp_path_factory.mktemp("template") / "data")
    made.init()
    return made.directory


def copy_of(template: Path, folder: Path, **settings: str) -> Installation:
    """An installation on a copy of the template."""
    shutil.copytree(template, folder / "data")
    return Installation(folder / "data", settings=settings)


@pytest.fixture(scope="session")
def two_workers(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A running installation with two gateway workers."""
    installation = copy_of(template, tmp_path_factory.mktemp("two-workers"))
    installation.workers = 2
    installation.start()
    yield installation
    installation.stop()


@pytest.fixture(scope="session")
def attacked(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    """A real installation, real processes."""
    folder = tmp_path_factory.mktemp("attacked")
    installation = copy_of(template, folder, **IMPATIENT)
    with outside(folder) as world:
        installation.start()
        try:
            desk = installation.desk()
            grounds = lay_out(desk, world, SECRETS)
            installation.until_seen(grounds.places["untrusted"], providers=len(FRONTS))
            logbook = Logbook(installation.directory / "ledger")
            made = Attacked(installation.gateway, grounds, logbook, gateway_pid(installation), desk)
            until(made.healthy, "a healthy gateway")
            yield made
        finally:
            installation.stop()
        counted = logbook.counted()
        assert {code: counted[code] for code in made.counted} == made.counted, (
            "strangers are counted, each one"
        )
        assert logbook.unclosed() == [], "every intent has its outcome"


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[InProcess, Attacked]]:
    """The house in this process, on the same grounds."""
    folder = tmp_path_factory.mktemp("bench")
    with outside(folder) as world, InProcess(folder) as house:
        grounds = lay_out(house, world, SECRETS)
        logbook = Logbook(house.directory / "ledger")
        yield house, Attacked(house.gateway, grounds, logbook, psutil.Process().pid, house)
