"""Streams: secrets cut over many deltas, nothing delayed that need not be, nothing changed that need not be."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenone.detect import SecretsDetector, StreamInspector
from tokenone.testing.recording import RecordingDetector
from tokenone.testing.standin import anthropic, openai
from tokenone.types import Action

RANDOM = random.Random(11)
KEY = "sk-" + "proj-" + "".join(RANDOM.choices("abcdefghkmnpqrstuvwxyzABCDEFGHKMN23456789", k=60))
MARK = "[redacted:openai-key]"
PEM = "\n".join(
    ["-----BEGIN " + "RSA PRIVATE KEY-----"]
    + ["".join(RANDOM.choices("abcdefghABCDEFGH23456789+/", k=64)) for _ in range(25)]
    + ["-----END " + "RSA PRIVATE KEY-----"]
)
DETECTORS = (SecretsDetector(),)


def ask(text):
    return {
        "model": "m",
        "max_tokens": 9,
        "stream": True,
        "messages": [{"role": "user", "content": f"echo {text}"}],
    }


def chat(text):
    return openai.chat(ask(text) | {"stream_options": {"include_usage": True}}).events


def tool_call(text):
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    asked = ask(text) | {"tools": [tool], "messages": [{"role": "user", "content": f"tool {text}"}]}
    return openai.chat(asked).events


def completions(text):
    return openai.completions({"model": "m", "stream": True, "prompt": f"echo {text}"}).events


def responses(text):
    return openai.responses({"model": "m", "stream": True, "input": f"echo {text}"}).events


def messages(text):
    return anthropic.messages(ask(text)).events


def tool_use(text):
    asked = ask(text) | {"tools": [{"name": "f"}], "messages": [{"role": "user", "content": f"tool {text}"}]}
    return anthropic.messages(asked).events


DIALECTS = [chat, tool_call, completions, responses, messages, tool_use]


def run(action, data, cut=None, detectors=DETECTORS):
    inspector = StreamInspector(detectors, action)
    step = cut or max(1, len(data))
    forwarded = [inspector.feed(data[at : at + step]) for at in range(0, len(data), step)]
    return inspector, b"".join([*forwarded, inspector.finish()])


def rows(data):
    lines = data.decode().split("\n")
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def said(data):
    """The text that a client assembles from the deltas of any dialect."""
    text = ""
    for row in rows(data):
        if "choices" in row:
            for choice in row["choices"]:
                delta = choice.get("delta", {})
                text += choice.get("text") or delta.get("content") or ""
                text += "".join(call["function"]["arguments"] for call in delta.get("tool_calls", ()))
        elif row["type"].endswith(".delta"):
            text += row["delta"]
        elif row["type"] == "content_block_delta":
            text += row["delta"].get("text") or row["delta"].get("partial_json") or ""
    return text


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("cut", [1, 7, None])
def test_flagging_forwards_each_byte_at_once_and_reports_the_secret_once(dialect, cut):
    data = b"".join(dialect(f"here: {KEY}, keep it"))
    inspector = StreamInspector(DETECTORS, Action.FLAG)
    step = cut or len(data)
    for at in range(0, len(data), step):
        assert inspector.feed(data[at : at + step]) == data[at : at + step]
    assert inspector.finish() == b""
    assert [finding.rule for finding in inspector.findings] == ["openai-key"]
    assert inspector.verdict is Action.FLAG


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("cut", [1, 7, None])
def test_redacting_takes_the_secret_out_of_every_event(dialect, cut):
    data = b"".join(dialect(f"here: {KEY}, keep it"))
    inspector, forwarded = run(Action.REDACT, data, cut)
    assert KEY not in said(forwarded)
    assert said(forwarded) == said(data).replace(KEY, MARK)
    assert KEY.encode() not in forwarded
    assert len(rows(forwarded)) == len(rows(data))
    assert inspector.verdict is Action.REDACT


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_private_key_over_hundreds_of_deltas_is_redacted_whole(dialect):
    data = b"".join(dialect(f"here:\n{PEM}\nkeep it"))
    inspector, forwarded = run(Action.REDACT, data, 100)
    assert PEM[100:140] not in said(forwarded)
    assert said(forwarded).count("[redacted:private-key]") == 1
    assert [finding.rule for finding in inspector.findings] == ["private-key"]
    assert "PRIVATE" not in said(forwarded)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("cut", [1, 7, None])
def test_blocking_stops_before_the_secrets_first_character(dialect, cut):
    data = b"".join(dialect(f"here: {KEY}, keep it"))
    inspector, forwarded = run(Action.BLOCK, data, cut)
    assert inspector.blocked
    assert inspector.verdict is Action.BLOCK
    assert data.startswith(forwarded)
    assert "sk-" not in said(forwarded)
    assert inspector.feed(b"data: more\n\n") == b""
    assert inspector.finish() == b""


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("action", list(Action))
def test_a_clean_stream_passes_byte_for_byte(dialect, action):
    data = b"".join(
        dialect('The quick brown fox; 100% «harmless» \\ " \n text, task-based and risk-free. ' * 5)
    )
    inspector, forwarded = run(action, data, 13)
    assert forwarded == data
    assert (inspector.findings, inspector.verdict, inspector.blocked) == ((), Action.ALLOW, False)


def test_allow_means_that_no_detector_sees_anything():
    recorder = RecordingDetector("quick")
    data = b"".join(chat("the quick fox"))
    assert run(Action.ALLOW, data, 9, [recorder])[1] == data
    assert recorder.texts == []


def test_prose_is_held_back_by_no_more_than_the_word_that_is_being_written():
    inspector = StreamInspector(DETECTORS, Action.REDACT)
    waiting = 0
    for event in chat("plain words go on and on without a secret " * 10):
        waiting += len(event) - len(inspector.feed(event))
        assert waiting <= 4 * len(event) + 500


def test_events_keep_their_order_while_one_is_held():
    events = messages("x sk-" + "proj-almost")
    inspector = StreamInspector(DETECTORS, Action.REDACT)
    forwarded = b"".join(
        inspector.feed(event) for event in (*events[:-3], b"event: ping\ndata: {}\n\n", *events[-3:])
    )
    forwarded += inspector.finish()
    assert forwarded == b"".join((*events[:-3], b"event: ping\ndata: {}\n\n", *events[-3:]))


def test_what_is_held_is_bounded():
    inspector = StreamInspector(DETECTORS, Action.REDACT)
    waiting = 0
    for event in chat("sk-" + "aB3dE5" * 8000):
        waiting += len(event) - len(inspector.feed(event))
        assert waiting < 2_000_000
    assert inspector.finish() or waiting == 0


def test_two_choices_in_turns_are_two_texts():
    events = []
    halves = [(0, f"a {KEY[:30]}"), (1, "b plain "), (0, KEY[30:]), (1, "and done "), (0, " end ")]
    for index, text in halves:
        events.append(
            b"data: "
            + json.dumps({"choices": [{"index": index, "delta": {"content": text}}]}).encode()
            + b"\n\n"
        )
    _, forwarded = run(Action.REDACT, b"".join(events))
    texts = {0: "", 1: ""}
    for row in rows(forwarded):
        texts[row["choices"][0]["index"]] += row["choices"][0]["delta"]["content"]
    assert texts == {0: f"a {MARK} end ", 1: "b plain and done "}


def test_two_choices_in_one_event_are_two_texts():
    def event(*texts):
        choices = [{"index": number, "delta": {"content": text}} for number, text in texts]
        return b"data: " + json.dumps({"choices": choices}).encode() + b"\n\n"

    data = event((0, f"a {KEY[:30]}"), (1, "b ")) + event((0, KEY[30:] + " "), (1, "c ")) + event((1, "d "))
    _, forwarded = run(Action.REDACT, data)
    texts = {0: "", 1: ""}
    for row in rows(forwarded):
        for choice in row["choices"]:
            texts[choice["index"]] += choice["delta"]["content"]
    assert texts == {0: f"a {MARK} ", 1: "b c d "}


def test_reasoning_and_content_are_two_texts():
    def event(**delta):
        return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"

    data = (
        event(reasoning_content=KEY[:30]) + event(content="hello ") + event(reasoning_content=KEY[30:] + " ")
    )
    inspector, forwarded = run(Action.REDACT, data)
    assert [finding.rule for finding in inspector.findings] == ["openai-key"]
    assert KEY[30:50].encode() not in forwarded


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
def test_every_line_ending_of_the_standard_ends_an_event(end):
    line = end[: len(end) // 2]
    events = [event.rstrip(b"\n").replace(b"\n", line) + end for event in messages(f"here: {KEY} ok")]
    for cut in (1, 5, None):
        inspector, forwarded = run(Action.REDACT, b"".join(events), cut)
        assert inspector.findings
        assert b"redacted:openai-key" in forwarded
        assert KEY[20:40].encode() not in forwarded


def test_an_event_of_an_unknown_shape_is_inspected_by_its_strings():
    data = b"event: custom\ndata: " + json.dumps({"whatever": [f"x {KEY}"]}).encode() + b"\n\n"
    _, forwarded = run(Action.REDACT, data)
    assert forwarded == data.replace(KEY.encode(), MARK.encode())


def test_a_stream_that_breaks_off_is_decided_at_its_end():
    data = b"".join(chat(f"here: {KEY}"))
    broken = data[: data.rindex(KEY[-4:].encode()) + 4]
    inspector, forwarded = run(Action.REDACT, broken)
    assert [finding.rule for finding in inspector.findings] == ["openai-key"]
    assert KEY[20:30] not in said(forwarded.rpartition(b"\n\n")[0])


TEXTS = st.lists(
    st.sampled_from(
        [KEY, PEM[:700], "plain words ", "sk-", "-----BEGIN ", "é🎈 ", '"quoted\\" ', "\n", "ghp_", " . "]
    ),
    min_size=1,
    max_size=8,
).map("".join)


@given(
    TEXTS,
    st.sampled_from(DIALECTS),
    st.sampled_from([Action.REDACT, Action.BLOCK, Action.FLAG]),
    st.integers(0, 2**32),
    st.sampled_from([3, 40, 2000]),
)
@settings(max_examples=80, deadline=None)
def test_the_result_is_the_same_however_the_bytes_are_cut(text, dialect, action, seed, longest):
    stream = b"".join(dialect(text))
    dice = random.Random(seed)
    whole, expected = run(action, stream)
    inspector = StreamInspector(DETECTORS, action)
    forwarded, at = [], 0
    while at < len(stream):
        step = dice.randint(1, longest)
        forwarded.append(inspector.feed(stream[at : at + step]))
        at += step
    assert b"".join([*forwarded, inspector.finish()]) == expected
    assert inspector.findings == whole.findings
    assert inspector.blocked == whole.blocked


@given(TEXTS)
@settings(max_examples=100, deadline=None)
def test_a_stream_is_redacted_as_the_whole_text_would_be(text):
    expected, shift = text, 0
    for finding in DETECTORS[0].inspect(text):
        mark = f"[redacted:{finding.rule}]"
        expected = expected[: finding.start + shift] + mark + expected[finding.end + shift :]
        shift += len(mark) - (finding.end - finding.start)
    _, forwarded = run(Action.REDACT, b"".join(chat(text)), 64)
    assert said(forwarded) == expected
