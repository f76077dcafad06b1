"""Law of the crash: kill -9 at random moments under load loses nothing that anybody was told.

The same installation is killed again and again: a worker that serves, a worker that is just starting, or all
processes at once as a power cut does. The supervisor starts workers again by itself.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable

import pytest

from kit.battered import Battered
from kit.installation import Installation
from kit.load import Load, Spoken, failures
from kit.log import (
    Log,
    assert_every_intent_has_one_outcome,
    assert_nothing_sent_unrecorded,
    assert_nothing_told_is_lost,
    assert_verified,
    read_log,
)
from kit.processes import SECONDS, full_house, workers
from kit.until import until

SEED = 9_2_2027
CLIENTS = 3
THINK = 0.01


class Killer:
    """Kills in one of three ways and waits until the house is whole again.

    A worker that serves is killed no sooner than one kill after its start: the supervisor makes those wait who
    die young, and `starting` shows that.
    """

    def __init__(self, victim: Installation, load: Load, chance: random.Random) -> None:
        self.victim = victim
        self.load = load
        self.chance = chance
        self.back_after: list[float] = []
        self.alive = full_house(victim)

    def ways(self, kills: int) -> list[Callable[[list[int]], int]]:
        """Of twenty kills, fifteen of a worker that serves, three of one that starts, two of everything."""
        everything, starting = kills // 10, kills * 3 // 20
        ways = [self.everything] * everything + [self.starting] * starting
        ways += [self.serving] * (kills - len(ways))
        self.chance.shuffle(ways)
        return ways

    def once(self, way: Callable[[list[int]], int]) -> None:
        self.load.wait(self.chance.randrange(1, 100))
        struck = time.monotonic()
        killed = way(self.alive)
        before, self.alive = self.alive, full_house(self.victim, without=killed)
        self.alive.sort(key=lambda pid: pid not in before)
        self.back_after.append(time.monotonic() - struck)

    def serving(self, alive: list[int]) -> int:
        pid = alive[0]
        os.kill(pid, signal.SIGKILL)
        return pid

    def starting(self, alive: list[int]) -> int:
        """The successor of a killed worker dies, too, at some moment of its start."""
        killed = self.serving(alive)
        successor = until(
            lambda: [pid for pid in workers(self.victim) if pid not in alive], "a successor", SECONDS
        )[0]
        self.load.wait(self.chance.randrange(1, 60))
        os.kill(successor, signal.SIGKILL)
        return killed

    def everything(self, alive: list[int]) -> int:
        self.victim.kill()
        self.victim.start()
        return alive[0]


def campaign(pair: Battered, *, kills: int, seed: int) -> None:
    """Kills under load, then holds the segments against what clients and provider know."""
    victim = pair.whole().house
    place = pair.plain.place
    before = len(pair.upstream.standin.received)
    load = Load(victim.gateway, place, name=f"k{seed}", clients=CLIENTS, think=THINK, seed=seed).start()
    killer = Killer(victim, load, random.Random(seed))
    began = time.monotonic()
    for way in killer.ways(kills):
        killer.once(way)
    load.wait_whole(CLIENTS)
    spoken = load.stop()
    took = time.monotonic() - began
    assert_the_law(pair, spoken, kills, before)
    slowest, middle = max(killer.back_after), sorted(killer.back_after)[kills // 2]
    print(
        f"\n{kills} kills in {took:.1f} s, seed {seed}: {len(spoken)} calls, {len(failures(spoken))} cut;"
        f" whole again after {middle:.2f} s (middle), {slowest:.2f} s (slowest)"
    )


def assert_the_law(pair: Battered, spoken: list[Spoken], kills: int, before: int) -> None:
    """Requests before this campaign do not count: others damaged the segments that recorded them."""
    log = until(lambda: closed_log(pair.house), "an outcome of every intent", SECONDS)
    assert_every_intent_has_one_outcome(log)
    assert_nothing_told_is_lost(pair.house, log, spoken)
    bodies = [received.request.body for received in tuple(pair.upstream.standin.received)[before:]]
    assert_nothing_sent_unrecorded(pair.house, log, pair.plain.place.tenant, bodies)
    assert_verified(pair.house, spoken)
    marks = log.marks()
    assert max(marks[one.mark] for one in spoken) == 1, "a call was sent twice"
    whole = [one for one in spoken if one.whole]
    assert len(whole) > kills
    assert len(log.kinds("boot")) >= kills
    told = sum(one.told.get("state") == "closed" for one in spoken)
    unknown = log.causes()["unknown"]
    assert told > 0
    assert unknown <= (CLIENTS + 1) * 2 * kills
    print(
        f"\n{len(bodies)} requests upstream, {len(log.intents)} intents, {told} told, {unknown} unknown",
        end="",
    )


def closed_log(victim: Installation) -> Log | None:
    log = read_log(victim)
    return log if all(log.outcomes.get(pair) for pair in log.intents) else None


def test_twenty_kills_lose_nothing(pair: Battered) -> None:
    campaign(pair, kills=20, seed=SEED)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_two_hundred_kills_lose_nothing(pair: Battered) -> None:
    campaign(pair, kills=200, seed=SEED + 1)


def test_a_call_acknowledged_before_a_kill_can_be_asked_for_after_it(pair: Battered) -> None:
    victim, place = pair.whole().house, pair.plain.place
    load = Load(victim.gateway, place, name="asked", clients=2).start()
    load.wait_whole(4)
    spoken = [one for one in load.stop() if one.whole]
    before = {str(one.call): victim.told(place, str(one.call)) for one in spoken}
    victim.kill()
    victim.start()
    for call, told in before.items():
        after = victim.told(place, call)
        assert {**after, "receipt": None} == {**told, "receipt": None}
