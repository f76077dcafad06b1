"""What callers and providers may send beyond the ordinary: bytes that are no text, names that climb, sheer number."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest

from kit.dialects import ANSWERS, DIALECTS, sse
from kit.folds import fold
from tokenone.dispatch.translate.anthropic_replies import JSON_TOOL
from tokenone.dispatch.translate.embeddings import EmbedReply, write_embeddings
from tokenone.dispatch.translate.embeddings_backs import EMBEDDINGS
from tokenone.dispatch.translate.form import ChatReply, Choice, Stamp, Text, ToolCall
from tokenone.dispatch.translate.front_chat import read_chat
from tokenone.dispatch.translate.front_chat_replies import ChunkWriter, write_reply
from tokenone.dispatch.translate.front_messages_replies import write_reply as write_message
from tokenone.dispatch.translate.fronts import FRONTS
from tokenone.dispatch.translate.table import CHAT
from tokenone.errors import MalformedBody, ModelUnknown, UpstreamBroken
from tokenone.types import Provider

STAMP = Stamp("call_9", "asked", 1)
USER = {"role": "user", "content": "x"}


@pytest.mark.parametrize("path", sorted(FRONTS), ids=bytes.decode)
def test_bytes_that_are_no_text_are_malformed_wherever_they_stand(path: bytes) -> None:
    bad = b'{"model":"m","max_tokens":1,"input":"x","messages":[],"tools":[{"x":"\xff"}]}'
    with pytest.raises(MalformedBody):
        FRONTS[path].read(bad)
    schema = b'{"model":"m","messages":[],"response_format":{"type":"json_schema","json_schema":{"schema":"\xff"}}}'
    with pytest.raises(MalformedBody):
        FRONTS[b"/v1/chat/completions"].read(schema)


@pytest.mark.parametrize("provider", [Provider.BEDROCK, Provider.GEMINI, Provider.VERTEX])
@pytest.mark.parametrize("model", ["", ".", "..", "..."])
def test_a_model_that_would_climb_the_path_is_none(provider: Provider, model: str) -> None:
    with pytest.raises(ModelUnknown):
        CHAT[provider].path(model, False)


@pytest.mark.parametrize("provider", sorted(CHAT))
def test_many_small_turns_take_no_more_than_their_share(provider: Provider) -> None:
    """Ten times as many turns may take about ten times as long: nothing is copied again and again."""

    def seconds(count: int) -> float:
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        sealed = {"type": "reasoning.encrypted", "data": "x", "format": "google-gemini-v1"}
        said = {"role": "assistant", "tool_calls": [call], "reasoning_details": [sealed] * count}
        result = {"role": "tool", "tool_call_id": "c", "content": "x"}
        body = {"model": "m", "messages": [USER] * count + [said] + [result] * count + [said] * 2}
        request = read_chat(json.dumps(body).encode())
        best = 9.0
        for _ in range(3):
            begun = time.process_time()
            CHAT[provider].request(request, True)
            best = min(best, time.process_time() - begun)
        return best

    assert seconds(4000) < 40 * seconds(400) + 0.05


@pytest.mark.parametrize("arguments", ["", "{", "[1]", 'x","type":"text"', "null", '{"a":1} {}'])
def test_arguments_that_are_no_object_never_break_a_message(arguments: str) -> None:
    reply = ChatReply("r", "m", (Choice((ToolCall("c", "f", arguments),), "tool_calls"),))
    told = json.loads(write_message(reply, None, STAMP))["content"]
    assert len(told) == 1
    assert told[0]["input"] == ({"INVALID_JSON": arguments} if arguments else {})
    assert json.loads(write_reply(reply, None, STAMP))["choices"][0]["message"]["tool_calls"]


def test_claude_on_vertex_is_spoken_to_and_read_as_anthropic() -> None:
    vertex, claude = CHAT[Provider.VERTEX], DIALECTS[Provider.ANTHROPIC]
    request = read_chat(json.dumps({"model": "claude-sonnet-4-5@20250929", "messages": [USER]}).encode())
    body = json.loads(vertex.request(request, False)[0])
    assert body["anthropic_version"] == "vertex-2023-10-16"
    assert "model" not in body
    place = b"/v1/publishers/anthropic/models/claude-sonnet-4-5%4020250929"
    assert vertex.path(request.model, False) == place + b":rawPredict"
    assert vertex.path(request.model, True) == place + b":streamRawPredict"
    for answer in ANSWERS.values():
        assert vertex.reply(claude.reply(answer)) == CHAT[Provider.ANTHROPIC].reply(claude.reply(answer))
        reader, own = vertex.stream(), CHAT[Provider.ANTHROPIC].stream()
        events = own.feed(claude.stream(answer)) + own.finish()
        assert reader.feed(claude.stream(answer)) + reader.finish() == events
    assert vertex.error(*claude.refusal) == CHAT[Provider.ANTHROPIC].error(*claude.refusal)


def test_an_older_models_forced_tool_is_told_as_the_answer() -> None:
    block = {"type": "tool_use", "id": "t", "name": JSON_TOOL, "input": {"city": "Paris"}}
    whole = json.dumps({"id": "r", "model": "m", "content": [block], "stop_reason": "tool_use"}).encode()
    (choice,) = CHAT[Provider.ANTHROPIC].reply(whole).choices
    assert (choice.parts, choice.stop) == ((Text('{"city": "Paris"}'),), "stop")
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ('{"city":', '"Paris"}')]
    stream = sse(
        {"type": "message_start", "message": {"id": "r", "model": "m"}},
        {"type": "content_block_start", "index": 0, "content_block": block | {"input": {}}},
        *[{"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas],
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
        {"type": "message_stop"},
    )
    reader = CHAT[Provider.ANTHROPIC].stream()
    folded = fold(reader.feed(stream) + reader.finish())
    assert (folded.text, folded.calls, folded.stop, folded.ended) == ('{"city":"Paris"}', {}, "stop", True)


def test_sealed_thoughts_of_a_stream_stay_apart() -> None:
    def chunk(*parts: dict[str, Any]) -> dict[str, Any]:
        return {
            "candidates": [{"content": {"parts": list(parts)}, "finishReason": "STOP"}],
            "responseId": "r",
        }

    sealed = [{"text": "", "thoughtSignature": "one"}, {"text": "b", "thoughtSignature": "two"}]
    reader = CHAT[Provider.GEMINI].stream()
    folded = fold(reader.feed(sse(chunk({"text": "hm", "thought": True}, *sealed))) + reader.finish())
    assert [(thought[0], thought[2]) for thought in folded.thoughts.values()] == [
        ("hm", None),
        ("", "one"),
        ("", "two"),
    ]


def test_a_call_without_a_word_of_arguments_has_an_empty_object() -> None:
    block = {"type": "tool_use", "id": "t", "name": "now", "input": {}}
    stream = sse(
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_stop"},
    )
    reader = CHAT[Provider.ANTHROPIC].stream()
    assert fold(reader.feed(stream)).calls == {0: ["t", "now", "{}", None]}


def test_several_choices_and_their_probabilities_are_kept_apart() -> None:
    tokens = [{"token": "a", "logprob": -0.5, "top_logprobs": [{"token": "b", "logprob": -1.0}]}]
    choices = [
        {"index": 1, "message": {"content": "second"}, "finish_reason": "length"},
        {
            "index": 0,
            "message": {"content": "first"},
            "finish_reason": "stop",
            "logprobs": {"content": tokens},
        },
    ]
    reply = CHAT[Provider.OPENAI].reply(json.dumps({"id": "r", "model": "m", "choices": choices}).encode())
    told = json.loads(write_reply(reply, None, STAMP))["choices"]
    assert [(one["index"], one["message"]["content"], one["finish_reason"]) for one in told] == [
        (0, "first", "stop"), (1, "second", "length"),
    ]  # fmt: skip
    assert told[0]["logprobs"]["content"][0]["top_logprobs"][0]["token"] == "b"
    assert told[1]["logprobs"] is None


def test_a_streams_choices_are_kept_apart_and_each_begins_with_its_role() -> None:
    def chunk(choice: int, **delta: Any) -> dict[str, Any]:
        return {"id": "r", "model": "m", "choices": [{"index": choice, "delta": delta}]}

    reader = CHAT[Provider.CUSTOM].stream()
    events = reader.feed(sse(chunk(0, content="a"), chunk(1, content="b"), chunk(0, content="c"), "[DONE]"))
    chunks = [
        json.loads(one[6:]) for one in ChunkWriter(STAMP, asked_usage=False).write(events).split(b"\n\n")[:-2]
    ]
    assert [(one["choices"][0]["index"], one["choices"][0]["delta"]) for one in chunks] == [
        (0, {"role": "assistant", "content": "a"}),
        (1, {"role": "assistant", "content": "b"}),
        (0, {"content": "c"}),
    ]


def test_calls_that_a_server_does_not_number_are_told_apart_by_their_ids() -> None:
    def call(**said: Any) -> dict[str, Any]:
        return {"id": "r", "model": "m", "choices": [{"index": 0, "delta": {"tool_calls": [said]}}]}

    reader = CHAT[Provider.CUSTOM].stream()
    events = reader.feed(
        sse(
            call(id="a", function={"name": "f", "arguments": '{"x"'}),
            call(function={"arguments": ":1}"}),
            call(id="b", function={"name": "g", "arguments": "{}"}),
            "[DONE]",
        )
    )
    assert fold(events).calls == {0: ["a", "f", '{"x":1}', None], 1: ["b", "g", "{}", None]}


def test_an_embedding_that_is_no_list_of_numbers_breaks_cleanly() -> None:
    for vector in (b"[null]", b'["x"]', b"{}", b"[1e300]"):
        with pytest.raises(UpstreamBroken):
            write_embeddings(EmbedReply("m", (msgspec.Raw(vector),)), None, STAMP, packed=True)
    with pytest.raises(ModelUnknown):
        EMBEDDINGS[Provider.BEDROCK].path("..")
