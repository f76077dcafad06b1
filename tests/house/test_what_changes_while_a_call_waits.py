"""What is taken away while a call waits is gone: for a body that trickles in, and for the attempt after the first."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import msgspec
import pytest

from kit.fronts import OPENAI, caller
from kit.grounds import secret_of
from kit.inprocess import InProcess
from kit.scripted import Scripted, answer, presented
from kit.until import until
from tokenone.testing.desk import Workplace
from tokenone.types import KeyState

DEAD = answer(b'{"error":{"message":"no","code":"invalid_api_key"}}', status=b"401 Unauthorized")
FINE = answer(
    b'{"id":"x","model":"gpt-4.1-mini","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}'
)
FIRST, SECOND, NEWER = (secret_of(OPENAI, name * 16) for name in ("aB3x", "cD4y", "eF5z"))


@dataclass
class Stage:
    """A workload with two keys, tried one after the other, at a provider that a test writes."""

    house: InProcess
    provider: Scripted
    tenant: str
    place: Workplace
    keys: list[str]

    def ask(self) -> httpx2.Response:
        with caller() as http:
            headers = OPENAI.headers(self.place.token)
            return http.post(self.house.gateway + OPENAI.chat, headers=headers, content=OPENAI.body())

    def kinds(self, call: str) -> list[str]:
        return [kind for kind, fields in self.house.entries() if fields.get("call") == call]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Scripted(lambda _: DEAD) as provider, InProcess(tmp_path) as house:
        tenant = house.tenant("tenant")
        place = house.place(tenant, "place", grants=["inference", "stateful"])
        endpoint = house.endpoint("openai", provider.origin, tenant=tenant)
        keys = [house.key(tenant, "openai", endpoint, secret) for secret in (FIRST, SECOND)]
        for priority, key in enumerate(keys):
            house.assign(key, "workload", place.workload, priority=priority)
        yield Stage(house, provider, tenant, place, keys)
        assert house.defects == []


@pytest.mark.parametrize("verb", ["compromise", "suspend"])
def test_a_key_taken_away_during_the_first_attempt_is_not_used_for_the_second(
    stage: Stage, verb: str
) -> None:
    def script(_: bytes) -> bytes:
        stage.house.api("POST", f"/keys/{stage.keys[1]}/{verb}")
        return DEAD

    stage.provider.script = script
    got = stage.ask()
    assert [presented(request) for request in stage.provider.heard] == [FIRST.encode()]
    assert (got.status_code, OPENAI.refusal(got.content)["code"]) == (403, "key_not_usable")
    assert until(lambda: stage.kinds(got.headers["x-tokenone-call"])[2:], "the refusal") == ["deny"]


def test_a_key_compromised_while_its_own_call_waits_ends_that_call_and_says_so(stage: Stage) -> None:
    def script(_: bytes) -> bytes:
        stage.house.api("POST", f"/keys/{stage.keys[0]}/compromise")
        return FINE

    stage.provider.script = script
    got = stage.ask()
    assert len(stage.provider.heard) == 1
    assert (got.status_code, OPENAI.refusal(got.content)["code"]) == (403, "key_compromised")
    told = until(lambda: stage.kinds(got.headers["x-tokenone-call"])[1:], "the outcome")
    assert told == ["outcome"]


def test_a_token_revoked_during_the_first_attempt_gets_no_second(stage: Stage) -> None:
    def script(_: bytes) -> bytes:
        stage.house.api("POST", f"/tokens/{stage.place.token_id}/revoke")
        return DEAD

    stage.provider.script = script
    got = stage.ask()
    assert len(stage.provider.heard) == 1
    assert (got.status_code, OPENAI.refusal(got.content)["code"]) == (401, "token_revoked")


def test_a_key_rotated_during_the_first_attempt_serves_the_second_in_its_new_version(stage: Stage) -> None:
    house = stage.house

    def script(request: bytes) -> bytes:
        if presented(request) != FIRST.encode():
            return FINE
        key = house.house.directory.key(stage.keys[1])
        (old,) = house.house.directory.versions(stage.keys[1])
        assert key is not None
        renewed = msgspec.structs.replace(old, version=2, envelope=house.envelope(key, 2, NEWER))
        house.apply(msgspec.structs.replace(old, state=KeyState.RETIRING, retire_us=2**62), renewed)
        return DEAD

    stage.provider.script = script
    assert stage.ask().status_code == 200
    assert [presented(request) for request in stage.provider.heard] == [FIRST.encode(), NEWER.encode()]


def test_a_token_revoked_while_its_body_trickles_in_sends_nothing(stage: Stage) -> None:
    body = OPENAI.body()
    head = [
        f"POST {OPENAI.chat} HTTP/1.1", "host: gateway", f"authorization: Bearer {stage.place.token}",
        "content-type: application/json", f"content-length: {len(body)}",
    ]  # fmt: skip
    with socket.create_connection(("127.0.0.1", stage.house.port), 10) as line:
        line.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body[:-1])
        until(lambda: stage.house.edge.stats.requests == 1, "the call to wait for its body")
        stage.house.api("POST", f"/tokens/{stage.place.token_id}/revoke")
        line.sendall(body[-1:])
        told = line.recv(65_536)
    assert b" 401 " in told.split(b"\r\n")[0]
    assert json.loads(told.partition(b"\r\n\r\n")[2])["error"]["code"] == "token_revoked"
    assert stage.provider.heard == []
