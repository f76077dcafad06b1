"""The front for OpenAI's responses: any provider's answer as a response, and back what was told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.dialects import ANSWERS, DIALECTS, PLAIN
from tokenone.dispatch.translate.form import (
    ANTHROPIC_FORMAT,
    COHERE_FORMAT,
    GEMINI_FORMAT,
    CallDelta,
    ChatReply,
    Choice,
    Ended,
    Opened,
    Stamp,
    Stopped,
    Text,
    TextDelta,
    Thought,
    ToolCall,
    ToolResult,
    Turn,
)
from tokenone.dispatch.translate.front_responses import read_responses
from tokenone.dispatch.translate.front_responses_replies import ResponseWriter, write_reply
from tokenone.dispatch.translate.table import CHAT
from tokenone.errors import BodyTooDeep, MalformedBody, UnsupportedParameter
from tokenone.types import Provider, Usage

STAMP = Stamp("call_9", "asked", 1)
USAGE = Usage(input=10, output=5, cache_read=4, reasoning=2)
IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,aW1n"}
FILE_ID = "input[0].content.file_id"
providers = pytest.mark.parametrize("provider", sorted(DIALECTS))


def told(body: dict[str, Any]) -> bytes:
    return json.dumps({"model": "m", "input": "hi", **body}).encode()


def events_of(stream: bytes) -> list[dict[str, Any]]:
    """Returns the events; checks that they are numbered and named as they should be."""
    found = []
    for at, event in enumerate(stream.split(b"\n\n")[:-1]):
        name, _, data = event.partition(b"\ndata: ")
        found.append(json.loads(data))
        assert name == b"event: " + found[-1]["type"].encode()
        assert found[-1]["sequence_number"] == at
    return found


def check_items(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the items that were told whole; checks that their pieces add up and none overlaps another."""
    done: list[dict[str, Any]] = []
    pieces = ""
    for event in events:
        kind = event["type"]
        if "output_index" in event:
            assert event["output_index"] == len(done)
        if kind == "response.output_item.added":
            pieces = ""
        elif kind.endswith(".delta"):
            pieces += event["delta"]
        elif kind in ("response.output_text.done", "response.reasoning_summary_text.done"):
            assert event["text"] == pieces
        elif kind == "response.function_call_arguments.done":
            assert event["arguments"] == pieces
        elif kind == "response.output_item.done":
            done.append(event["item"])
    return done


@providers
@pytest.mark.parametrize("case", sorted(ANSWERS))
def test_a_caller_of_responses_gets_the_same_items_whole_and_streamed(provider: Provider, case: str) -> None:
    spoken = DIALECTS[provider]
    raw = spoken.stream(ANSWERS[case])
    whole = json.loads(write_reply(CHAT[provider].reply(spoken.reply(ANSWERS[case])), USAGE, STAMP))
    reader, writer = CHAT[provider].stream(), ResponseWriter(STAMP)
    events = events_of(writer.write(reader.feed(raw), USAGE) + writer.write(reader.finish(), USAGE))
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1]["type"] == "response.completed"
    assert check_items(events) == events[-1]["response"]["output"]

    def plain(response: dict[str, Any]) -> Any:
        """Arguments compare as what they mean."""
        for item in response["output"]:
            if "arguments" in item:
                item["arguments"] = json.loads(item["arguments"])
        return response

    assert plain(events[-1]["response"]) == plain(whole)
    assert whole["usage"]["total_tokens"] == 15
    assert whole["store"] is False


WORDS = st.text("abc é“", min_size=1, max_size=8)
THOUGHTS = st.one_of(
    st.builds(Thought, WORDS, WORDS, st.none(), st.sampled_from([ANTHROPIC_FORMAT, GEMINI_FORMAT])),
    st.builds(Thought, st.just(""), st.none(), WORDS, st.sampled_from([ANTHROPIC_FORMAT, GEMINI_FORMAT])),
    st.builds(Thought, WORDS, st.none(), st.none(), st.sampled_from([COHERE_FORMAT, "unknown"])),
)
CALLS = st.builds(ToolCall, WORDS, WORDS, st.just("{}"), st.one_of(st.none(), WORDS))


