"""Laws of the splice: the original bytes stay, the result asks for usage, doubt means no splice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.dispatch.peek import peek
from tokenone.dispatch.providers import PROVIDERS
from tokenone.dispatch.splice import OPTIONS, splice_usage
from tokenone.types import Provider

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "splice.json").read_text())


def spliced(body: bytes) -> bytes:
    return splice_usage(body, peek(body, None))


@pytest.mark.parametrize("vector", VECTORS["spliced"], ids=lambda vector: vector["why"])
def test_a_body_that_does_not_ask_is_made_to_ask(vector: dict[str, str]) -> None:
    assert spliced(vector["body"].encode()) == vector["sent"].encode()
    assert json.loads(vector["sent"])["stream_options"]["include_usage"] is True


@pytest.mark.parametrize("vector", VECTORS["untouched"], ids=lambda vector: vector["why"])
def test_a_body_in_doubt_is_sent_as_it_came(vector: dict[str, str]) -> None:
    body = vector["body"].encode()
    assert spliced(body) is body


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["stream", "stream_options"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["stream", "stream_options", "include_usage", "a", "é"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(["model", "messages", "x", "stream "]), JSON.map(lambda v: {"n": v}), max_size=3
    ),
    st.sampled_from([None, 0, 2]),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,", " :")]),
    st.booleans(),
)
def test_removing_what_was_inserted_gives_the_original(
    other: dict[str, Any], indent: int | None, separators: tuple[str, str], ascii_only: bool
) -> None:
    members = {**other, "model": "m", "stream": True}
    body = json.dumps(members, indent=indent, separators=separators, ensure_ascii=ascii_only).encode()
    sent = spliced(body)
    assert sent.replace(OPTIONS, b"", 1) == body
    assert json.loads(sent) == members | {"stream_options": {"include_usage": True}}


@given(
    st.dictionaries(st.sampled_from(["include_obfuscation", "other"]), JSON, max_size=2),
    st.sampled_from([None, 1]),
)
def test_an_existing_object_keeps_its_members(options: dict[str, Any], indent: int | None) -> None:
    body = json.dumps({"stream": True, "model": "m", "stream_options": options}, indent=indent).encode()
    sent = spliced(body)
    assert json.loads(sent)["stream_options"] == options | {"include_usage": True}
    inserted = b'"include_usage":true,' if options else b'"include_usage":true'
    assert sent.replace(inserted, b"", 1) == body


def test_only_chat_streams_are_spliced() -> None:
    facts = PROVIDERS[Provider.OPENAI]
    body = b'{"model":"m","stream":true}'
    found = facts.peek(body, None)
    assert facts.splice(body, found, b"/v1/chat/completions") != body
    assert facts.splice(body, found, b"/v1/completions") != body
    for path in (b"/v1/responses", b"/v1/audio/speech", b"/v1/images/generations"):
        assert facts.splice(body, found, path) is body
    assert PROVIDERS[Provider.ANTHROPIC].splice(body, found, b"/v1/messages") is body
