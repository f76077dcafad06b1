"""The front for Anthropic's messages: any provider's answer as messages, and back what was told."""

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
    CUT_OFF,
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
    ThoughtDelta,
    ToolCall,
    Turn,
)
from tokenone.dispatch.translate.front_messages import read_messages
from tokenone.dispatch.translate.front_messages_replies import MessageWriter, write_error, write_reply
from tokenone.dispatch.translate.table import CHAT
from tokenone.errors import MalformedBody, UnsupportedParameter
from tokenone.types import Provider, Usage

STAMP = Stamp("call_9", "asked", 1)
USAGE = Usage(input=10, output=5, cache_read=4, cache_write=1)
HELLO = {"role": "user", "content": "hi"}
providers = pytest.mark.parametrize("provider", sorted(DIALECTS))


def told(body: dict[str, Any]) -> bytes:
    return json.dumps({"model": "m", "max_tokens": 4000, "messages": [HELLO], **body}).encode()


def assembled(stream: bytes) -> dict[str, Any]:
    """Adds the events up to a message as an SDK would; checks that blocks open and close in order."""
    message: dict[str, Any] = {}
    open_: int | None = None
    for event in stream.split(b"\n\n")[:-1]:
        name, _, data = event.partition(b"\ndata: ")
        found = json.loads(data)
        assert name == b"event: " + found["type"].encode()
        kind = found["type"]
        if kind == "message_start":
            message = found["message"]
        elif kind == "content_block_start":
            assert open_ is None
            assert found["index"] == len(message["content"])
            open_ = found["index"]
            message["content"].append(found["content_block"] | {"json": ""})
        elif kind == "content_block_delta":
            assert found["index"] == open_
            add(message["content"][-1], found["delta"])
        elif kind == "content_block_stop":
            assert found["index"] == open_
            open_ = None
        elif kind == "message_delta":
            message |= found["delta"]
            message["usage"] |= found["usage"]
        else:
            message[kind] = found
    for block in message.get("content", ()):
        pieces = block.pop("json")
        if block["type"] == "tool_use":
            block["input"] = json.loads(pieces)
    assert open_ is None or "error" in message
    return message


def add(block: dict[str, Any], delta: dict[str, Any]) -> None:
    for name, member in (
        ("text", "text"),
        ("thinking", "thinking"),
        ("signature", "signature"),
        ("partial_json", "json"),
    ):
        block[member] = block.get(member, "") + delta[name] if name in delta else block.get(member, "")
    for member in ("text", "thinking", "signature"):
        if not block[member] and member not in {"text": "text", "thinking": "thinking signature"}.get(
            block["type"], ""
        ):
            del block[member]


@providers
@pytest.mark.parametrize("case", sorted(ANSWERS))
def test_an_anthropic_caller_gets_the_same_message_whole_and_streamed(provider: Provider, case: str) -> None:
    spoken = DIALECTS[provider]
    whole = json.loads(write_reply(CHAT[provider].reply(spoken.reply(ANSWERS[case])), USAGE, STAMP))
    reader, writer = CHAT[provider].stream(), MessageWriter(STAMP)
    raw = spoken.stream(ANSWERS[case])
    message = assembled(writer.write(reader.feed(raw), USAGE) + writer.write(reader.finish(), USAGE))
    assert "message_stop" in message
    for name in ("id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"):
        assert message[name] == whole[name], name
    assert whole["usage"] == {
        "input_tokens": 5, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 1, "output_tokens": 5,
    }  # fmt: skip


WORDS = st.text("abc é“", min_size=1, max_size=8)
THOUGHTS = st.one_of(
    st.builds(Thought, WORDS, WORDS, st.none(), st.sampled_from([ANTHROPIC_FORMAT, GEMINI_FORMAT])),
    st.builds(Thought, st.just(""), st.none(), WORDS, st.sampled_from([ANTHROPIC_FORMAT, GEMINI_FORMAT])),
    st.builds(Thought, WORDS, st.none(), st.none(), st.sampled_from([COHERE_FORMAT, "unknown"])),
)
CALLS = st.builds(ToolCall, WORDS, WORDS, st.just('{"a": 1}'), st.one_of(st.none(), WORDS))


@given(st.lists(THOUGHTS, max_size=3), WORDS, st.lists(CALLS, max_size=3))
def test_what_a_caller_sends_back_of_a_message_is_the_turn_it_was(
    thoughts: list[Thought], text: str, calls: list[ToolCall]
) -> None:
    parts = (*thoughts, Text(text), *calls)
    reply = json.loads(write_reply(ChatReply("r", "m", (Choice(parts, "stop"),)), None, STAMP))
    back = {"role": "assistant", "content": reply["content"]}
    (_, turn) = read_messages(told({"messages": [HELLO, back]})).turns
    assert turn == Turn("assistant", parts)


