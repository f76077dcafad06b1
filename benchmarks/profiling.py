"""Names the functions that the gateway's CPU time goes to, from the samples of sampler/sitecustomize.py.

Law: the time of C code counts for the Python function that called it; shares are of all samples taken.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import msgspec

from benchmarks.processes import ROOT
from benchmarks.results import HotSpot

_SAMPLER = Path(__file__).parent / "sampler"


class Samples(msgspec.Struct, frozen=True):
    """How often each `file:line:function` was running, and was running or waiting for a callee."""

    own: dict[str, int]
    total: dict[str, int]


def sampler_environment(samples: Path) -> dict[str, str]:
    """Returns what a process must find in its environment to be sampled."""
    before = os.environ.get("PYTHONPATH")
    path = os.pathsep.join(filter(None, (str(_SAMPLER), before)))
    return {"PYTHONPATH": path, "BENCHMARK_SAMPLES": str(samples)}


def hot_spots(samples: Path, *, top: int = 20) -> list[HotSpot]:
    """Reads the busiest process's samples and returns the `top` functions by own time."""
    taken = [msgspec.json.decode(path.read_bytes(), type=Samples) for path in sorted(samples.glob("*.json"))]
    if not taken:
        return []
    return rank(max(taken, key=lambda each: sum(each.own.values())), top)


def rank(samples: Samples, top: int) -> list[HotSpot]:
    """Returns the functions with the most samples of their own, with shares in percent."""
    own, total = _by_function(samples.own), _by_function(samples.total)
    all_samples = sum(own.values())
    return [
        HotSpot(name, 100 * count / all_samples, 100 * total[name] / all_samples)
        for name, count in own.most_common(top)
    ]


def _by_function(counts: Mapping[str, int]) -> Counter[str]:
    merged: Counter[str] = Counter()
    for spot, count in counts.items():
        merged[readable(spot)] += count
    return merged


def readable(spot: str) -> str:
    """Shortens `file:line:function` to the part of the path that tells, without the machine's directories."""
    file, _, function = spot.rsplit(":", 2)
    for mark in ("/site-packages/", "/lib/python3", f"{ROOT}/src/", f"{ROOT}/"):
        _, found, rest = file.partition(mark)
        if found:
            file = rest.partition("/")[2] if mark == "/lib/python3" else rest
            break
    return f"{file} {function}"
