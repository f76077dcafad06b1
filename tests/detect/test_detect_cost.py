"""What inspection costs: linear in hostile text, next to nothing for clean traffic. Figures are printed."""

import base64
import json
import random
import time

import pytest

from tokenone.detect import SecretsDetector, StreamInspector, inspect_body
from tokenone.testing.standin import anthropic, openai
from tokenone.types import Action

DETECTOR = SecretsDetector()
MEGABYTE = 1 << 20
PROSE = "Please explain the difference between a process and a thread; risk-free, task-based, in max_tokens. "
HOSTILE = {
    "sk-": "sk-",
    "sk- with a run": "sk-" + "a" * 40 + ".",
    "one long run": "a",
    "one long sk- run": "sk-" + "aB3" * (MEGABYTE // 3),
    "key block headers": "-----BEGIN PRIVATE KEY-----\n",
    "key block labels": "-----BEGIN RSA PRIVATE ",
    "key block header lines": "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4\n",
    "dashes": "-",
    "short lines of a key": "-----BEGIN PRIVATE KEY-----\n" + "ab\n" * (MEGABYTE // 3),
    "jwt heads": "eyJ",
    "jwt parts": "eyJhbGciOiJIUzI1NiJ9.",
    "half jwts": "eyJhbGciOiJIUzI1NiJ9.eyJ" + "a" * 200 + " ",
    "github": "ghp_" + "a" * 36 + " ",
    "aws ids": "AKIAABCDEFGHIJKLMNOP ",
    "aws words": "secret_access_key=",
    "api keys": "api_key=api-key=",
    "azure context": "azure api_key='",
    "azure marks": "a" * 52 + "JQQJ99",
    "slack": "xoxb-1-",
    "backslashes": "\\",
    "line breaks in words": "-----BEGIN EC PRIVATE KEY-----" + "\\n" * 1000,
    "quotes": '"',
    "nul": "\0",
}


def seconds(function, *arguments):
    started = time.process_time()
    function(*arguments)
    return time.process_time() - started


def repeat_to(unit, size):
    return (unit * (size // len(unit) + 1))[:size]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_megabyte_of_hostile_text_costs_linear_time(name):
    small, large = (repeat_to(HOSTILE[name], size) for size in (MEGABYTE // 8, MEGABYTE))
    few = min(seconds(DETECTOR.inspect, small) for _ in range(3))
    many = min(seconds(DETECTOR.inspect, large) for _ in range(2))
    print(f"{name}: {many * 1000:.0f} ms/MB")
    assert many < 2
    assert many < 24 * max(few, 0.002)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_is_redacted_in_bounded_time(name):
    body = json.dumps({"a": repeat_to(HOSTILE[name], MEGABYTE // 2), "b": PROSE + "\u00e9"}).encode()
    assert seconds(inspect_body, body, (DETECTOR,), Action.REDACT) < 3


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_stream_is_held_and_decided_in_bounded_time(name):
    text = repeat_to(HOSTILE[name], 12_000)
    events = openai.chat(
        {"model": "m", "stream": True, "messages": [{"role": "user", "content": f"echo {text}"}]}
    ).events
    inspector = StreamInspector((DETECTOR,), Action.REDACT)
    spent = seconds(lambda: [inspector.feed(event) for event in events] + [inspector.finish()])
    assert spent / len(events) < 0.003


def test_ten_thousand_secrets_in_one_body_are_redacted_in_bounded_time():
    key = "hf_" + "".join(random.Random(2).choices("abcdefghijkmnopqrstuvwxyzABCDEFG", k=34))
    body = json.dumps({"a": f"é {key} " * 10_000}).encode()
    started = time.process_time()
    inspection = inspect_body(body, (DETECTOR,), Action.REDACT)
    assert inspection.body.count(b"[redacted:hugging-face-token]") == 10_000
    assert time.process_time() - started < 3


def best_of(function, times):
    """Returns the microseconds of the best of several rounds, so that a busy machine does not count."""
    rounds = []
    for _ in range(9):
        started = time.perf_counter()
        for _ in range(times):
            function()
        rounds.append((time.perf_counter() - started) / times * 1e6)
    return min(rounds)


def test_a_clean_body_of_a_kilobyte_costs_microseconds():
    body = json.dumps(
        {"model": "gpt-4.1", "messages": [{"role": "user", "content": (PROSE * 10)[:950]}]}
    ).encode()
    spent = best_of(lambda: inspect_body(body, (DETECTOR,), Action.FLAG), 300)
    print(f"clean body of {len(body)} bytes: {spent:.1f} us")
    assert spent < 60  # the aim is 10 on a quiet machine


@pytest.mark.parametrize("dialect", ["chat", "responses", "messages"])
def test_a_clean_event_costs_microseconds_when_flagging(dialect):
    asked = [{"role": "user", "content": f"echo {PROSE * 40}"}]
    if dialect == "responses":
        events = openai.responses({"model": "m", "stream": True, "input": asked}).events
    else:
        answer = openai.chat if dialect == "chat" else anthropic.messages
        events = answer({"model": "m", "max_tokens": 9, "stream": True, "messages": asked}).events
    figures = {}
    for action in (Action.FLAG, Action.REDACT):

        def whole_stream(action=action):
            inspector = StreamInspector((DETECTOR,), action)
            for event in events:
                inspector.feed(event)
            inspector.finish()

        figures[action] = best_of(whole_stream, 1) / len(events)
        print(f"{dialect}, {action}: {figures[action]:.1f} us an event")
    assert figures[Action.FLAG] < 40  # the aim is 5 on a quiet machine
    assert figures[Action.REDACT] < 250


def test_a_megabyte_of_base64_costs_milliseconds():
    image = base64.b64encode(random.Random(4).randbytes(750_000)).decode()
    body = json.dumps(
        {"messages": [{"content": [{"image_url": {"url": f"data:image/png;base64,{image}"}}]}]}
    ).encode()
    spent = best_of(lambda: inspect_body(body, (DETECTOR,), Action.FLAG), 1) / 1000
    print(f"a megabyte of base64: {spent:.1f} ms")
    assert spent < 100