def test_a_stream_tells_signatures_as_the_whole_reply_does() -> None:
    events = [
        Opened("r", "m"),
        ThoughtDelta(0, "hm", format=COHERE_FORMAT),
        ThoughtDelta(1, sealed="x", format=GEMINI_FORMAT),
        TextDelta("a"),
        CallDelta(0, "c", "f", "{}", signature="s"),
        Stopped("tool_calls"),
        Ended(),
    ]
    message = assembled(MessageWriter(STAMP).write(events))
    (_, turn) = read_messages(
        told({"messages": [HELLO, {"role": "assistant", "content": message["content"]}]})
    ).turns
    assert turn.parts == (
        Thought("hm", format=COHERE_FORMAT),
        Thought(sealed="x", format=GEMINI_FORMAT),
        Text("a"),
        ToolCall("c", "f", "{}", "s"),
    )
    assert message["usage"] == {"input_tokens": None, "output_tokens": None}


@providers
def test_a_failure_midway_is_one_error_event_and_nothing_follows(provider: Provider) -> None:
    raw = DIALECTS[provider].stream(PLAIN)
    reader, writer = CHAT[provider].stream(), MessageWriter(STAMP)
    out = writer.write(reader.feed(raw[: len(raw) // 2])) + writer.write(reader.finish())
    assert out.endswith(b'"code":"cut_off"}}\n\n')
    assert writer.write([Ended()]) == b""
    assert b"message_stop" not in out


def test_calls_told_at_once_fail_instead_of_being_mixed_up() -> None:
    first, second = CallDelta(0, "a", "f", "{"), CallDelta(1, "b", "f", "{}")
    out = MessageWriter(STAMP).write([Opened("r", "m"), first, second, CallDelta(0, arguments="}"), Ended()])
    assert b'"code":"interleaved"' in out
    assert b"message_stop" not in out


def test_a_request_of_messages_is_read_into_the_form() -> None:
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "cGRm"}
    body = {
        "system": [{"type": "text", "text": "be brief"}],
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u"},
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "tools": [{"name": "find", "description": "Finds", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": "find", "disable_parallel_tool_use": True},
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "what?"},
                    {"type": "document", "source": pdf, "title": "a"},
                ],
            },
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "c", "name": "find", "input": {"q": 1}}],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c", "content": "one", "is_error": True},
                    {"type": "text", "text": "and?"},
                ],
            },
        ],
    }
    request = read_messages(told(body))
    assert [turn.role for turn in request.turns] == ["system", "user", "assistant", "user"]
    sent, dropped = CHAT[Provider.COHERE].request(request, True)
    assert dropped == (
        "tool_choice.disable_parallel_tool_use",
        "metadata.user_id",
        "messages[1].content.document",
        "thinking",
    )
    assert [one["role"] for one in json.loads(sent)["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "user",
    ]
    there = json.loads(CHAT[Provider.GEMINI].request(request, True)[0])
    assert there["contents"][2]["parts"][0]["functionResponse"]["response"] == {"error": "one"}
    assert request.effort == "medium"


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"stop_sequences": ["x"], "mcp_servers": []}, "mcp_servers"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "citations": {}}]}]},
            "messages[0].content[0].citations",
        ),
        ({"service_tier": "standard_only"}, "service_tier"),
        ({"metadata": {"user_id": "u"}}, "metadata.user_id"),
        ({"output_config": {"wish": 1}}, "output_config.wish"),
    ],
)
def test_what_cannot_be_done_is_named_as_this_caller_spells_it(body: dict[str, Any], name: str) -> None:
    request = read_messages(told(body))
    with pytest.raises(UnsupportedParameter) as caught:
        CHAT[Provider.GEMINI].request(request, False)
    assert f"`{name}`" in caught.value.detail
    assert CHAT[Provider.GEMINI].request(request, True)[1] == (name,)


def test_marks_for_a_cache_are_left_out_by_name_and_never_refused() -> None:
    cached = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
    request = read_messages(told({"system": [cached], "messages": [{"role": "user", "content": [cached]}]}))
    left = CHAT[Provider.OPENAI].request(request, False)[1]
    assert sorted(left) == ["messages[0].content[0].cache_control", "system[0].cache_control"]


WRONG: list[dict[str, Any]] = [
    {"max_tokens": 0},
    {"messages": [{"role": "tool", "content": ""}]},
    {"messages": [{"role": "user", "content": [{"type": "video"}]}]},
    {"tool_choice": {"type": "maybe"}},
]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"model":"m","messages":[]}', *[told(one) for one in WRONG]])
def test_what_is_no_request_of_messages_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        read_messages(body)


@providers
def test_a_refusal_is_told_in_anthropics_shape(provider: Provider) -> None:
    status, body = write_error(CHAT[provider].error(*DIALECTS[provider].refusal))
    assert status == 429
    error = json.loads(body)["error"]
    assert (error["type"], error["message"]) == ("rate_limit_error", "slow down")
    assert write_error(CHAT[provider].error(401, b"{}"))[0] == 502
    assert write_error(CUT_OFF.error)[0] == 502
