"""The whole installation on PostgreSQL, with two gateway workers: the same laws, nothing in files but the ledger."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from kit.installation import Installation
from kit.postgres import server_of
from kit.routes import Route, route_to
from tokenone.testing.desk import Refused
from tokenone.testing.standin import StandIn, ThreadedListener

EFFECTIVE_SECONDS = 2.0
SHIPPED_SECONDS = 20.0
REDIALS = 64
QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}


@dataclass(frozen=True)
class Line:
    """A way to one worker: a connection stays with whoever took it, so dial until it is the right one."""

    installation: Installation
    slot: int
    http: list[httpx2.Client] = field(default_factory=list)

    def call(self, token: str) -> httpx2.Response:
        """Asks the worker for a completion; it closes the connection where it does not read the body."""
        headers = {"authorization": f"Bearer {token}"}
        for _ in range(REDIALS):
            answer = self._client().post("/openai/v1/chat/completions", headers=headers, json=QUESTION)
            if slot_of(answer) == self.slot:
                return answer
            self.close()
        raise AssertionError(f"worker {self.slot} takes no connections")

    def get(self, path: str, token: str) -> httpx2.Response:
        """Asks for a page of the worker that the last call reached."""
        return self._client().get(path, headers={"authorization": f"Bearer {token}"})

    def _client(self) -> httpx2.Client:
        if not self.http:
            url = self.installation.gateway
            self.http.append(httpx2.Client(base_url=url, trust_env=False, timeout=30))
        return self.http[0]

    def close(self) -> None:
        while self.http:
            self.http.pop().close()


def slot_of(answer: httpx2.Response) -> int:
    """Reads the worker's slot from a call's id."""
    return int(answer.headers["x-tokenone-call"].removeprefix("call").partition("_")[0])


@dataclass(frozen=True)
class House:
    """The installation, a workload in it, and a connection to each worker."""

    installation: Installation
    route: Route
    lines: tuple[Line, ...]
    delays: dict[str, float] = field(default_factory=dict)

    def effective(self, what: str, act: Callable[[], object], seen: Callable[[Line], bool]) -> None:
        """Does something and waits until every worker acts on it; notes how long the slower one took."""
        act()
        began = time.monotonic()
        waiting = list(self.lines)
        while waiting:
            assert time.monotonic() - began < EFFECTIVE_SECONDS, f"{what}: not effective in time"
            waiting = [line for line in waiting if not seen(line)]
        self.delays[what] = time.monotonic() - began


@pytest.fixture(scope="module")
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    url = server_of(request).new_database()
    installation = Installation(
        tmp_path_factory.mktemp("postgresql") / "data",
        workers=2,
        settings={"TOKENONE_DATABASE__URL": url, "TOKENONE_DATABASE__INDEX_URL": url},
    )
    try:
        installation.init()
        installation.start()
        with ThreadedListener(StandIn()) as upstream:
            route = route_to(installation, "on PostgreSQL", upstream.origin)
            installation.until_current()
            made = House(installation, route, (Line(installation, 0), Line(installation, 1)))
            yield made
            for line in made.lines:
                line.close()
        for what, seconds in made.delays.items():
            print(f"PostgreSQL, 2 workers: {what} effective after {seconds * 1000:.0f} ms")
    finally:
        installation.stop()


def test_both_workers_serve(house: House) -> None:
    assert {line.call(house.route.place.token).status_code for line in house.lines} == {200}


def test_everything_but_keys_and_ledger_is_in_the_database(house: House) -> None:
    assert not list(house.installation.directory.glob("*.db*"))


def test_an_edit_is_effective_on_both_workers_within_two_seconds(house: House) -> None:
    desk, place = house.installation.desk(), house.route.place
    token = desk.token(place.workload)
    text, row = token["text"], token["id"]
    house.effective("a new token", lambda: None, lambda line: line.call(text).status_code == 200)
    models = {"restrictions": {"models": ["gpt-5"]}}
    house.effective(
        "a restriction",
        lambda: desk.api("PATCH", f"/workloads/{place.workload}", models),
        lambda line: code_of(line.call(text)) == "model_not_allowed",
    )
    house.effective(
        "lifting it",
        lambda: desk.api("PATCH", f"/workloads/{place.workload}", {"restrictions": {}}),
        lambda line: line.call(text).status_code == 200,
    )
    (key,) = desk.api("GET", f"/keys?tenant={place.tenant}&provider=openai")["items"]
    house.effective(
        "a suspended key",
        lambda: desk.api("POST", f"/keys/{key['id']}/suspend"),
        lambda line: code_of(line.call(text)) == "key_not_usable",
    )
    house.effective(
        "a resumed key",
        lambda: desk.api("POST", f"/keys/{key['id']}/resume"),
        lambda line: line.call(text).status_code == 200,
    )
    house.effective(
        "a revoked token",
        lambda: desk.api("POST", f"/tokens/{row}/revoke"),
        lambda line: code_of(line.call(text)) == "token_revoked",
    )
    assert len(house.delays) == 6


def code_of(answer: httpx2.Response) -> str | None:
    return answer.headers.get("x-tokenone-error")


def test_a_call_is_told_by_whichever_worker_is_asked(house: House) -> None:
    token = house.route.place.token
    calls = {line.slot: line.call(token).headers["x-tokenone-call"] for line in house.lines}
    for line in house.lines:
        for call in calls.values():
            told = line.get(f"/tokenone/calls/{call}", token)
            assert told.status_code == 200
            assert told.json()["state"] == "closed"


def test_both_ledgers_are_shipped_and_costs_add_up(house: House) -> None:
    desk, place = house.installation.desk(), house.route.place
    made = {house.lines[slot].call(place.token).headers["x-tokenone-call"]: slot for slot in (0, 1)}
    shown = {call: shipped(house, call) for call in made}
    for call, row in shown.items():
        assert row["outcome"] == "ok"
        assert {attempt["slot"] for attempt in row["attempts"]} == {made[call]}
    listed = desk.api("GET", f"/calls?workload={place.workload}&limit=200")
    assert listed["next"] is None
    paid = [row for row in listed["items"] if row["outcome"] == "ok"]
    (costs,) = desk.api("GET", f"/costs?group_by=workload&tenant={place.tenant}")["items"]
    assert costs["workload"] == place.workload
    assert costs["cost_nano"] == sum(row["cost_nano"] for row in paid) > 0
    assert costs["calls"] == len(listed["items"]) - refused(listed["items"])


def refused(rows: list[dict[str, Any]]) -> int:
    return sum(row["outcome"] == "refused" for row in rows)


def shipped(house: House, call: str) -> dict[str, Any]:
    """Returns a call from the index, once it is there with its outcome."""
    desk = house.installation.desk()
    deadline = time.monotonic() + SHIPPED_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(Refused):
            row: dict[str, Any] = desk.api("GET", f"/calls/{call}")
            if row["outcome"] != "open":
                return row
    raise AssertionError(f"{call} was not shipped")


def test_the_trail_and_the_ledger_hold(house: House) -> None:
    actions = {event["action"] for event in house.installation.desk().api("GET", "/audit?limit=200")["items"]}
    assert {"session.open", "tenant.create", "key.take-in", "assignment.create", "token.create"} <= actions
    verified = house.installation.command("ledger", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_the_installation_starts_again_on_the_same_database(house: House) -> None:
    house.installation.stop()
    house.installation.start()
    headers = {"authorization": f"Bearer {house.route.place.token}"}
    url = f"{house.installation.gateway}/openai/v1/chat/completions"
    answer = httpx2.post(url, headers=headers, json=QUESTION, trust_env=False, timeout=30)
    assert answer.status_code == 200
    assert (
        house.installation.desk().api("GET", f"/tenants/{house.route.place.tenant}")["name"]
        == "on PostgreSQL"
    )


def test_a_wrong_database_is_refused_in_one_sentence(house: House, tmp_path: Path) -> None:
    gone = f"postgresql://postgres@/nothing-here?host={tmp_path}"
    other = Installation(tmp_path / "data", settings={"TOKENONE_DATABASE__URL": gone})
    ended = other.command("init", "--admin", "admin", "--password-stdin", stdin="a password of some length\n")
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("tokenone init: the database does not answer")
    assert "correct its URL" in last
