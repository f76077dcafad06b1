"""Which rule decides, by the vectors; half of them are names, conditions and demands that lead nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from route.worlds import World, candidate, endpoint
from tokenone.route import Demand, Refusal
from tokenone.rows import Capability, Route
from tokenone.types import Provider

CASES = msgspec.json.decode(Path("vectors/routes.json").read_bytes())["cases"]
KEYS = [["ko", "openai"], ["ka", "anthropic"], ["kz", "azure"]]


def world_of(case: dict[str, Any]) -> World:
    keys = [candidate(key, endpoint(f"ep_{name}", Provider(name))) for key, name in case.get("keys", KEYS)]
    levels = [
        tuple(
            msgspec.convert(
                {"id": f"rte_{n}{m}", "tenant": "t", "kind": "tenant", "scope": "t", **row}, Route
            )
            for m, row in enumerate(rows)
        )
        for n, rows in enumerate(case["levels"])
    ]
    return World(keys, *levels)


def ask_of(case: dict[str, Any]) -> dict[str, Any]:
    ask = dict(case.get("ask", {}))
    if "needs" in ask:
        ask["needs"] = frozenset(map(Capability, ask["needs"]))
    if "native" in ask:
        ask["native"] = Provider(ask["native"])
    if "demand" in ask:
        ask["demand"] = Demand(frozenset(ask["demand"]))
    return ask


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["why"])
def test_a_call_goes_where_the_vectors_say(case: dict[str, Any]) -> None:
    routed = world_of(case).plan(case["model"], **ask_of(case))
    assert [f"{leg.provider.value}/{leg.model}" for leg in routed.legs] == case.get("leads_to", [])
    assert routed.refusal == (Refusal[case["refusal"]] if "refusal" in case else None)


def test_half_of_the_vectors_are_bad() -> None:
    assert 2 * sum("refusal" in case for case in CASES) >= len(CASES)
