"""Caller tokens: the form of docs/spec/token.md, held by the vectors."""

import hmac
import json
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.errors import BadToken, CredentialsDiffer
from tokenone.keyed import Keyed
from tokenone.scope import credential, digest, mint, parse
from tokenone.scope.bearer import Credential

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "token.json").read_text())
PEPPER = Keyed(bytes.fromhex(VECTORS["pepper"]))


def _request(case: dict) -> Credential | None:
    headers = [(name.encode(), value.encode()) for name, value in case["headers"]]
    return credential(headers, case["target"].encode())


@pytest.mark.parametrize("case", VECTORS["good"], ids=lambda case: case["id"])
def test_a_good_vector_parses_and_has_its_digest(case: dict) -> None:
    parsed = parse(case["text"])
    assert (parsed.id, parsed.mode) == (case["id"], case["mode"])
    assert digest(PEPPER, case["text"]).hex() == case["digest"]


@pytest.mark.parametrize("case", VECTORS["bad"], ids=lambda case: case["why"])
def test_a_bad_vector_is_refused(case: dict) -> None:
    with pytest.raises(BadToken):
        parse(case["text"])


@pytest.mark.parametrize("case", VECTORS["unproven"], ids=lambda case: case["why"])
def test_another_digest_does_not_prove_a_token(case: dict) -> None:
    assert not hmac.compare_digest(digest(PEPPER, case["text"]), bytes.fromhex(case["digest"]))


@pytest.mark.parametrize("case", VECTORS["read"], ids=lambda case: case["target"][:40])
def test_a_credential_is_found_wherever_an_sdk_puts_it(case: dict) -> None:
    found = _request(case)
    assert found is not None
    assert (found.text, found.region) == (case["text"], case.get("region"))


@pytest.mark.parametrize("case", VECTORS["refused"], ids=lambda case: case["why"])
def test_two_different_credentials_are_refused(case: dict) -> None:
    with pytest.raises(CredentialsDiffer):
        _request(case)


@pytest.mark.parametrize("case", VECTORS["none"], ids=lambda case: case["why"])
def test_where_there_is_no_credential_none_is_found(case: dict) -> None:
    assert _request(case) is None


@pytest.mark.parametrize("mode", ["live", "dev"])
def test_a_minted_token_parses_to_what_it_was_minted_as(mode: str) -> None:
    minted = mint(PEPPER, mode)
    parsed = parse(minted.text)
    assert (parsed.id, parsed.mode) == (minted.id, mode)
    assert minted.digest == digest(PEPPER, minted.text)
    assert minted.text.startswith(f"to_{mode}_")


def test_minted_tokens_share_nothing() -> None:
    minted = [mint(PEPPER, "live") for _ in range(500)]
    assert len({one.id for one in minted}) == len({parse(one.text).secret for one in minted}) == 500


def test_printing_what_holds_a_token_does_not_show_its_secret() -> None:
    minted = mint(PEPPER, "live")
    secret = parse(minted.text).secret
    shown = [repr(minted), str(minted), repr(parse(minted.text)), repr(Credential(minted.text, "eu-west-1"))]
    assert not any(secret in one for one in shown)


@given(st.data())
def test_every_single_character_change_is_refused(data: st.DataObject) -> None:
    text = VECTORS["good"][0]["text"]
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(
        st.sampled_from(string.ascii_letters + string.digits + "_- ").filter(lambda c: c != text[at])
    )
    with pytest.raises(BadToken):
        parse(text[:at] + other + text[at + 1 :])


@given(st.text(max_size=120))
def test_any_text_parses_or_raises_one_error(text: str) -> None:
    with pytest.raises(BadToken):
        parse(text)


headers = st.lists(
    st.tuples(
        st.sampled_from([b"Authorization", b"X-Api-Key", b"x-goog-api-key", b"API-KEY", b"accept"]),
        st.sampled_from([b"", b"Bearer a", b"Bearer", b"a", b"b", b"Basic a", b"\xff\xfe"])
        | st.binary(max_size=40),
    ),
    max_size=6,
)


@given(headers, st.binary(max_size=60))
def test_any_request_has_one_credential_or_none_or_is_refused(fields: list, query: bytes) -> None:
    try:
        found = credential(fields, b"/v1/models?" + query)
    except CredentialsDiffer:
        return
    assert found is None or found.text


@given(headers, st.randoms(use_true_random=False))
def test_the_order_of_header_fields_does_not_matter(fields: list, random: object) -> None:
    def outcome(one: list) -> object:
        try:
            return credential(one, b"/")
        except CredentialsDiffer:
            return CredentialsDiffer

    shuffled = list(fields)
    random.shuffle(shuffled)
    assert outcome(fields) == outcome(shuffled)
