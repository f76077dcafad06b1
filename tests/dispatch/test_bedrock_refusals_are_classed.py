"""Bedrock's refusals: what they mean for the key and the caller, traps included."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.dispatch.providers.bedrock import BEDROCK
from tokenone.types import ErrorClass

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "errors-bedrock.json").read_text())


@pytest.mark.parametrize("vector", [*VECTORS["plain"], *VECTORS["traps"]], ids=lambda vector: vector["why"])
def test_a_refusal_has_the_class_that_the_vectors_say(vector: dict[str, Any]) -> None:
    headers = [(b"x-amzn-ErrorType", vector["type"].encode())] if "type" in vector else []
    found = BEDROCK.error_class(vector["status"], headers, vector["body"].encode())
    assert found is ErrorClass(vector["class"])


def test_half_of_the_vectors_are_traps() -> None:
    assert len(VECTORS["traps"]) >= len(VECTORS["plain"])


@given(st.integers(100, 599), st.binary(max_size=40), st.one_of(st.none(), st.binary(max_size=40)))
def test_no_answer_makes_the_classes_raise(status: int, body: bytes, told: bytes | None) -> None:
    headers = [] if told is None else [(b"x-amzn-errortype", told)]
    found = BEDROCK.error_class(status, headers, body)
    assert (found is ErrorClass.UNKNOWN) or status >= 400


@pytest.mark.parametrize(
    "body", [b'{"message":7}', b'{"error":"x"}', b'{"error":[]}', b'{"__type":{}}', b"[]"]
)
def test_a_body_of_another_shape_goes_by_its_status(body: bytes) -> None:
    assert BEDROCK.error_class(429, [], body) is ErrorClass.RATE
    assert BEDROCK.error_class(500, [], body) is ErrorClass.UPSTREAM
    assert BEDROCK.error_class(200, [], body) is ErrorClass.UNKNOWN
