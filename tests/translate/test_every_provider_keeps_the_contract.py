"""The contract of a translation, over every provider: the same answer, told in nine dialects, is read alike."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.dialects import ANSWERS, CALLED, DIALECTS, PLAIN, SIGNATURE, Answer
from kit.folds import assembled, fold
from tokenone.dispatch.translate.faults import classed
from tokenone.dispatch.translate.form import CUT_OFF, ChatError, Event, Stamp, Text, Thought, ToolCall
from tokenone.dispatch.translate.front_chat_replies import ChunkWriter, write_error, write_reply
from tokenone.dispatch.translate.table import CHAT
from tokenone.errors import UpstreamBroken
from tokenone.types import ErrorClass, Provider, Usage

STAMP = Stamp("call_9", "asked-model", 1_700_000_000)
USAGE = Usage(input=10, output=5, cache_read=4, reasoning=2)
PROVIDERS = sorted(DIALECTS)
providers = pytest.mark.parametrize("provider", PROVIDERS)
cases = pytest.mark.parametrize("case", sorted(ANSWERS))


def streamed(provider: Provider, raw: bytes) -> list[Event]:
    reader = CHAT[provider].stream()
    return reader.feed(raw) + reader.finish()


def calls_of(answer: Answer) -> list[tuple[str, str, Any]]:
    return [(id, name, arguments) for id, name, arguments in answer.calls]


def test_every_provider_has_a_translation_and_a_dialect_to_test_it_with() -> None:
    assert set(CHAT) == set(DIALECTS) == set(Provider)


@providers
@cases
def test_a_whole_reply_says_what_was_answered(provider: Provider, case: str) -> None:
    answer, spoken = ANSWERS[case], DIALECTS[provider]
    (choice,) = CHAT[provider].reply(spoken.reply(answer)).choices
    thoughts = [part for part in choice.parts if isinstance(part, Thought)]
    assert [one.text for one in thoughts] == (["".join(answer.thought)] if answer.thought else [])
    assert [one.signature for one in thoughts] == [SIGNATURE if spoken.signs else None] * len(thoughts)
    assert "".join(part.text for part in choice.parts if isinstance(part, Text)) == "".join(answer.text)
    calls = [part for part in choice.parts if isinstance(part, ToolCall)]
    assert [(c.id, c.name, json.loads(c.arguments)) for c in calls] == calls_of(answer)
    assert choice.stop == ("tool_calls" if answer.calls else "stop")


@providers
@cases
def test_a_stream_says_what_the_whole_reply_says(provider: Provider, case: str) -> None:
    answer, spoken = ANSWERS[case], DIALECTS[provider]
    folded = fold(streamed(provider, spoken.stream(answer)))
    assert folded.ended
    assert folded.text == "".join(answer.text)
    assert [one[0] for one in folded.thoughts.values()] == (
        ["".join(answer.thought)] if answer.thought else []
    )
    assert all(one[1] == (SIGNATURE if spoken.signs else None) for one in folded.thoughts.values())
    calls = [folded.calls[at] for at in range(len(folded.calls))]
    assert [(id, name, json.loads(arguments or "")) for id, name, arguments, _ in calls] == calls_of(answer)
    assert folded.stop == ("tool_calls" if answer.calls else "stop")


@providers
@cases
def test_an_openai_caller_gets_the_same_message_whole_and_streamed(provider: Provider, case: str) -> None:
    answer, spoken = ANSWERS[case], DIALECTS[provider]
    whole = json.loads(write_reply(CHAT[provider].reply(spoken.reply(answer)), USAGE, STAMP))
    message = whole["choices"][0]["message"]
    writer = ChunkWriter(STAMP, asked_usage=True)
    told = assembled(writer.write(streamed(provider, spoken.stream(answer)), USAGE))
    assert told["content"] == (message["content"] or "")
    assert told["reasoning_content"] == message.get("reasoning_content", "")
    assert list(told["details"].values()) == message.get("reasoning_details", [])
    calls = [(c["id"], c["name"], json.loads(c["arguments"])) for c in told["calls"].values()]
    assert calls == [
        (c["id"], c["function"]["name"], json.loads(c["function"]["arguments"]))
        for c in message.get("tool_calls", ())
    ]
    assert told["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert (told["id"], told["model"]) == (whole["id"], whole["model"])
    assert told["usage"] == whole["usage"]
    assert told["done"]


def test_usage_is_told_as_openai_counts_and_absent_is_not_zero() -> None:
    reply = CHAT[Provider.ANTHROPIC].reply(DIALECTS[Provider.ANTHROPIC].reply(PLAIN))
    assert json.loads(write_reply(reply, USAGE, STAMP))["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    assert "usage" not in json.loads(write_reply(reply, None, STAMP))
    assert json.loads(write_reply(reply, Usage(output=0), STAMP))["usage"] == {"completion_tokens": 0}


@providers
def test_usage_is_streamed_only_to_who_asked(provider: Provider) -> None:
    events = streamed(provider, DIALECTS[provider].stream(PLAIN))
    quiet = ChunkWriter(STAMP, asked_usage=False).write(events, USAGE)
    assert b"usage" not in quiet
    assert quiet.endswith(b"data: [DONE]\n\n")
    unknown = ChunkWriter(STAMP, asked_usage=True).write(events, None)
    assert b"prompt_tokens" not in unknown


@providers
def test_a_refusal_is_read_and_told_in_the_callers_shape(provider: Provider) -> None:
    status, body = DIALECTS[provider].refusal
    error = CHAT[provider].error(status, body)
    assert (error.fault, error.message) == ("rate", "slow down")
    told = json.loads(write_error(error)[1])["error"]
    assert (told["message"], told["type"]) == ("slow down", "rate_limit_error")
    assert write_error(error)[0] == 429


@providers
def test_a_dead_key_never_looks_like_the_callers_own(provider: Provider) -> None:
    for error in (
        CHAT[provider].error(401, b"{}"),
        classed(CHAT[provider].error(400, b"{}"), ErrorClass.KEY_DEAD),
    ):
        status, body = write_error(error)
        assert status == 502
        assert json.loads(body)["error"]["code"] == "upstream_auth"


@pytest.mark.parametrize(
    ("found", "fault"),
    [(ErrorClass.BILLING, "billing"), (ErrorClass.UNKNOWN, "invalid"), (ErrorClass.RATE, "rate")],
)
def test_a_class_found_by_the_providers_facts_outweighs_the_status(found: ErrorClass, fault: str) -> None:
    assert classed(ChatError(400, "invalid", "credit is too low"), found).fault == fault


@providers
def test_an_error_midway_ends_the_stream_without_its_done(provider: Provider) -> None:
    spoken = DIALECTS[provider]
    begun = spoken.stream(PLAIN)[: len(spoken.stream(PLAIN)) // 2]
    whole = begun[: begun.rfind(b"\n\n") + 2] if provider is not Provider.BEDROCK else b""
    folded = fold(streamed(provider, whole + spoken.midway + spoken.stream(PLAIN)))
    assert folded.failed is not None
    assert folded.failed.error.message == "out of order"
    told = ChunkWriter(STAMP, asked_usage=True).write([folded.failed])
    assert assembled(told)["error"]["message"] == "out of order"
    assert b"[DONE]" not in told


@providers
@cases
def test_a_stream_that_is_cut_off_says_so(provider: Provider, case: str) -> None:
    raw = DIALECTS[provider].stream(ANSWERS[case])
    for share in (0.0, 0.3, 0.6):
        events = streamed(provider, raw[: int(len(raw) * share)])
        assert events[-1] == CUT_OFF


@providers
@given(case=st.sampled_from(sorted(ANSWERS)), sizes=st.lists(st.integers(1, 60), max_size=40))
def test_however_the_bytes_are_cut_the_events_are_the_same(
    provider: Provider, case: str, sizes: list[int]
) -> None:
    raw = DIALECTS[provider].stream(ANSWERS[case])
    reader, events, at = CHAT[provider].stream(), [], 0
    for size in [*sizes, len(raw)]:
        events += reader.feed(raw[at : at + size])
        at += size
    assert events + reader.finish() == streamed(provider, raw)


@providers
@given(where=st.integers(0, 5000), junk=st.binary(max_size=30), case=st.sampled_from(sorted(ANSWERS)))
def test_whatever_comes_a_stream_ends_once_and_never_raises(
    provider: Provider, where: int, junk: bytes, case: str
) -> None:
    raw = DIALECTS[provider].stream(ANSWERS[case])
    at = where % len(raw)
    folded = fold(streamed(provider, raw[:at] + junk + raw[at + len(junk) :]))
    assert folded.ended or folded.failed is not None


@providers
@given(
    body=st.one_of(st.binary(max_size=60), st.sampled_from([b"", b"[]", b"null", b'{"error":[1]}', b"[[[{"]))
)
def test_whatever_a_refusal_says_it_is_read_and_what_is_no_reply_breaks_cleanly(
    provider: Provider, body: bytes
) -> None:
    assert CHAT[provider].error(500, body).message
    with pytest.raises(UpstreamBroken):
        CHAT[provider].reply(body)


def test_nothing_follows_the_end_even_if_more_bytes_come() -> None:
    spoken = DIALECTS[Provider.ANTHROPIC]
    reader = CHAT[Provider.ANTHROPIC].stream()
    first = reader.feed(spoken.stream(CALLED))
    assert reader.feed(spoken.stream(PLAIN)) == []
    assert reader.finish() == []
    assert fold(first).ended
