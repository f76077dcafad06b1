"""A role that is assumed with an access key: STS is asked once, its temporary key signs, neither is shown."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from kit.canaries import Watch, random_text
from kit.fronts import caller
from kit.inprocess import InProcess
from kit.scripted import Scripted, answer
from tokenone.testing.desk import Workplace

LASTING, ROLE = random_text(40), "arn:aws:iam::123456789012:role/models"
KEY_ID = "AKIA" + "Q" * 16
CONVERSE = "/bedrock/model/amazon.nova-lite-v1%3A0/converse"
BODY = json.dumps({"messages": [{"role": "user", "content": [{"text": "hello"}]}]}).encode()
REPLY = json.dumps(
    {
        "output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}}, "stopReason": "end_turn",
        "usage": {"inputTokens": 5, "outputTokens": 1, "totalTokens": 6},
    }
).encode()  # fmt: skip
EXPIRED = "ExpiredTokenException"
STREAM = b"application/vnd.amazon.eventstream"


@dataclass
class Aws:
    """Bedrock and STS, both scripted."""

    house: InProcess
    http: httpx2.Client
    bedrock: Scripted
    sts: Scripted
    watch: Watch
    issued: list[dict[str, str]] = field(default_factory=list)
    dead: set[str] = field(default_factory=set)
    """Key ids that Bedrock no longer takes."""

    def assume(self, request: bytes) -> bytes:
        assert f"Credential={KEY_ID}/".encode() in request
        assert b"ExternalId=the-agreed-one" in request
        made = {
            "AccessKeyId": "ASIA" + random_text(16).upper(), "SecretAccessKey": random_text(40),
            "SessionToken": random_text(200), "Expiration": "2030-01-01T00:00:00Z",
        }  # fmt: skip
        self.issued.append(made)
        for name in ("SecretAccessKey", "SessionToken"):
            self.watch.add(f"{name} {len(self.issued)}", made[name].encode())
        told = {"AssumeRoleResponse": {"AssumeRoleResult": {"Credentials": made}}}
        return answer(json.dumps(told).encode())

    def converse(self, request: bytes) -> bytes:
        used = next(one for one in self.issued if f"Credential={one['AccessKeyId']}/".encode() in request)
        assert used["SessionToken"].encode() in request
        assert used["SecretAccessKey"].encode() not in request
        if used["AccessKeyId"] in self.dead:
            echo = {"message": f"{used['SessionToken']} of {LASTING} is over"}
            return answer(
                json.dumps(echo).encode(), b"x-amzn-errortype: " + EXPIRED.encode(), status=b"403 Forbidden"
            )
        return answer(REPLY)

    def place(self, name: str, **tenant: object) -> Workplace:
        owner = self.house.tenant(name, **tenant)
        place = self.house.place(owner, name)
        origins = [self.bedrock.origin, self.sts.origin]
        endpoint = self.house.endpoint("bedrock", "", tenant=owner, origins=origins)
        document = {
            "type": "aws-assume-role", "access_key_id": KEY_ID, "secret_access_key": LASTING, "role_arn": ROLE,
            "region": "us-east-1", "external_id": "the-agreed-one", "sts_origin": self.sts.origin,
        }  # fmt: skip
        key = self.house.key(owner, "bedrock", endpoint, json.dumps(document))
        self.house.assign(key, "workload", place.workload)
        return place

    def call(self, place: Workplace, path: str = CONVERSE) -> httpx2.Response:
        headers = {"authorization": f"Bearer {place.token}", "content-type": "application/json"}
        got = self.http.post(self.house.gateway + path, headers=headers, content=BODY)
        return self.watch.saw_answer("an answer", got)

    def told(self, place: Workplace, got: httpx2.Response) -> dict[str, Any]:
        """What the gateway tells of a call's last attempt."""
        url = f"{self.house.gateway}/tokenone/calls/{got.headers['x-tokenone-call']}"
        told = self.http.get(url, headers={"authorization": f"Bearer {place.token}"}).json()
        attempt: dict[str, Any] = told["attempts"][-1]
        return attempt


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[Aws]:
    watch = Watch({"lasting secret": LASTING})
    with (
        Scripted(lambda _: b"") as bedrock,
        Scripted(lambda _: b"") as sts,
        caller() as http,
        InProcess(tmp_path) as house,
    ):
        made = Aws(house, http, bedrock, sts, watch)
        bedrock.script, sts.script = made.converse, made.assume
        yield made
        assert house.defects == []
    assert watch.leaks(tmp_path / "ledger") == []


def test_the_roles_temporary_key_signs_and_serves_many_calls(aws: Aws) -> None:
    place = aws.place("many")
    answers = [aws.call(place) for _ in range(5)]
    assert {(got.status_code, got.content) for got in answers} == {(200, REPLY)}
    assert (len(aws.sts.heard), len(aws.bedrock.heard)) == (1, 5)
    assert aws.told(place, answers[-1])["usage"] == {"input": 5, "output": 1}


def test_a_temporary_key_that_is_over_is_dropped_and_shown_to_nobody(aws: Aws) -> None:
    place = aws.place("over")
    assert aws.call(place).status_code == 200
    aws.dead.add(aws.issued[0]["AccessKeyId"])
    got = aws.call(place)
    assert (got.status_code, got.headers["x-amzn-errortype"]) == (403, EXPIRED)
    assert got.text.count("[removed]") == 2
    assert aws.told(place, got)["class"] == "key-dead"
    assert aws.call(place).status_code == 200
    assert len(aws.issued) == 2


# ── streams in frames ──────────────────────────────────────────────────────────────────────────────────────
def frame(kind: str, payload: dict[str, object], message: str = "event") -> bytes:
    """One message of `application/vnd.amazon.eventstream`."""
    fields = {f":{message}-type": kind, ":content-type": "application/json", ":message-type": message}
    head = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in fields.items()
    )
    body = json.dumps(payload).encode()
    prelude = struct.pack(">II", 16 + len(head) + len(body), len(head))
    checked = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + body
    return checked + struct.pack(">I", zlib.crc32(checked))


TEXT = frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "hello"}})


def test_an_exception_in_a_stream_that_shows_a_key_is_withheld(aws: Aws) -> None:
    place = aws.place("exception")
    secrets = {"message": ""}

    def converse(request: bytes) -> bytes:
        secrets["message"] = f"{aws.issued[0]['SessionToken']} of {LASTING}"
        bad = frame("internalServerException", {"message": secrets["message"]}, "exception")
        return answer(TEXT + bad, kind=STREAM)

    aws.bedrock.script = converse
    got = aws.call(place, CONVERSE + "-stream")
    assert got.status_code == 200
    assert got.content.startswith(TEXT)
    assert aws.issued[0]["SessionToken"] not in got.text
    assert aws.told(place, got)["cause"] == "upstream_broken"


@pytest.mark.parametrize("action", ["redact", "block"])
def test_a_stream_that_cannot_be_inspected_is_refused_to_whoever_wants_it_changed(
    aws: Aws, action: str
) -> None:
    place = aws.place(action, detect={"request": "allow", "response": action})
    aws.bedrock.script = lambda _: answer(TEXT, kind=STREAM)
    got = aws.call(place, CONVERSE + "-stream")
    assert (got.status_code, got.headers["x-tokenone-error"]) == (400, "content_blocked")
    assert b"hello" not in got.content
    assert aws.told(place, got)["cause"] == "content_blocked"
