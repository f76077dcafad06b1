"""Law of the restart: replacing workers under load shows no caller an error, and nobody's stream is cut."""

from __future__ import annotations

import os
import signal
from functools import partial

import httpx2
import psutil
import pytest

from kit.battered import Battered
from kit.gate import Gate
from kit.installation import Installation
from kit.load import Load, failures
from kit.log import assert_every_intent_has_one_outcome, assert_verified, read_log
from kit.processes import SECONDS, family, full_house, gone, gone_pid
from kit.routes import Route
from kit.slowcall import slow_call
from kit.until import until
from tokenone.testing.desk import Refused


@pytest.fixture
def house(alone: Battered) -> Installation:
    return alone.whole().house


@pytest.fixture
def route(alone: Battered) -> Route:
    return alone.plain


@pytest.fixture
def slow(alone: Battered) -> Route:
    return alone.slow


@pytest.fixture
def gate(alone: Battered) -> Gate:
    return alone.gate


def supervisor(house: Installation) -> psutil.Process:
    assert house.process is not None
    return psutil.Process(house.process.pid)


def replace_worker(house: Installation) -> int:
    """Sends SIGHUP; returns the old worker's process id once a successor serves."""
    (old,) = full_house(house)
    supervisor(house).send_signal(signal.SIGHUP)
    full_house(house, without=old)
    return old


def test_replacing_the_worker_under_load_shows_no_caller_an_error(house: Installation, route: Route) -> None:
    unknown = read_log(house).causes()["unknown"]
    load = Load(house.gateway, route.place, name="hup", clients=4, think=0.005).start()
    load.wait_whole(4)
    for _ in range(3):
        old = replace_worker(house)
        load.wait_whole(8)
        until(partial(gone_pid, old), "the old worker's end", SECONDS)
    spoken = load.stop()
    assert failures(spoken) == []
    log = read_log(house)
    assert log.causes()["unknown"] == unknown
    assert_every_intent_has_one_outcome(log)
    print(f"\n3 workers replaced under load: {len(spoken)} calls, 0 errors")


def test_a_stream_goes_on_while_its_worker_is_replaced(house: Installation, slow: Route, gate: Gate) -> None:
    with slow_call(house, slow.place) as running:
        gate.let()
        running.read_event()
        old = replace_worker(house)
        assert house.http.get(f"{house.gateway}/readyz").status_code == 200
        gate.let()
        running.read_event()
        assert not gone_pid(old)
        gate.finish()
        running.read_on()
    assert running.whole
    until(lambda: gone_pid(old), "the old worker's end", SECONDS)
    told = house.told(slow.place, running.call)
    assert told["attempts"][0]["cause"] == "complete"


def test_the_end_of_console_and_jobs_disturbs_no_call_and_they_come_back(
    house: Installation, route: Route
) -> None:
    load = Load(house.gateway, route.place, name="side", clients=2).start()
    load.wait_whole(2)
    for process in family(house)[1:]:
        if any(name in process.cmdline() for name in ("tokenone.assemble.console", "tokenone.assemble.jobs")):
            process.kill()
    load.wait_whole(4)
    call = [one for one in load.stop() if one.whole][-1].call
    assert failures(load.spoken) == []
    until(lambda: console_knows(house, str(call)), "console and jobs come back", SECONDS)


def console_knows(house: Installation, call: str) -> bool:
    """The console answers, and the jobs process has shipped the call."""
    try:
        house.desk().api("GET", f"/calls/{call}")
    except (Refused, httpx2.HTTPError):
        return False
    return True


def test_a_killed_supervisor_leaves_nobody_behind_and_cuts_no_stream(
    house: Installation, route: Route, slow: Route, gate: Gate
) -> None:
    orphans = family(house)[1:]
    with slow_call(house, slow.place) as running:
        gate.let()
        running.read_event()
        os.kill(supervisor(house).pid, signal.SIGKILL)
        assert house.process is not None
        house.process.wait(10)
        house.start()  # on the same ports, while the old worker still has a stream
        load = Load(house.gateway, route.place, name="heir", clients=2).start()
        load.wait_whole(2)
        assert failures(load.stop()) == []
        gate.finish()
        running.read_on()
    assert running.whole
    until(lambda: all(gone(process) for process in orphans), "the end of the orphans", SECONDS)
    assert_verified(house)


def test_sigterm_lets_streams_end_and_leaves_nothing_open(
    house: Installation, slow: Route, gate: Gate
) -> None:
    everyone = family(house)
    unknown = read_log(house).causes()["unknown"]
    with slow_call(house, slow.place) as running:
        gate.let()
        running.read_event()
        supervisor(house).terminate()
        until(lambda: refuses_connections(house), "the door is shut", SECONDS)
        assert not gone(everyone[0])
        gate.let()
        running.read_event()
        gate.finish()
        running.read_on()
    assert running.whole
    assert house.process is not None
    assert house.process.wait(SECONDS) == 0
    until(lambda: all(gone(process) for process in everyone), "the end of all", SECONDS)
    log = read_log(house)
    assert_every_intent_has_one_outcome(log)
    assert log.causes()["unknown"] == unknown
    (outcome,) = log.outcomes[running.call, 1]
    assert outcome.fields["cause"] == "complete"
    assert_verified(house)


def refuses_connections(house: Installation) -> bool:
    try:
        httpx2.get(f"{house.gateway}/livez", trust_env=False, timeout=1)
    except httpx2.ConnectError:
        return True
    except httpx2.HTTPError:
        return False
    return False


def test_a_stream_that_outlasts_its_drain_is_told_so_and_gets_its_outcome(
    alone: Battered, slow: Route, gate: Gate
) -> None:
    house = alone.house
    house.stop()
    house.settings["TOKENONE_GATEWAY__DRAIN_SECONDS"] = "1"
    house.start()
    del house.settings["TOKENONE_GATEWAY__DRAIN_SECONDS"]
    with slow_call(house, slow.place) as running:
        gate.let()
        running.read_event()
        supervisor(house).terminate()
        text = running.read_on()
    assert not running.whole
    assert b'"code":"stopped"' in text
    assert house.process is not None
    assert house.process.wait(SECONDS) == 0
    log = read_log(house)
    assert_every_intent_has_one_outcome(log)
    (outcome,) = log.outcomes[running.call, 1]
    assert outcome.fields["cause"] == "stopped"
    assert outcome.fields["usage"]["estimated"]
