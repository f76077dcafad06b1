"""Canonical JSON: the bytes of RFC 8785 within the signed subset, and nothing else is taken for it."""

import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from tokenone.canonical import MAX_INTEGER, b64, check, decode, encode, unb64
from tokenone.errors import IntegrityError

keys = st.text(st.characters(max_codepoint=127), max_size=8)
leaves = st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | st.text(max_size=12)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(keys, values, max_size=5)


@given(objects)
def test_the_bytes_are_those_of_rfc_8785(value: dict) -> None:
    check(value)
    assert encode(value) == rfc8785.dumps(value)


@given(objects)
def test_what_was_encoded_decodes_to_itself(value: dict) -> None:
    assert decode(encode(value)) == value


@given(objects)
def test_the_order_of_insertion_does_not_show(value: dict) -> None:
    assert encode(dict(reversed(value.items()))) == encode(value)


@given(objects, st.sampled_from([" ", "\n", "\t"]))
def test_another_spelling_of_the_same_object_is_refused(value: dict, space: str) -> None:
    spaced = json.dumps(value, separators=("," + space, ":" + space)).encode() + space.encode()
    with pytest.raises(IntegrityError):
        decode(spaced)


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b"null",
        b'"text"',
        b'{"b":1,"a":2}',
        b'{"a":1,"a":2}',
        b'{"a":1.5}',
        b'{"a":1e3}',
        b'{"a":-0}',
        b'{"a":9007199254740992}',
        b'{"a":-9007199254740992}',
        b'{"a":123456789012345678901234567890}',
        b'{"a":"\\u0041"}',
        b'{"a":"\\/"}',
        '{"ä":1}'.encode(),
        b'{"a":"\xff"}',
        b'{"a":NaN}',
        b'{"a":1}{"a":1}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_bytes_outside_the_signed_form_are_refused(record: bytes) -> None:
    with pytest.raises(IntegrityError):
        decode(record)


@pytest.mark.parametrize(
    "value", [1.5, float("nan"), 2**53, -(2**53), b"bytes", {1: 2}, {"ä": 1}, {"a": [0.0]}, {"a": {"b": {1}}}]
)
def test_values_outside_the_signed_subset_are_refused(value: object) -> None:
    with pytest.raises(IntegrityError):
        check(value)


@given(st.binary())
def test_any_bytes_decode_or_raise_one_error(record: bytes) -> None:
    try:
        value = decode(record)
    except IntegrityError:
        return
    assert encode(value) == record


@given(st.binary())
def test_base64url_reads_back_and_carries_no_padding(raw: bytes) -> None:
    assert unb64(b64(raw)) == raw
    assert "=" not in b64(raw)


@pytest.mark.parametrize("text", ["=", "AA==", "AB", "A", "A+A_", "A/A_", "AAA\n", " AAA", "AAAé", "AAAAA"])
def test_another_spelling_of_base64url_is_refused(text: str) -> None:
    with pytest.raises(IntegrityError):
        unb64(text)
