"""What detectors do to real calls: every policy, both ways, plain and streamed, in three protocols.

The stand-in says what it is told to echo, five characters a delta, so that a secret is cut over many of them;
what it answers without a gateway is the measure of what a caller gets through it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from kit.fronts import ANTHROPIC, OPENAI, Front
from kit.installation import Installation
from kit.logbook import Logbook
from kit.routes import Route, route_to
from kit.sdk import http
from kit.shared import ROOT
from kit.until import until
from tokenone.testing.standin import StandIn, ThreadedListener

BEFORE = "The letters before it are free to go, all of them, word by word: "
AFTER = " and these stand behind it." * 30


@dataclass(frozen=True)
class Leak:
    """A text with a secret in it, from the shared vectors."""

    rule: str
    secret: str

    @property
    def text(self) -> str:
        return BEFORE + self.secret + AFTER

    @property
    def cleaned(self) -> str:
        return BEFORE + f"[redacted:{self.rule}]" + AFTER


def leak_of(case_name: str, secret: str) -> Leak:
    """Takes the secret that the expression `secret` matches out of a vector's text."""
    cases = json.loads((ROOT / "vectors/secrets.json").read_text())["cases"]
    (case,) = (one for one in cases if one["name"] == case_name)
    found = re.search(secret, "".join(case["text"]), re.DOTALL)
    assert found is not None
    return Leak(case["finds"][0], found[0])


LEAKS = [
    leak_of("openai project key", r"sk-proj-\S+"),
    leak_of("gitlab token", r"glpat-\S+"),
    leak_of("rsa private key", r"-----BEGIN .* PRIVATE KEY-----"),
]


@dataclass(frozen=True)
class Way:
    """A protocol: where to send, how to ask, where the text of a delta stands."""

    name: str
    front: Front
    path: str

    def body(self, text: str, *, stream: bool) -> bytes:
        if self.name == "responses":
            asked: dict[str, Any] = {"model": OPENAI.model, "input": text}
        else:
            asked = json.loads(self.front.body(text))
        if stream:
            asked["stream"] = True
        if stream and self.name == "chat":
            asked["stream_options"] = {"include_usage": True}  # or the documented splice would show
        return json.dumps(asked).encode()

    def delta(self, event: bytes) -> str | None:
        """Returns the text that an event adds, None for events that add none."""
        data = next((line[6:] for line in event.split(b"\n") if line.startswith(b"data: {")), None)
        told = json.loads(data) if data else {}
        if self.name == "responses":
            return told["delta"] if told.get("type", "").endswith("output_text.delta") else None
        if self.name == "messages":
            return (told.get("delta") or {}).get("text") if "delta" in told else None
        choices = told.get("choices") or [{}]
        return (choices[0].get("delta") or {}).get("content")

    def text(self, stream: bytes) -> str:
        return "".join(self.delta(event) or "" for event in stream.split(b"\n\n"))


WAYS = [
    Way("chat", OPENAI, OPENAI.chat),
    Way("responses", OPENAI, "/openai/v1/responses"),
    Way("messages", ANTHROPIC, ANTHROPIC.chat),
]


@dataclass(frozen=True)
class Guarded:
    """A tenant for each policy, before one stand-in."""

    installation: Installation
    standin: StandIn
    upstream: str
    routes: dict[tuple[str, str], Route]
    log: Logbook

    def send(self, policy: tuple[str, str], way: Way, body: bytes, **headers: str) -> httpx2.Response:
        token = self.routes[policy].place.token
        given = way.front.headers(token) | {"accept-encoding": "identity"} | headers
        return self.installation.http.post(self.installation.gateway + way.path, headers=given, content=body)

    def alone(self, way: Way, body: bytes) -> bytes:
        """Returns what the stand-in answers without a gateway."""
        given = way.front.headers("sk-anybody") | {"accept-encoding": "identity"}
        return self.installation.http.post(self.upstream + way.path, headers=given, content=body).content

    def entries(self, answer: httpx2.Response) -> dict[str, dict[str, Any]]:
        """Returns the fields of a call's entries by kind."""
        return dict(self.log.closed(answer.headers["x-tokenone-call"]))


@pytest.fixture(scope="module")
def guarded(installation: Installation) -> Iterator[Guarded]:
    policies = [(way, action) for way in ("request", "response") for action in ACTIONS]
    with ThreadedListener(StandIn()) as upstream:
        routes = {
            (way, action): route_to(
                installation, f"detectors {way} {action}", upstream.origin,
                detect={"request": "allow", "response": "allow", way: action},
            )
            for way, action in policies
        }  # fmt: skip
        log = Logbook(installation.directory / "ledger")
        yield Guarded(installation, upstream.standin, upstream.origin, routes, log)


