"""The supervisor alone, with children that do what a test says: who is started again, when, and who is not."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kit.processes import gone_pid
from kit.shared import ROOT
from kit.until import until
from tokenone import supervise
from tokenone.errors import ConfigRefused, OperatorError
from tokenone.supervise import REFUSED, Role, Supervisor, listen

pytestmark = pytest.mark.anyio


class Watched:
    """A supervisor with what it said."""

    def __init__(self, drain_seconds: float = 5.0) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
        self.said: list[str] = []
        self.supervisor = Supervisor(
            environment=environment, say=self.said.append, drain_seconds=drain_seconds
        )

    async def __aenter__(self) -> Watched:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.supervisor.stop()

    def pid(self, name: str) -> int:
        return self.supervisor.children()[name]


def role(name: str, **spec: Any) -> Role:
    return Role(name, "kit.child", json.dumps(spec).encode())


async def eventually(look: Callable[[], Any]) -> Any:
    """Looks on another thread, so that the supervisor goes on."""
    return await asyncio.to_thread(until, look, "the supervisor", 20)


async def test_a_child_that_is_killed_is_started_again_and_the_others_stay() -> None:
    async with Watched() as watched:
        one, other = role("one", ready=True), role("other", ready=True)
        await asyncio.gather(watched.supervisor.start(one), watched.supervisor.start(other))
        before, stays = watched.pid("one"), watched.pid("other")
        os.kill(before, signal.SIGKILL)
        await eventually(lambda: watched.pid("one") != before)
        assert watched.pid("other") == stays
        assert watched.said == ["one ended with -9; starting again in 0.2 s"]


async def test_who_dies_young_waits_longer_each_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(supervise, "FIRST_PAUSE", 0.1)
    monkeypatch.setattr(supervise, "LONGEST_PAUSE", 0.3)
    note = tmp_path / "note"
    async with Watched() as watched:
        starting = asyncio.create_task(watched.supervisor.start(role("sick", code=3, note=str(note))))
        await eventually(lambda: len(watched.said) >= 4)
        assert not starting.done(), "it was never ready, so nobody says that it is"
        starting.cancel()
    assert [line.split()[-2] for line in watched.said[:4]] == ["0.1", "0.2", "0.3", "0.3"]
    assert len(note.read_text().splitlines()) >= 4


async def test_who_refuses_for_good_ends_the_start_and_is_not_tried_again(tmp_path: Path) -> None:
    note = tmp_path / "note"
    async with Watched() as watched:
        with pytest.raises(OperatorError, match="wrong refused; it says why above"):
            await watched.supervisor.start(role("wrong", code=REFUSED, note=str(note)))
    assert len(note.read_text().splitlines()) == 1


async def test_a_successor_takes_over_only_when_it_is_ready(tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    async with Watched() as watched:
        slow = role("worker", ready=True, hold=str(hold))
        hold.touch()
        await watched.supervisor.start(slow)
        old = watched.pid("worker")
        hold.unlink()
        replacing = asyncio.create_task(watched.supervisor.replace(slow))
        await asyncio.sleep(0)
        assert watched.pid("worker") == old
        hold.touch()
        assert await replacing
        assert watched.pid("worker") != old
        await eventually(lambda: gone_pid(old))
        assert watched.said == []


async def test_a_successor_that_fails_leaves_the_old_one_in_place() -> None:
    async with Watched() as watched:
        await watched.supervisor.start(role("worker", ready=True))
        old = watched.pid("worker")
        assert not await watched.supervisor.replace(role("worker", code=1))
        assert watched.pid("worker") == old
        assert not gone_pid(old)


async def test_who_crashes_while_it_is_replaced_is_not_started_beside_its_successor(tmp_path: Path) -> None:
    hold, note = tmp_path / "hold", tmp_path / "note"
    async with Watched() as watched:
        slow = role("worker", ready=True, hold=str(hold), note=str(note))
        hold.touch()
        await watched.supervisor.start(slow)
        old = watched.pid("worker")
        hold.unlink()
        replacing = asyncio.create_task(watched.supervisor.replace(slow))
        await eventually(lambda: len(note.read_text().splitlines()) == 2)
        os.kill(old, signal.SIGKILL)
        await eventually(lambda: gone_pid(old))
        hold.touch()
        assert await replacing
        started = [int(line) for line in note.read_text().splitlines()]
        assert started == [old, watched.pid("worker")]


async def test_who_does_not_drain_in_time_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "GRACE_SECONDS", 0.1)
    async with Watched(drain_seconds=0.1) as watched:
        await watched.supervisor.start(role("stubborn", ready=True, stubborn=True))
        pid = watched.pid("stubborn")
    assert gone_pid(pid)
    assert watched.said == [f"process {pid} did not end in time; killed"]


async def test_who_never_gets_ready_is_killed_and_started_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(supervise, "READY_SECONDS", 0.3)
    hold = tmp_path / "hold"
    async with Watched() as watched:
        starting = asyncio.create_task(watched.supervisor.start(role("hanging", ready=True, hold=str(hold))))
        await eventually(lambda: any("did not get ready" in line for line in watched.said))
        hold.touch()
        await starting


async def test_a_stop_during_a_start_ends_it(tmp_path: Path) -> None:
    note = tmp_path / "note"
    watched = Watched()
    spec = role("slow", ready=True, hold=str(tmp_path / "never"), note=str(note))
    starting = asyncio.create_task(watched.supervisor.start(spec))
    await eventually(note.exists)
    pid = int((await eventually(note.read_text)).splitlines()[0])
    await watched.supervisor.stop()
    assert gone_pid(pid)
    starting.cancel()


async def test_an_address_that_is_none_is_refused_in_a_sentence() -> None:
    for address in ("127.0.0.1:notaport", "127.0.0.1:99999", "256.0.0.1:80"):
        with pytest.raises(ConfigRefused, match="cannot listen on"):
            listen(address)
