"""The load process: reads one plan as JSON from stdin, runs it, writes what came of it as JSON to stdout.

Its arguments are the cores to stay on. Law: a process of its own, so that its work is on nobody's bill; no
garbage collection while it measures.
"""

from __future__ import annotations

import gc
import os
import sys

import msgspec
import uvloop

from benchmarks import closedload, openload, streamload
from benchmarks.plans import ClosedLoad, OpenLoad, Outcome, Plan


async def _run(plan: Plan) -> Outcome:
    if isinstance(plan, OpenLoad):
        return await openload.run(plan)
    if isinstance(plan, ClosedLoad):
        return await closedload.run(plan)
    return await streamload.run(plan)


def main() -> None:
    os.sched_setaffinity(0, {int(core) for core in sys.argv[1:]} or os.sched_getaffinity(0))
    plan: Plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    gc.freeze()
    gc.disable()
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_run(plan))))


if __name__ == "__main__":
    main()
