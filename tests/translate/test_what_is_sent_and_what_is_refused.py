"""Requests: the vectors hold what each provider is sent; what it cannot do is refused or dropped by name."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tokenone.dispatch.translate.front_chat import read_chat
from tokenone.dispatch.translate.leaving import dropped_header
from tokenone.dispatch.translate.table import CHAT
from tokenone.errors import BodyTooDeep, MalformedBody, TokenOneError, UnsupportedParameter
from tokenone.types import Provider

ROOT = Path(__file__).resolve().parents[2]
VECTORS = json.loads((ROOT / "vectors/translate-chat.json").read_text(encoding="utf-8"))


def named(vector: dict[str, Any]) -> str:
    return f"{vector['provider']}: {vector['name']}"


def sent(vector: dict[str, Any], *, drop: bool = False) -> tuple[Any, list[str]]:
    request = read_chat(json.dumps(vector["body"]).encode())
    body, dropped = CHAT[Provider(vector["provider"])].request(request, drop)
    return json.loads(body), list(dropped)


@pytest.mark.parametrize("vector", VECTORS["good"], ids=named)
def test_a_request_is_sent_as_the_vectors_say(vector: dict[str, Any]) -> None:
    assert sent(vector, drop=vector["drop"]) == (vector["sent"], vector["dropped"])


@pytest.mark.parametrize("vector", VECTORS["bad"], ids=named)
def test_a_request_that_cannot_be_sent_is_refused_by_name(vector: dict[str, Any]) -> None:
    with pytest.raises(TokenOneError) as caught:
        sent(vector)
    assert caught.value.code == vector["code"]
    assert vector["says"] in caught.value.detail


@pytest.mark.parametrize(
    "vector", [one for one in VECTORS["bad"] if one["code"] == "unsupported_parameter"], ids=named
)
def test_whatever_is_refused_can_be_dropped_and_is_then_named(vector: dict[str, Any]) -> None:
    _, dropped = sent(vector, drop=True)
    assert all(f"`{name}`" in vector["says"] or name in str(vector["body"]) or dropped for name in dropped)
    assert dropped
    for name in vector["says"].split(", "):
        assert name.strip("`") in dropped


def test_half_of_the_vectors_are_bad() -> None:
    assert len(VECTORS["bad"]) >= len(VECTORS["good"])


@pytest.mark.parametrize("provider", sorted(CHAT))
@pytest.mark.parametrize("stream", [False, True])
def test_a_path_names_the_model_without_leaving_its_place(provider: Provider, stream: bool) -> None:
    path = CHAT[provider].path("a/../b?c:d", stream)
    assert path.startswith(b"/")
    assert b".." not in path or b"/../" not in path
    assert path.count(b"?") <= 1
    assert b"b?c" not in path


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"\xff", b'{"model":"m"}', b'{"model":"m","messages":{}}']
)
def test_what_is_no_chat_request_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        read_chat(body)


def test_a_body_nested_without_end_is_refused() -> None:
    with pytest.raises((BodyTooDeep, MalformedBody)):
        read_chat(b'{"model":"m","messages":[],"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}")


def test_a_refusal_never_quotes_what_stood_in_the_body() -> None:
    marked = "s3cret-prompt"
    for body in (
        {"model": "m", "messages": [{"role": marked, "content": marked}]},
        {"model": "m", "messages": [{"role": "user", "content": {"a": marked}}]},
        {"model": "m", "messages": [], "reasoning_effort": marked},
        {"model": "m", "messages": [], "tool_choice": marked},
    ):
        with pytest.raises(MalformedBody) as caught:
            read_chat(json.dumps(body).encode())
        assert marked not in caught.value.sentence


def test_many_refused_names_are_counted_not_all_told() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], **{f"p{at}": 1 for at in range(20)}}
    with pytest.raises(UnsupportedParameter, match="and 12 more"):
        CHAT[Provider.ANTHROPIC].request(read_chat(json.dumps(body).encode()), False)


def test_names_of_the_callers_own_are_told_in_letters_that_harm_no_header() -> None:
    evil = 'x\r\nset-cookie: a="\u00e9" ' + "y" * 500
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "x"}],
        evil: 1,
        **{f"p{at}": 1 for at in range(40)},
    }
    _, dropped = CHAT[Provider.COHERE].request(read_chat(json.dumps(body).encode()), True)
    value = dropped_header(dropped)
    assert re.fullmatch(rb"[A-Za-z0-9_.$\[\]?, -]+", value)
    assert value.startswith(b"x??set-cookie??a?")
    assert value.endswith(b", and-9-more")
    assert len(value) < 1000
    assert dropped_header(()) == b""


def test_the_page_about_providers_is_what_the_translations_say() -> None:
    """Run `python tools/providers_page.py` after a change to a translation."""
    spec = importlib.util.spec_from_file_location("providers_page", ROOT / "tools/providers_page.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert (ROOT / "docs/providers.md").read_text(encoding="utf-8") == made.page()