ACTIONS = ("allow", "flag", "redact", "block")
plain_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
every_leak = pytest.mark.parametrize("leak", LEAKS, ids=lambda one: one.rule)


# ── what callers send ──────────────────────────────────────────────────────────────────────────────────────
@every_leak
@every_way
@plain_and_streamed
@pytest.mark.parametrize("action", ["allow", "flag", "redact"])
def test_a_request_goes_on_as_the_policy_says(
    guarded: Guarded, way: Way, leak: Leak, action: str, stream: bool
) -> None:
    body = way.body(leak.text, stream=stream)
    guarded.standin.reset()
    answer = guarded.send(("request", action), way, body)
    assert answer.status_code == 200
    (got,) = guarded.standin.received
    expected = way.body(leak.cleaned, stream=stream) if action == "redact" else body
    assert got.request.body == expected
    intent = guarded.entries(answer)["intent"]
    assert intent["verdict"] == action
    assert intent.get("rules") == (None if action == "allow" else [leak.rule])


@every_leak
@every_way
@plain_and_streamed
def test_a_blocked_request_is_refused_and_nothing_is_sent(
    guarded: Guarded, way: Way, leak: Leak, stream: bool
) -> None:
    guarded.standin.reset()
    answer = guarded.send(("request", "block"), way, way.body(leak.text, stream=stream))
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/json"
    error = way.front.refusal(answer.content)
    assert error["code"] == "content_blocked"
    assert leak.rule in error["message"]
    assert leak.secret not in answer.text
    assert not guarded.standin.received
    entries = guarded.entries(answer)
    assert set(entries) == {"deny"}
    assert entries["deny"]["code"] == "content_blocked"
    assert (entries["deny"]["verdict"], entries["deny"]["rules"]) == ("block", [leak.rule])


def test_a_refusal_for_another_reason_does_not_say_that_content_was_blocked(guarded: Guarded) -> None:
    desk = guarded.installation.desk()
    tenant = guarded.routes["request", "flag"].place.tenant
    keyless = Route(guarded.upstream, desk.place(tenant, "flagged and keyless"))
    guarded.installation.until_current()
    guarded.routes["request", "keyless"] = keyless
    answer = guarded.send(("request", "keyless"), WAYS[0], WAYS[0].body(LEAKS[0].text, stream=False))
    assert answer.status_code == 403
    deny = guarded.entries(answer)["deny"]
    assert (deny["code"], deny["verdict"], deny["rules"]) == ("no_key_in_scope", "flag", [LEAKS[0].rule])


# ── what providers answer ──────────────────────────────────────────────────────────────────────────────────
def echo(way: Way, leak: Leak, *, stream: bool) -> bytes:
    return way.body("echo " + leak.text, stream=stream)


@every_leak
@every_way
@plain_and_streamed
@pytest.mark.parametrize("action", ["allow", "flag"])
def test_a_reply_that_may_pass_is_the_providers_own(
    guarded: Guarded, way: Way, leak: Leak, action: str, stream: bool
) -> None:
    body = echo(way, leak, stream=stream)
    answer = guarded.send(("response", action), way, body)
    assert answer.status_code == 200
    assert answer.content == guarded.alone(way, body)
    entries = guarded.entries(answer)
    assert entries["intent"]["verdict"] == "allow"
    assert entries["outcome"]["cause"] == "complete"
    assert_found(entries["outcome"], None if action == "allow" else action, leak)


def assert_found(outcome: dict[str, Any], verdict: str | None, leak: Leak) -> None:
    assert outcome.get("verdict") == verdict
    assert outcome.get("rules") == (None if verdict is None else [leak.rule])


@every_leak
@every_way
def test_a_redacted_reply_differs_in_the_secret_alone(guarded: Guarded, way: Way, leak: Leak) -> None:
    body = echo(way, leak, stream=False)
    answer = guarded.send(("response", "redact"), way, body)
    expected = guarded.alone(way, body).replace(in_json(leak.secret), f"[redacted:{leak.rule}]".encode())
    assert answer.content == expected
    assert in_json(leak.secret) not in answer.content
    entries = guarded.entries(answer)
    assert entries["outcome"]["cause"] == "complete"
    assert_found(entries["outcome"], "redact", leak)
    told = guarded.installation.told(
        guarded.routes["response", "redact"].place, answer.headers["x-tokenone-call"]
    )
    assert told["attempts"][0]["reply"] == {"verdict": "redact", "rules": [leak.rule]}


def in_json(text: str) -> bytes:
    """Returns how JSON spells a text between its quotes."""
    return json.dumps(text)[1:-1].encode()


