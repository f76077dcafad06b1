"""Cohere at the gateway: rankings are priced by the tenant's rate alone, JSON lines are metered, a probe that says
no with a 200 is a no."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from kit.fronts import caller
from kit.inprocess import InProcess
from kit.logbook import Logbook
from kit.scripted import Scripted, answer
from tokenone.call.probe import probe
from tokenone.testing.desk import Workplace

KEY = "Q7" * 20
LAST = b"connection: close"
RANKED = {"results": [{"index": 0, "relevance_score": 0.9}], "meta": {"billed_units": {"search_units": 2}}}
SAID = [
    {"is_finished": False, "event_type": "text-generation", "text": "hello"},
    {
        "is_finished": True,
        "event_type": "stream-end",
        "finish_reason": "COMPLETE",
        "response": {"text": "hello", "meta": {"billed_units": {"input_tokens": 1000, "output_tokens": 100}}},
    },
]


@dataclass
class Site:
    """A house, Cohere as a test scripts it, and a place with a key of it."""

    house: InProcess
    http: httpx2.Client
    cohere: Scripted
    place: Workplace
    key: str
    logbook: Logbook

    def ask(self, path: str, **body: Any) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self.place.token}", "content-type": "application/json"}
        return self.http.post(self.house.gateway + path, headers=headers, content=json.dumps(body).encode())

    def outcome(self, got: httpx2.Response) -> dict[str, Any]:
        kind, fields = self.logbook.closed(got.headers["x-tokenone-call"])[-1]
        assert kind == "outcome"
        return fields


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with (
        Scripted(lambda _: answer(json.dumps(RANKED).encode(), LAST)) as cohere,
        caller() as http,
        InProcess(tmp_path) as house,
    ):
        place = house.place(house.tenant("site"), "site")
        row = house.endpoint("cohere", cohere.origin, tenant=place.tenant)
        key = house.key(place.tenant, "cohere", row, KEY)
        house.assign(key, "workload", place.workload)
        yield Site(house, http, cohere, place, key, Logbook(tmp_path / "ledger"))
        assert house.defects == []


def test_a_ranking_is_unpriced_until_the_tenant_says_what_a_search_costs(site: Site) -> None:
    asked = {"model": "rerank-v3.5", "query": "q", "documents": ["d"]}
    got = site.ask("/cohere/v2/rerank", **asked)
    assert (got.status_code, got.json(), got.headers["x-tokenone-cost"]) == (200, RANKED, "unpriced")
    assert b"authorization: Bearer " + KEY.encode() in site.cohere.heard[-1]
    outcome = site.outcome(got)
    assert outcome["usage"] == {"server_tools": {"search_units": 2}}
    assert outcome["cost"]["source"] == "unpriced"
    rate = {"provider": "cohere", "model": "rerank-*", "search_units": 2_000_000_000_000}
    site.house.api("PATCH", f"/tenants/{site.place.tenant}", {"rates": [rate]})
    got = site.ask("/cohere/v2/rerank", **asked)
    assert got.headers["x-tokenone-cost"] == "0.004000"
    assert site.outcome(got)["cost"]["source"] == "tenant-rate"


def test_the_first_versions_lines_pass_as_they_come_and_are_priced(site: Site) -> None:
    lines = b"".join(json.dumps(one).encode() + b"\n" for one in SAID)
    site.cohere.script = lambda _: answer(lines, LAST, kind=b"application/stream+json")
    got = site.ask("/cohere/v1/chat", model="command-r", message="Hello?", stream=True)
    assert (got.status_code, got.content) == (200, lines)
    outcome = site.outcome(got)
    assert outcome["usage"] == {"input": 1000, "output": 100}
    assert (outcome["cost"]["nano"], outcome["cost"]["source"]) == (210_000, "price-book")


@pytest.mark.parametrize(
    ("said", "usable", "found"),
    [
        (b'{"valid":true,"organization_id":"o"}', True, None),
        (b'{"valid":false}', False, "key-dead"),
        (b"<html>maintenance</html>", None, "unknown"),
    ],
)
def test_a_probe_costs_nothing_and_believes_the_answer_and_not_the_status(
    site: Site, said: bytes, usable: bool | None, found: str | None
) -> None:
    site.cohere.script = lambda _: answer(said, LAST)

    async def asked() -> dict[str, Any]:
        return await probe(site.house.house, site.key)

    told = site.house.run(asked)
    assert (told["usable"], told["status"], told["class"]) == (usable, 200, found)
    assert site.cohere.heard[-1].startswith(b"POST /v1/check-api-key HTTP/1.1")
    assert site.cohere.heard[-1].endswith(b"\r\n\r\n")
