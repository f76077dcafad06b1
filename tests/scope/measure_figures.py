"""Measures scope and route at a size beside the size of ten, in a process of its own; prints JSON.

CPU time; both sizes take turns, and the best of many runs counts, so that a busy machine disturbs both alike.
"""

from __future__ import annotations

import gc
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tokenone.clock import FrozenClock
from tokenone.keyed import Keyed
from tokenone.route.plan import Planner
from tokenone.rows import (
    Assignment,
    Delta,
    Endpoint,
    Key,
    KeyVersion,
    Project,
    Restrictions,
    Row,
    Tenant,
    Token,
    Workload,
)
from tokenone.scope import Directory, digest, identify, permit
from tokenone.scope.token import checksum
from tokenone.types import Headers, KeyState, PathClass, Provider
from tokenone.vault import life

PEPPER = Keyed(os.urandom(32))
CLOCK = FrozenClock()
NOW = CLOCK.now_us()
CALLERS = 1000
CALLS = 200


class Sized:
    """A directory of `size` keys, tokens, workloads and assignments, a hundred to a tenant."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.planner = Planner()
        self.requests: list[Headers] = []
        self.directory = Directory(_leasable, CLOCK)
        self.directory.apply(Delta(1, NOW, tuple(self._rows())))

    def _rows(self) -> Iterator[Row]:
        """Every row brings its own strings, as rows from a database do."""
        tenants = max(1, self.size // 100)
        yield Endpoint("ep", None, Provider.OPENAI, "openai", ("https://api.openai.com",))
        for number in range(tenants):
            yield Tenant(f"ten_{number:020}", f"tenant {number}")
            yield Project(f"prj_{number:020}", f"ten_{number:020}", "project")
        for number in range(self.size):
            yield from self._one(number, number % tenants)

    def _one(self, number: int, tenant: int) -> Iterator[Row]:
        owner, key, workload = f"ten_{tenant:020}", f"key_{number:020}", f"wl_{number:020}"
        yield Workload(workload, owner, f"prj_{tenant:020}", f"workload {number}", False, Restrictions())
        yield Key(key, f"ten_{tenant:020}", Provider.OPENAI, "ep", f"key number {number}")
        yield KeyVersion(
            f"key_{number:020}", 1, KeyState.ACTIVE, os.urandom(180), f"sk-…{number:06}", NOW, NOW
        )
        yield Assignment(f"asg_{number:020}", f"key_{number:020}", "workload", f"wl_{number:020}")
        body = f"to_live_{number:020}_" + "0" * 43
        text = f"{body}_{checksum(body)}"
        yield Token(f"tok_{number:020}", f"wl_{number:020}", digest(PEPPER, text), grants=("inference",))
        if number % max(1, self.size // CALLERS) == 0:
            usual = [(f"X-Stainless-{name}".encode(), b"value") for name in range(14)]
            self.requests.append([*usual, (b"Authorization", b"Bearer " + text.encode())])

    def decide(self) -> float:
        """Identifies, permits, finds the keys and plans for random callers; CPU µs per call."""
        chosen = random.choices(self.requests, k=CALLS)
        start = time.process_time()
        for headers in chosen:
            caller = identify(
                self.directory, PEPPER, headers=headers, target=b"/openai/v1/responses", peer="192.0.2.1",
                now_us=NOW,
            )  # fmt: skip
            permit(self.directory, caller, Provider.OPENAI, "gpt-5", PathClass.INFERENCE)
            candidates = self.directory.candidates(caller.scope, Provider.OPENAI, NOW, "live")
            self.planner.plan(candidates, seed=NOW)
        return (time.process_time() - start) / CALLS * 1e6

    def edit(self, revision: int) -> float:
        """Applies a delta of a key's version and its assignment; CPU ms."""
        number = random.randrange(self.size)
        version = KeyVersion(f"key_{number:020}", 1, KeyState.ACTIVE, b"e", "m", NOW)
        grant = Assignment(f"asg_{number:020}", f"key_{number:020}", "workload", f"wl_{number:020}", 50)
        delta = Delta(revision, NOW, (version, grant))
        start = time.process_time()
        self.directory.apply(delta)
        return (time.process_time() - start) * 1e3


def _leasable(key: Key, version: KeyVersion, now_us: int) -> bool:
    return life.leasable(life.state_at(key, version, now_us))


def _resident_mb() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS"))


def main(size: int) -> None:
    large = Sized(size)
    gc.collect()
    memory = _resident_mb()
    gc.freeze()
    small = Sized(10)
    edits = sorted(large.edit(2 + number) for number in range(200))
    turns = [(small.decide(), large.decide()) for _ in range(150)]
    figures = {
        "decide_us_at_10": round(min(one for one, _ in turns), 2),
        "decide_us": round(min(other for _, other in turns), 2),
        "edit_ms": round(edits[-4], 3),
        "rss_mb": memory,
    }
    print(json.dumps(figures))


main(int(sys.argv[1]))
