"""The unified front with Anthropic's models: OpenAI's SDK in front, Anthropic's API behind, governed as any call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import openai
import pytest

from kit.installation import Installation
from kit.routes import SECRETS, Route, route_to
from kit.sdk import http
from tokenone.testing.standin import StandIn, ThreadedListener

MODEL = "anthropic/claude-sonnet-4-5"
ASKED = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}


@dataclass(frozen=True)
class Front:
    route: Route
    house: Installation
    upstream: ThreadedListener

    @property
    def sdk(self) -> openai.OpenAI:
        return openai.OpenAI(
            base_url=f"{self.house.gateway}/v1",
            api_key=self.route.place.token,
            max_retries=0,
            http_client=http(),
        )

    def post(self, body: dict[str, object], **headers: str) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self.route.place.token}", **headers}
        return self.house.http.post(f"{self.house.gateway}/v1/chat/completions", json=body, headers=headers)

    @property
    def last_sent(self) -> dict[str, object]:
        sent: dict[str, object] = json.loads(self.upstream.standin.received[-1].request.body)
        return sent


@pytest.fixture(scope="module")
def front(installation: Installation) -> Iterator[Front]:
    with ThreadedListener(StandIn()) as upstream:
        yield Front(route_to(installation, "translated", upstream.origin), installation, upstream)


def test_a_plain_call_is_anthropics_behind_and_openais_in_front(front: Front) -> None:
    raw = front.sdk.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=[{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}],
    )
    answer = raw.parse()
    request = front.upstream.standin.received[-1].request
    sent = front.last_sent
    assert sent["model"] == "claude-sonnet-4-5"
    assert sent["system"] == [{"type": "text", "text": "be brief"}]
    headers = {name.lower(): value for name, value in request.headers}
    assert headers["x-api-key"] == SECRETS["anthropic"]
    assert headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in headers
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert raw.headers["x-tokenone-provider"] == "anthropic"
    told = front.house.told(front.route.place, raw.headers["x-tokenone-call"])
    usage = told["attempts"][0]["usage"]
    assert (usage["input"], usage["output"]) == (answer.usage.prompt_tokens, answer.usage.completion_tokens)
    assert float(raw.headers["x-tokenone-cost"]) > 0


@pytest.mark.parametrize("asked", [True, False])
def test_a_stream_is_translated_event_by_event(front: Front, asked: bool) -> None:
    options: dict[str, object] = {"stream_options": {"include_usage": True}} if asked else {}
    chunks = list(front.sdk.chat.completions.create(**ASKED, stream=True, **options))  # type: ignore[call-overload]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    whole = front.sdk.chat.completions.create(**ASKED)  # type: ignore[call-overload]
    assert text == whole.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [asked]


def test_what_anthropic_cannot_do_is_refused_by_name_or_left_out_by_name(front: Front) -> None:
    before = len(front.upstream.standin.received)
    refused = front.post({**ASKED, "seed": 7})
    assert refused.status_code == 400
    assert "seed" in refused.json()["error"]["message"]
    assert len(front.upstream.standin.received) == before
    dropped = front.post({**ASKED, "seed": 7}, **{"x-tokenone-drop-unsupported": "true"})
    assert dropped.status_code == 200
    assert dropped.headers["x-tokenone-dropped"] == "seed"
    assert "seed" not in front.last_sent


def test_other_paths_are_not_translated(front: Front) -> None:
    headers = {"authorization": f"Bearer {front.route.place.token}"}
    refused = front.house.http.post(
        f"{front.house.gateway}/v1/embeddings", json={"model": MODEL, "input": "x"}, headers=headers
    )
    assert refused.status_code == 404
    assert refused.headers["x-tokenone-error"] == "unknown_path"


def test_models_lists_both_providers(front: Front) -> None:
    listed = {model.id: model.owned_by for model in front.sdk.models.list()}
    assert listed["claude-sonnet-4-5"] == "anthropic"
    assert listed["gpt-4o-mini"] == "openai"


@pytest.mark.parametrize("stream", [True, False])
def test_responses_are_a_front_to_anthropic_too(front: Front, stream: bool) -> None:
    if stream:
        events = list(front.sdk.responses.create(model=MODEL, input="hello", stream=True, store=False))
        assert events[-1].type == "response.completed"
        answer = events[-1].response
    else:
        answer = front.sdk.responses.create(model=MODEL, input="hello", store=False)
    whole = front.sdk.chat.completions.create(**ASKED)  # type: ignore[call-overload]
    assert answer.output_text == whole.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.input_tokens == whole.usage.prompt_tokens
    assert answer.id.startswith(("resp_", "msg_"))
