"""Signature Version 4: every vector is signed as AWS' own SDK signs it, and every altered request otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.dispatch.credential import Unsigned
from tokenone.dispatch.sigv4 import AccessKey, Place, canonical_path, canonical_query, sign

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "sigv4.json").read_text())
KEY = AccessKey(b"AKIAEXAMPLEEXAMPLE23", b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
PLACE = Place(b"us-east-1", b"bedrock")


def signed(vector: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    unsigned = Unsigned(
        vector["method"].encode(),
        vector["authority"].encode(),
        vector["target"].encode(),
        [(name.encode(), value.encode()) for name, value in vector["headers"]],
        vector["body"].encode(),
        vector["now_us"],
    )
    token = vector.get("token")
    key = AccessKey(vector["key_id"].encode(), vector["secret"].encode(), token and token.encode())
    return sign(unsigned, key, Place(vector["region"].encode(), vector["service"].encode()))


def authorization(headers: list[tuple[bytes, bytes]]) -> str:
    (value,) = [value for name, value in headers if name == b"authorization"]
    return value.decode()


@pytest.mark.parametrize("vector", VECTORS["signed"], ids=lambda vector: vector["why"])
def test_a_request_is_signed_as_the_vectors_say(vector: dict[str, Any]) -> None:
    assert authorization(signed(vector)) == vector["authorization"]


@pytest.mark.parametrize("vector", VECTORS["altered"], ids=lambda vector: vector["why"])
def test_a_request_that_was_altered_has_another_signature(vector: dict[str, Any]) -> None:
    found = authorization(signed(vector)).rpartition("Signature=")[2]
    assert len(found) == 64
    assert found != vector["authorization"].rpartition("Signature=")[2]


def test_half_of_the_vectors_are_altered() -> None:
    assert len(VECTORS["altered"]) >= len(VECTORS["signed"])


@pytest.mark.parametrize(
    "name", [b"X-Amz-Date", b"authorization", b"X-Amz-Security-Token", b"x-amz-content-sha256"]
)
def test_nothing_of_the_callers_own_signature_goes_on(name: bytes) -> None:
    theirs = [(name, b"19990101T000000Z"), (b"accept", b"*/*")]
    ours = sign(Unsigned(b"POST", b"h", b"/", theirs, b"{}", 0), KEY, PLACE)
    assert (name, b"19990101T000000Z") not in ours
    assert (b"accept", b"*/*") in ours
    lowered = [field[0].lower() for field in ours]
    assert lowered.count(b"x-amz-date") == lowered.count(b"authorization") == 1
    assert b"x-amz-security-token" not in lowered
    assert dict(ours)[b"x-amz-date"] == b"19700101T000000Z"


@given(st.lists(st.tuples(st.sampled_from([b"content-type", b"x-amz-a", b"X-AMZ-A", b"a"]), st.binary())))
def test_whatever_headers_come_the_others_stay_as_they_were(fields: list[tuple[bytes, bytes]]) -> None:
    ours = sign(Unsigned(b"POST", b"h", b"/p", fields, b"", 1), KEY, PLACE)
    assert ours[: len(fields)] == fields
    assert [name for name, _ in ours[len(fields) :]] == [b"x-amz-date", b"authorization"]


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        (b"", b"/"),
        (b"/", b"/"),
        (b"/a/", b"/a/"),
        (b"//a///b", b"/a/b"),
        (b"/a/./b/../c", b"/a/c"),
        (b"/a/..", b"/"),
        (b"/.hidden/..x", b"/.hidden/..x"),
        (b"/a%2Fb", b"/a%252Fb"),
        (b"/a:b@c~d", b"/a%3Ab%40c~d"),
    ],
)
def test_a_path_is_resolved_and_encoded_once_more(path: bytes, canonical: bytes) -> None:
    assert canonical_path(path) == canonical


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=6), st.randoms())
def test_the_order_of_a_query_does_not_matter(pairs: list[tuple[str, str]], random: Any) -> None:
    from_first = canonical_query(_query(pairs))
    random.shuffle(pairs)
    assert canonical_query(_query(pairs)) == from_first


def _query(pairs: list[tuple[str, str]]) -> bytes:
    every = ["=".join("".join(f"%{byte:02x}" for byte in part.encode()) for part in pair) for pair in pairs]
    return "&".join(every).encode()


def test_an_access_key_does_not_show_itself() -> None:
    assert repr(KEY) == str(KEY) == "AccessKey()"
