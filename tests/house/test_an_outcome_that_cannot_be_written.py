"""A ledger that fails between a reply's last byte and its outcome: the reply stands, its connection lives on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.fronts import OPENAI, caller
from kit.grounds import secret_of
from kit.inprocess import InProcess
from kit.scripted import Scripted, answer
from kit.until import until
from tokenone.errors import LedgerUnavailable
from tokenone.ledger.writer import Ledger
from tokenone.testing.desk import Workplace

EVENTS = answer(b'data: {"model":"gpt-4.1-mini","choices":[]}\n\ndata: [DONE]\n\n', kind=b"text/event-stream")
LONG = answer(b'{"data":"%s"}' % (b"x" * (1 << 20)))


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[tuple[InProcess, Scripted, Workplace]]:
    with Scripted(lambda _: EVENTS) as provider, InProcess(tmp_path) as house:
        tenant = house.tenant("tenant")
        place = house.place(tenant, "place")
        endpoint = house.endpoint("openai", provider.origin, tenant=tenant)
        key = house.key(tenant, "openai", endpoint, secret_of(OPENAI, "house" * 10))
        house.assign(key, "workload", place.workload)
        yield house, provider, place


@pytest.mark.parametrize("reply", [EVENTS, LONG], ids=["stream", "long document"])
def test_a_reply_that_is_whole_is_not_cut_or_followed_by_an_error(
    stage: tuple[InProcess, Scripted, Workplace], monkeypatch: pytest.MonkeyPatch, reply: bytes
) -> None:
    house, provider, place = stage
    provider.script = lambda _: reply
    append = Ledger.append

    def failing(ledger: Ledger, kind: str, fields: dict[str, Any]) -> Any:
        if kind == "outcome":
            raise LedgerUnavailable
        return append(ledger, kind, fields)

    monkeypatch.setattr(Ledger, "append", failing)
    with caller() as http:
        headers = OPENAI.headers(place.token)
        got = http.post(house.gateway + OPENAI.chat, headers=headers, content=OPENAI.body(stream=True))
        assert (got.status_code, got.content) == (200, reply.partition(b"\r\n\r\n")[2])
        until(lambda: house.edge.stats.requests == 0, "the call to end")
        assert house.defects == []
        assert house.edge.stats.connections == 1, "the caller's connection stays"
        assert http.get(house.gateway + "/livez").status_code == 200
