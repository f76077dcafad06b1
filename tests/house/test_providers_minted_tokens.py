"""A key that is traded for a token, at the gateway: asked for once, after the record, shown to nobody."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import msgspec
import pytest

from kit.canaries import Watch, random_text
from kit.fronts import caller
from kit.inprocess import InProcess
from kit.scripted import Scripted, answer, presented
from kit.stories_of_keys import BODY, CHAT, TOKEN_PATH, application, token_answer
from kit.until import until
from tokenone.testing.desk import Workplace

SECRET = random_text(44)
REPLY = json.dumps(
    {
        "id": "1", "object": "chat.completion", "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8},
    }
).encode()  # fmt: skip


@dataclass
class Clouds:
    """A provider and the authority whose tokens it takes; both can be told what to answer."""

    house: InProcess
    http: httpx2.Client
    api: Scripted
    authority: Scripted
    watch: Watch
    tokens: list[str] = field(default_factory=list)
    refusing: set[str] = field(default_factory=set)
    """Tokens that the provider no longer takes."""
    held: threading.Event = field(default_factory=threading.Event)
    """Clear: the authority is slow."""

    def issue(self, request: bytes) -> bytes:
        assert request.startswith(TOKEN_PATH)
        assert f"client_secret={SECRET}".encode() in request
        assert self.held.wait(20)
        self.tokens.append(random_text(60))
        self.watch.add(f"token {len(self.tokens)}", self.tokens[-1].encode())
        return token_answer(self.tokens[-1], 3600)

    def serve(self, request: bytes) -> bytes:
        token = presented(request).decode()
        assert token in self.tokens, "only what the authority issued reaches the provider"
        if token in self.refusing:
            echo = {"error": {"code": "401", "message": f"{token} was issued for {SECRET}"}}
            return answer(json.dumps(echo).encode(), status=b"401 Unauthorized")
        return answer(REPLY)

    def key(self, place: Workplace, *origins: str, secret: str = SECRET) -> str:
        endpoint = self.house.endpoint("azure", "", tenant=place.tenant, origins=list(origins))
        key = self.house.key(place.tenant, "azure", endpoint, application(self.authority.origin, secret))
        self.house.assign(key, "workload", place.workload)
        return key

    def place(self, name: str) -> Workplace:
        """A workload with one key that has to be traded."""
        owner = self.house.tenant(name, detect={"request": "flag", "response": "flag"})
        return self.house.place(owner, name)

    def chat(self, place: Workplace) -> httpx2.Response:
        headers = {"api-key": place.token, "content-type": "application/json"}
        got = self.http.post(self.house.gateway + CHAT, headers=headers, content=BODY)
        return self.watch.saw_answer("an answer", got)


@pytest.fixture
def clouds(tmp_path: Path) -> Iterator[Clouds]:
    watch = Watch({"application's secret": SECRET})
    with (
        Scripted(lambda _: b"") as api,
        Scripted(lambda _: b"") as authority,
        caller() as http,
        InProcess(tmp_path) as house,
    ):
        made = Clouds(house, http, api, authority, watch)
        api.script, authority.script = made.serve, made.issue
        made.held.set()
        yield made
        assert house.defects == []
    assert watch.leaks(tmp_path / "ledger") == [], "neither the secret nor a token came out"


def test_one_token_serves_many_calls(clouds: Clouds) -> None:
    place = clouds.place("many")
    clouds.key(place, clouds.api.origin, clouds.authority.origin)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: clouds.chat(place), range(24)))
    assert {got.status_code for got in answers} == {200}
    assert {got.content for got in answers} == {REPLY}
    assert len(clouds.authority.heard) == 1
    assert clouds.tokens[0] not in "".join(str(got.headers) for got in answers)


def test_the_intent_is_durable_before_a_token_is_asked_for(clouds: Clouds) -> None:
    place = clouds.place("recorded")
    key = clouds.key(place, clouds.api.origin, clouds.authority.origin)
    seen: list[str] = []
    issue = clouds.issue

    def look(request: bytes) -> bytes:
        seen.extend(kind for kind, fields in clouds.house.entries() if fields.get("key") == key)
        return issue(request)

    clouds.authority.script = look
    assert clouds.chat(place).status_code == 200
    assert seen == ["intent"]


def test_a_refused_token_is_dropped_scrubbed_and_minted_anew(clouds: Clouds) -> None:
    place = clouds.place("refused")
    clouds.key(place, clouds.api.origin, clouds.authority.origin)
    assert clouds.chat(place).status_code == 200
    clouds.refusing.add(clouds.tokens[0])
    got = clouds.chat(place)
    assert (got.status_code, got.headers["x-tokenone-error-origin"]) == (401, "provider")
    assert got.text.count("[removed]") == 2
    assert clouds.chat(place).status_code == 200
    assert len(clouds.tokens) == 2


def test_a_key_that_its_authority_refuses_is_benched_and_the_next_one_tried(clouds: Clouds) -> None:
    place = clouds.place("second key")
    dead, good = (clouds.key(place, clouds.api.origin, clouds.authority.origin) for _ in range(2))
    order: list[str] = []
    issue = clouds.issue

    def refuse_the_first(request: bytes) -> bytes:
        order.append("asked")
        if len(order) == 1:
            return answer(b'{"error": "invalid_client"}', status=b"401 Unauthorized")
        return issue(request)

    clouds.authority.script = refuse_the_first
    got = clouds.chat(place)
    assert (got.status_code, got.headers["x-tokenone-attempts"]) == (200, "2")
    outcomes = [fields for kind, fields in clouds.house.entries() if kind == "outcome"]
    assert [one["cause"] for one in outcomes[:1]] == ["upstream_auth"]
    assert outcomes[0]["class"] == "key-dead"
    assert outcomes[0]["sent"] == 0
    assert "fee" not in outcomes[0]
    again = clouds.chat(place)
    assert (again.status_code, again.headers["x-tokenone-attempts"]) == (200, "1"), "the refused one rests"
    assert dead != good


def test_a_slow_authority_of_one_key_delays_no_other(clouds: Clouds) -> None:
    slow, quick = clouds.place("slow"), clouds.place("quick")
    clouds.key(slow, clouds.api.origin, clouds.authority.origin)
    clouds.key(quick, clouds.api.origin, clouds.authority.origin)
    assert clouds.chat(quick).status_code == 200
    clouds.held.clear()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(clouds.chat, slow)
        until(lambda: len(clouds.authority.heard) == 2, "the slow one to be asked")
        for _ in range(5):
            assert clouds.chat(quick).status_code == 200
        assert not waiting.done()
        clouds.held.set()
        assert waiting.result().status_code == 200


def test_a_token_revoked_while_a_provider_token_was_waited_for_is_refused(clouds: Clouds) -> None:
    place = clouds.place("revoked meanwhile")
    clouds.key(place, clouds.api.origin, clouds.authority.origin)
    clouds.held.clear()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(clouds.chat, place)
        until(lambda: len(clouds.authority.heard) == 1, "the authority to be asked")
        clouds.house.api("POST", f"/tokens/{place.token_id}/revoke")
        clouds.held.set()
        assert waiting.result().headers["x-tokenone-error"] == "token_revoked"
    assert clouds.api.heard == [], "nothing was sent"


def test_a_compromised_key_is_cut_while_its_token_is_waited_for(clouds: Clouds) -> None:
    place = clouds.place("compromised meanwhile")
    key = clouds.key(place, clouds.api.origin, clouds.authority.origin)
    clouds.held.clear()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(clouds.chat, place)
        until(lambda: len(clouds.authority.heard) == 1, "the authority to be asked")
        clouds.house.api("POST", f"/keys/{key}/compromise")
        assert waiting.result().headers["x-tokenone-error"] == "key_compromised"
        clouds.held.set()
    assert clouds.api.heard == []


def test_a_silent_authority_is_a_time_out(clouds: Clouds) -> None:
    place = clouds.place("silent")
    clouds.key(place, clouds.api.origin, clouds.authority.origin)
    clouds.held.clear()
    got = clouds.chat(place)
    assert (got.status_code, got.headers["x-tokenone-error"]) == (504, "upstream_timeout")
    clouds.held.set()
    assert clouds.api.heard == []


def test_an_authority_beyond_the_endpoint_is_never_dialled(clouds: Clouds) -> None:
    place = clouds.place("one origin")
    clouds.key(place, clouds.api.origin)
    got = clouds.chat(place)
    assert got.headers["x-tokenone-error"] == "egress_refused"
    assert "none of its endpoint's origins" in got.text
    assert clouds.authority.heard == clouds.api.heard == []


def test_an_edited_key_is_traded_anew(clouds: Clouds) -> None:
    place = clouds.place("edited")
    key = clouds.key(place, clouds.api.origin, clouds.authority.origin)
    assert clouds.chat(place).status_code == 200
    row = clouds.house.house.directory.key(key)
    assert row is not None
    clouds.house.apply(msgspec.structs.replace(row, name="renamed"))
    assert clouds.chat(place).status_code == 200
    assert len(clouds.tokens) == 2