@given(st.lists(THOUGHTS, max_size=3), WORDS, st.lists(CALLS, max_size=3))
def test_what_a_caller_sends_back_of_a_response_is_the_turn_it_was(
    thoughts: list[Thought], text: str, calls: list[ToolCall]
) -> None:
    parts = (*thoughts, Text(text), *calls)
    reply = json.loads(write_reply(ChatReply("r", "m", (Choice(parts, "stop"),)), None, STAMP))
    (_, turn) = read_responses(told({"input": [{"role": "user", "content": "hi"}, *reply["output"]]})).turns
    assert turn == Turn("assistant", parts)


def test_a_request_of_a_response_is_read_into_the_form() -> None:
    body = {
        "instructions": "be brief",
        "max_output_tokens": 50,
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}},
        "tools": [{"type": "function", "name": "find", "parameters": {"type": "object"}, "strict": True}],
        "tool_choice": {"type": "function", "name": "find"},
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "what?"}, IMAGE]},
            {"type": "function_call", "call_id": "c", "name": "find", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "one"},
        ],
    }  # fmt: skip
    request = read_responses(told(body))
    assert [turn.role for turn in request.turns] == ["system", "user", "assistant", "tool"]
    assert request.turns[3].parts == (ToolResult("c", (Text("one"),), "find"),)
    assert (request.effort, request.max_tokens, request.tool_choice and request.tool_choice.name) == (
        "low",
        50,
        "find",
    )
    assert request.unknown == ()
    assert request.output is not None


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"store": True}, "store"),
        ({"background": True}, "background"),
        ({"include": ["file_search_call.results"]}, "include"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"metadata": {"a": "b"}}, "metadata"),
        ({"text": {"format": {"type": "json_object"}}}, "text.format"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}], "wish": 1}]},
            "input[0].wish",
        ),
    ],
)
def test_what_cannot_be_done_is_named_as_this_caller_spells_it(body: dict[str, Any], name: str) -> None:
    request = read_responses(told(body))
    with pytest.raises(UnsupportedParameter) as caught:
        CHAT[Provider.ANTHROPIC].request(request, False)
    assert f"`{name}`" in caught.value.detail
    assert name in CHAT[Provider.ANTHROPIC].request(request, True)[1]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"model":"m"}',
        told({"input": [{"role": "wizard", "content": "x"}]}),
        told({"input": [{"type": "computer_call"}]}),
        told({"input": {"role": "user"}}),
        told({"tools": [{"type": "web_search"}]}),
        told({"max_output_tokens": 0}),
    ],
)
def test_what_is_no_request_of_a_response_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        read_responses(body)


def test_a_body_nested_without_end_is_refused() -> None:
    with pytest.raises((BodyTooDeep, MalformedBody)):
        read_responses(b'{"model":"m","input":[{"role":' + b"[" * 100_000 + b"]" * 100_000 + b"}]}")


@providers
def test_a_failure_midway_is_a_failed_response_and_nothing_follows(provider: Provider) -> None:
    raw = DIALECTS[provider].stream(PLAIN)
    reader, writer = CHAT[provider].stream(), ResponseWriter(STAMP)
    events = events_of(writer.write(reader.feed(raw[: len(raw) // 2])) + writer.write(reader.finish()))
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["error"]["code"] == "cut_off"
    assert writer.write([Ended()]) == b""


@pytest.mark.parametrize(
    ("stop", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_an_answer_that_was_ended_early_is_incomplete(stop: Any, reason: str) -> None:
    writer = ResponseWriter(STAMP)
    events = events_of(writer.write([Opened("r", "m"), TextDelta("a"), Stopped(stop), Ended()]))
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["incomplete_details"] == {"reason": reason}
    assert events[-1]["response"]["usage"] is None


def test_calls_told_at_once_fail_instead_of_being_mixed_up() -> None:
    first, second = CallDelta(0, "a", "f", "{"), CallDelta(1, "b", "f", "{}")
    out = ResponseWriter(STAMP).write([Opened("r", "m"), first, second, CallDelta(0, arguments="}"), Ended()])
    assert events_of(out)[-1]["response"]["error"]["code"] == "interleaved"