@every_leak
@every_way
def test_a_redacted_stream_differs_in_the_secret_alone(guarded: Guarded, way: Way, leak: Leak) -> None:
    """Every event comes, in order; deltas of the secret are emptied, repeated texts are redacted in place."""
    body = echo(way, leak, stream=True)
    answer = guarded.send(("response", "redact"), way, body)
    alone = guarded.alone(way, body)
    assert way.text(alone) == leak.text
    assert way.text(answer.content) == leak.cleaned
    theirs, ours = alone.split(b"\n\n"), answer.content.split(b"\n\n")
    assert len(theirs) == len(ours)
    for event, got in zip(theirs, ours, strict=True):
        assert got == redacted_event(way, event, got, leak)
    entries = guarded.entries(answer)
    assert entries["outcome"]["cause"] == "complete"
    assert_found(entries["outcome"], "redact", leak)


def redacted_event(way: Way, event: bytes, got: bytes, leak: Leak) -> bytes:
    """Returns the event as the provider sent it, with the text of `got` where it adds text."""
    piece = way.delta(event)
    if piece is None:
        return event.replace(in_json(leak.secret), f"[redacted:{leak.rule}]".encode())
    old, new = json.dumps(piece).encode(), json.dumps(way.delta(got)).encode()
    return event if old == new else event.replace(b":" + old, b":" + new).replace(b": " + old, b": " + new)


@every_leak
@every_way
def test_a_blocked_reply_is_an_error_and_nothing_of_it_passes(guarded: Guarded, way: Way, leak: Leak) -> None:
    answer = guarded.send(("response", "block"), way, echo(way, leak, stream=False))
    assert answer.status_code == 400
    assert way.front.refusal(answer.content)["code"] == "content_blocked"
    assert BEFORE.encode() not in answer.content
    entries = guarded.entries(answer)
    assert set(entries) == {"intent", "outcome"}
    assert entries["outcome"]["cause"] == "content_blocked"
    assert entries["outcome"]["status"] == 200
    assert entries["outcome"]["cost"]["nano"] > 0  # the provider charges for what it said
    assert_found(entries["outcome"], "block", leak)


@every_leak
@every_way
@pytest.mark.parametrize("pace", ["at once", "slowly"])
def test_a_blocked_stream_ends_before_the_secret_with_an_error_frame(
    guarded: Guarded, way: Way, leak: Leak, pace: str
) -> None:
    guarded.standin.reset()
    faults = {"x-standin-fault": "trickle:0.005"} if pace == "slowly" else {}
    answer = guarded.send(("response", "block"), way, echo(way, leak, stream=True), **faults)
    assert answer.status_code == 200
    *passed, frame, rest = answer.content.split(b"\n\n")
    assert rest == b""
    error = way.front.refusal(frame.partition(b"data: ")[2])
    assert error["code"] == "content_blocked"
    assert frame.startswith(b"event: error\n" if way.name == "messages" else b"data: ")
    delivered = "".join(way.delta(event) or "" for event in passed)
    assert BEFORE.startswith(delivered)
    assert len(BEFORE) - len(delivered) <= 5  # the delta in which the secret begins
    outcome = guarded.entries(answer)["outcome"]
    assert outcome["cause"] == "content_blocked"
    assert_found(outcome, "block", leak)
    (record,) = guarded.standin.received
    until(lambda: record.finished or record.abandoned, "the end of the provider's stream")
    if pace == "slowly":
        assert record.abandoned  # the gateway hung up: nobody pays for what nobody will read


# ── what SDKs make of it ───────────────────────────────────────────────────────────────────────────────────
def test_openais_sdk_raises_in_the_middle_of_a_blocked_stream(guarded: Guarded) -> None:
    token = guarded.routes["response", "block"].place.token
    url = f"{guarded.installation.gateway}/openai/v1"
    client = openai.OpenAI(api_key=token, base_url=url, http_client=http())
    asked: Any = [{"role": "user", "content": "echo " + LEAKS[0].text}]
    chunks = client.chat.completions.create(model=OPENAI.model, messages=asked, stream=True)
    got: list[str] = []
    with pytest.raises(openai.APIError) as caught:
        got.extend(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert caught.value.code == "content_blocked"
    assert BEFORE.startswith("".join(got))
    assert got


def test_anthropics_sdk_raises_in_the_middle_of_a_blocked_stream(guarded: Guarded) -> None:
    token = guarded.routes["response", "block"].place.token
    url = f"{guarded.installation.gateway}/anthropic"
    client = anthropic.Anthropic(api_key=token, base_url=url, http_client=http())
    asked: Any = [{"role": "user", "content": "echo " + LEAKS[0].text}]
    got: list[str] = []
    stream = client.messages.create(model=ANTHROPIC.model, max_tokens=999, messages=asked, stream=True)
    with pytest.raises(anthropic.APIStatusError) as caught:
        got.extend(event.delta.text for event in stream if event.type == "content_block_delta")
    body: Any = caught.value.body
    assert body["error"]["code"] == "content_blocked"
    assert BEFORE.startswith("".join(got))
    assert got
