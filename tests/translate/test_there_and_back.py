"""Properties: what is translated there and back keeps what both sides know."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tokenone.dispatch.translate.form import (
    ANTHROPIC_FORMAT,
    BEDROCK_FORMAT,
    COHERE_FORMAT,
    GEMINI_FORMAT,
    ChatReply,
    ChatRequest,
    Choice,
    Logprob,
    Media,
    Output,
    Stamp,
    Text,
    Thought,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from tokenone.dispatch.translate.front_chat import read_chat
from tokenone.dispatch.translate.front_chat_replies import write_reply
from tokenone.dispatch.translate.table import CHAT
from tokenone.types import Provider

STAMP = Stamp("call_9", "asked", 1)
WORDS = st.text(max_size=20).filter(lambda text: not any("\ud800" <= letter <= "\udfff" for letter in text))
SOME = WORDS.filter(bool)
NAMES = st.text("abcdef_", min_size=1, max_size=8)
OBJECTS = st.dictionaries(
    NAMES, st.one_of(WORDS, st.integers(-9, 9), st.none(), st.lists(WORDS, max_size=2)), max_size=3
)
ARGUMENTS = OBJECTS.map(json.dumps)
SIGNED = st.builds(
    Thought, WORDS, SOME, st.none(), st.sampled_from([ANTHROPIC_FORMAT, GEMINI_FORMAT, BEDROCK_FORMAT])
)
SEALED = st.builds(Thought, st.just(""), st.none(), SOME, st.sampled_from([ANTHROPIC_FORMAT, COHERE_FORMAT]))
THOUGHTS = st.lists(st.one_of(SIGNED, SEALED), max_size=3)
CALLS = st.lists(
    st.builds(ToolCall, NAMES, NAMES, ARGUMENTS, st.one_of(st.none(), SOME)),
    max_size=3,
    unique_by=lambda call: call.id,
)
IMAGES = st.one_of(
    st.builds(Media, st.just("image"), st.just("image/png"), st.just("aW1n")),
    st.builds(
        Media,
        st.just("image"),
        url=st.just("https://example.com/a.png"),
        detail=st.sampled_from([None, "low"]),
    ),
)


@st.composite
def replies(draw: st.DrawFn) -> ChatReply:
    text = draw(SOME.map(Text))
    parts: tuple[Any, ...] = (*draw(THOUGHTS), text, *draw(CALLS))
    stop = draw(st.sampled_from(["stop", "length", "tool_calls", "content_filter"]))
    token = st.builds(Logprob, SOME, st.floats(-9, 0), st.just(()))
    logprobs = draw(st.one_of(st.none(), st.lists(token, max_size=2).map(tuple)))
    return ChatReply(draw(SOME), draw(SOME), (Choice(parts, stop, logprobs=logprobs),))


@given(replies())
def test_a_reply_told_in_openais_shape_is_read_as_it_was(reply: ChatReply) -> None:
    assert CHAT[Provider.OPENROUTER].reply(write_reply(reply, None, STAMP)) == reply


@given(replies())
def test_what_a_caller_sends_back_of_a_reply_is_the_turn_it_was(reply: ChatReply) -> None:
    """Reasoning with its signatures, calls with theirs: nothing is lost on the way through the caller."""
    message = json.loads(write_reply(reply, None, STAMP))["choices"][0]["message"]
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}, message]}
    (_, turn) = read_chat(json.dumps(body).encode()).turns
    assert turn == Turn("assistant", reply.choices[0].parts)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Turn, ...]:
    turns = [Turn("system", (Text(draw(SOME)),))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 3))):
        asked = [Text(draw(SOME)), *draw(st.lists(IMAGES, max_size=1))]
        turns.append(Turn("user", tuple(asked)))
        calls = draw(CALLS)
        turns.append(
            Turn(
                "assistant",
                (
                    *draw(THOUGHTS),
                    Text(draw(SOME)),
                    *[msgspec.structs.replace(c, signature=None) for c in calls],
                ),
            )
        )
        turns += [Turn("tool", (ToolResult(c.id, (Text(draw(SOME)),), c.name),)) for c in calls]
    return tuple(turns)


@st.composite
def requests(draw: st.DrawFn) -> ChatRequest:
    schema = msgspec.Raw(b'{"type":"object","properties":{}}')
    tools = tuple(
        Tool(name, draw(st.one_of(st.none(), SOME)), schema) for name in draw(st.sets(NAMES, max_size=2))
    )
    choices = [None, ToolChoice("auto"), ToolChoice("none"), ToolChoice("required")]
    return ChatRequest(
        model=draw(SOME),
        turns=draw(conversations()),
        tools=tools,
        tool_choice=draw(st.sampled_from(choices)) if tools else None,
        output=draw(st.sampled_from([None, Output(), Output(schema, "reply")])),
        max_tokens=draw(st.one_of(st.none(), st.integers(1, 9))),
        temperature=draw(st.one_of(st.none(), st.floats(0, 2))),
        top_k=draw(st.one_of(st.none(), st.integers(1, 9))),
        stop=draw(st.lists(SOME, max_size=2).map(tuple)),
        choices=draw(st.one_of(st.none(), st.integers(1, 3))),
        seed=draw(st.one_of(st.none(), st.integers(0, 9))),
        stream=draw(st.booleans()),
    )


@given(requests())
def test_a_request_written_for_an_openai_server_is_the_request_that_was_read(request: ChatRequest) -> None:
    body, dropped = CHAT[Provider.OPENROUTER].request(request, False)
    assert dropped == ()
    again = read_chat(body)
    assert again.turns == request.turns
    for name in ChatRequest.__struct_fields__:
        if name not in ("turns", "tools", "output", "asked_usage"):
            assert getattr(again, name) == getattr(request, name), name
    assert [(tool.name, tool.description) for tool in again.tools] == [
        (tool.name, tool.description) for tool in request.tools
    ]
    assert (again.output is None) == (request.output is None)


ELSEWHERE = [Provider.ANTHROPIC, Provider.BEDROCK, Provider.GEMINI, Provider.VERTEX, Provider.COHERE]


@given(requests(), st.sampled_from(ELSEWHERE))
def test_every_word_and_every_call_reaches_the_provider(request: ChatRequest, provider: Provider) -> None:
    """Text, arguments and results are in what is sent, in order, whatever else had to be dropped."""
    body, _ = CHAT[provider].request(request, True)
    sent = list(strings(json.loads(body)))
    for turn in request.turns:
        for part in turn.parts:
            if isinstance(part, Text):
                assert part.text in sent
            elif isinstance(part, ToolCall):
                assert part.name in sent
            elif isinstance(part, ToolResult) and isinstance(part.parts[0], Text):
                assert part.parts[0].text in sent


def strings(value: Any) -> Any:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


@given(requests())
def test_sides_take_turns_where_the_provider_demands_it(request: ChatRequest) -> None:
    for provider, field in (
        (Provider.ANTHROPIC, "messages"),
        (Provider.BEDROCK, "messages"),
        (Provider.GEMINI, "contents"),
    ):
        turns = json.loads(CHAT[provider].request(request, True)[0])[field]
        assert all(one["role"] != other["role"] for one, other in pairwise(turns))


@given(
    conversations(),
    st.sampled_from(
        [
            (Provider.ANTHROPIC, ANTHROPIC_FORMAT),
            (Provider.BEDROCK, BEDROCK_FORMAT),
            (Provider.GEMINI, GEMINI_FORMAT),
        ]
    ),
)
def test_only_its_own_signatures_go_back_to_a_provider(
    turns: tuple[Turn, ...], whose: tuple[Provider, str]
) -> None:
    provider, own = whose
    body, left = CHAT[provider].request(ChatRequest(model="m", turns=turns), True)
    sent = list(strings(json.loads(body)))
    foreign = False
    for turn in turns:
        for thought in (part for part in turn.parts if isinstance(part, Thought)):
            foreign |= thought.format != own
            if thought.format == own:
                assert (thought.signature or thought.sealed) in sent
    assert any("reasoning_details" in name for name in left) == foreign
