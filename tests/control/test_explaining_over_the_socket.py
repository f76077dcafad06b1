"""Explanations as a gateway gives them: its own directory, restrictions and prices; nobody is dialled."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.inprocess import InProcess
from tokenone.control.client import ControlClient
from tokenone.errors import CallerError, NotFound
from tokenone.rows import Route, RouteRule, Strategy, Target
from tokenone.types import Provider, new_id

CHEAP, DEAR = "gpt-4o-mini", "gpt-4o"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[InProcess]:
    with InProcess(tmp_path) as opened:
        yield opened


class Asked:
    """A tenant with a workload, an OpenAI key of the tenant, and a way to ask."""

    def __init__(self, bench: InProcess) -> None:
        self.bench = bench
        self.tenant = bench.tenant("acme")
        self.place = bench.place(self.tenant, "web")
        self.endpoint = bench.endpoint("openai", "https://nobody.example")
        self.key = bench.key(self.tenant, "openai", self.endpoint, "sk-proj-" + "a" * 40)
        bench.assign(self.key, "tenant", self.tenant)

    def explain(self, model: str, **more: Any) -> dict[str, Any]:
        client = ControlClient(self.bench.directory / "run")
        return asyncio.run(client.ask("route.explain", workload=self.place.workload, model=model, **more))

    def route(self, model: str, *rules: RouteRule) -> None:
        self.bench.apply(Route(new_id("rte"), self.tenant, "project", self.place.project, model, rules))


@pytest.fixture
def asked(bench: InProcess) -> Asked:
    return Asked(bench)


def test_a_name_without_a_route_is_explained_by_the_catalogue(asked: Asked) -> None:
    told = asked.explain(DEAR)
    assert (told["route"], told["rule"], told["refusal"], told["rules"]) == (None, None, None, [])
    (line,) = told["lines"]
    assert (line["order"], line["key"], line["model"], line["level"]) == (1, asked.key, DEAR, "tenant")
    assert line["price_nano"] > 0


def test_targets_are_compared_by_the_price_book_and_the_tenants_own_rates(asked: Asked) -> None:
    targets = (Target(Provider.OPENAI, DEAR), Target(Provider.OPENAI, CHEAP))
    asked.route("bulk", RouteRule(targets, strategy=Strategy.CHEAPEST))
    assert [line["model"] for line in asked.explain("bulk")["lines"]] == [CHEAP, DEAR]
    rates = [{"provider": "openai", "model": DEAR, "input": 0, "output": 0}]
    asked.bench.api("PATCH", f"/tenants/{asked.tenant}", {"rates": rates})
    told = asked.explain("bulk")
    assert [line["model"] for line in told["lines"]] == [DEAR, CHEAP]
    assert told["lines"][0]["price_nano"] == 0


def test_a_key_that_may_not_be_used_is_shown_with_the_reason(asked: Asked) -> None:
    asked.bench.api("POST", f"/keys/{asked.key}/suspend")
    told = asked.explain(DEAR)
    assert told["refusal"] is not None
    assert [(line["key"], line["order"]) for line in told["lines"]][-1] == (asked.key, None)
    assert "no version of the key may be leased now" in [line["why"] for line in told["lines"]]


def test_restrictions_stand_above_every_route(asked: Asked) -> None:
    asked.route("fast", RouteRule((Target(Provider.OPENAI, DEAR),)))
    assert asked.explain("fast")["refusal"] is None
    asked.bench.api("PATCH", f"/workloads/{asked.place.workload}", {"restrictions": {"models": ["gpt-5*"]}})
    told = asked.explain("fast")
    assert "restrictions" in told["refusal"]
    assert told["rules"][0]["verdict"] == "decides"


def test_a_bench_shows_in_the_explanation(asked: Asked) -> None:
    health, now_us = asked.bench.house.health, asked.bench.house.clock.now_us()
    asked.bench.do(lambda: health.bench(asked.key, 1, now_us))
    told = asked.explain(DEAR)
    assert told["lines"][0]["order"] == 1
    assert "nothing else is there" in told["lines"][0]["why"]


def test_nothing_is_recorded_and_nothing_changes(asked: Asked) -> None:
    before = asked.bench.entries()
    for _ in range(3):
        asked.explain("whatever", provider="openai", stream=True, needs=["tools"], session="s", body_bytes=5)
    assert asked.bench.entries() == before


def test_a_question_that_is_none_is_refused(asked: Asked) -> None:
    with pytest.raises(NotFound):
        asyncio.run(
            ControlClient(asked.bench.directory / "run").ask("route.explain", workload="wkl_no", model="m")
        )
    for wrong in ({"needs": ["sight"]}, {"provider": "nobody"}, {"body_bytes": "5"}, {"surplus": 1}):
        with pytest.raises(CallerError):
            asked.explain("m", **wrong)
