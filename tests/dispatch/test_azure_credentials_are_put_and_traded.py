"""Laws of Azure's credentials: a key is a header, an application is traded at its own cloud's authority."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.dispatch.credential import Unsigned, forms
from tokenone.dispatch.mint import Mint
from tokenone.dispatch.providers.azure import AZURE
from tokenone.errors import BadSecret, UpstreamAuth, UpstreamBroken
from tokenone.secret import Secret

KEY = b"0123456789abcdef" * 2
APPLICATION: dict[str, Any] = {
    "type": "azure-entra",
    "tenant_id": "11111111-2222-3333-4444-555555555555",
    "client_id": "66666666-7777-8888-9999-000000000000",
    "client_secret": "Qx~8Q&secret=with+signs/%",
}
UNSIGNED = Unsigned(b"POST", b"r.openai.azure.com", b"/openai/v1/responses", [(b"a", b"b")], b"{}", 0)
TOKEN = "eyJ0eXAiOiJKV1Qi.eyJhdWQiOiJodHRwczov.c2lnbmF0dXJl"


def written(**changed: Any) -> bytes:
    return json.dumps(
        {name: value for name, value in (APPLICATION | changed).items() if value is not None}
    ).encode()


def mint() -> Mint:
    assert AZURE.mint is not None
    return AZURE.mint


def test_a_key_goes_in_its_header() -> None:
    assert AZURE.credential(UNSIGNED, Secret(KEY)) == [(b"a", b"b"), (b"api-key", KEY)]
    assert mint().ask(KEY, 0) is None


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (b"/anthropic/v1/messages?beta=true", b"x-api-key"),
        (b"/base/anthropic/v1/messages", b"x-api-key"),
        (b"/openai/v1/responses?next=/anthropic/v1/", b"api-key"),
    ],
)
def test_claude_has_another_header(target: bytes, name: bytes) -> None:
    assert AZURE.credential(UNSIGNED._replace(target=target), Secret(KEY))[-1] == (name, KEY)


@pytest.mark.parametrize("key", [KEY, b"Ab1" * 28, b"A" * 32 + b"JQQJ99BAACYeBjFXJ3w3AAABACOG" + b"x" * 24])
def test_keys_of_both_lengths_pass(key: bytes) -> None:
    AZURE.check_secret(key)


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        (b"", "empty"),
        (KEY + b"\n", "white space"),
        (b"sk-proj-" + b"x" * 40, "OpenAI key"),
        (b"sk-ant-api03-" + b"x" * 40, "Anthropic"),
        (KEY[:-1], "32 to 128"),
        (KEY + b"-tail", "32 to 128"),
        (TOKEN.encode(), "an hour"),
        (b"to_live_" + b"x" * 30, "caller token"),
        (written()[:-1], "paste it whole"),
        (b'{"type":"azure-entra"', "paste it whole"),
        (written(type=None), "`type` must be `azure-entra`"),
        (written(type="azure-key"), "`type` must be `azure-entra`"),
        (written(type=7), "`type` must be `azure-entra`"),
        (written(client_secret=None), "lacks `client_secret`"),
        (written(client_secret=""), "`client_secret` is empty"),
        (written(client_secret=5), "`client_secret` is empty or not of its form"),
        (written(clientsecret="x"), "does not know: `clientsecret`"),
        (written(tenant_id="a/../b"), "`tenant_id`"),
        (written(tenant_id="x?y"), "`tenant_id`"),
        (written(client_id="a b"), "`client_id`"),
        (written(authority="login.microsoftonline.com"), "`authority` must be an origin"),
        (written(authority="https://login.microsoftonline.com/common"), "`authority` must be an origin"),
        (json.dumps([APPLICATION]).encode(), "white space"),
    ],
)
def test_what_is_not_a_credential_is_refused_with_the_reason(secret: bytes, said: str) -> None:
    with pytest.raises(BadSecret) as refused:
        AZURE.check_secret(secret)
    assert said in refused.value.detail
    assert APPLICATION["client_secret"] not in refused.value.detail


def test_a_member_that_looks_like_a_secret_is_not_named() -> None:
    with pytest.raises(BadSecret) as refused:
        AZURE.check_secret(written(**{"q8Q~pasted/here=by+mistake": "client_secret"}))
    assert "pasted" not in refused.value.detail


@pytest.mark.parametrize(
    ("authority", "origin", "scope"),
    [
        (None, "https://login.microsoftonline.com", "https://cognitiveservices.azure.com/.default"),
        (
            "https://login.microsoftonline.us",
            "https://login.microsoftonline.us",
            "https://cognitiveservices.azure.us/.default",
        ),
        (
            "https://login.partner.microsoftonline.cn/",
            "https://login.partner.microsoftonline.cn",
            "https://cognitiveservices.azure.cn/.default",
        ),
        ("http://127.0.0.1:8400", "http://127.0.0.1:8400", "https://cognitiveservices.azure.com/.default"),
    ],
)
def test_an_application_asks_its_own_cloud(authority: str | None, origin: str, scope: str) -> None:
    secret = written(authority=authority)
    AZURE.check_secret(secret)
    asked = mint().ask(secret, 0)
    assert asked is not None
    assert (asked.origin, asked.method) == (origin, b"POST")
    assert asked.target == f"/{APPLICATION['tenant_id']}/oauth2/v2.0/token".encode()
    assert dict(asked.headers)[b"content-type"] == b"application/x-www-form-urlencoded"
    assert parse_qs(asked.body.decode(), strict_parsing=True) == {
        "grant_type": ["client_credentials"],
        "client_id": [APPLICATION["client_id"]],
        "client_secret": [APPLICATION["client_secret"]],
        "scope": [scope],
    }


@pytest.mark.parametrize(
    ("expires", "seconds"), [(3599, 3599), ("3599", 3599), (1, 60), (10**9, 86400), ("soon", 60), (-5, 60)]
)
def test_a_token_is_read_and_sent_as_bearer(expires: object, seconds: int) -> None:
    answer = {"token_type": "Bearer", "expires_in": expires, "access_token": TOKEN}
    minted = mint().read(written(), 200, json.dumps(answer).encode())
    assert minted.seconds == seconds
    assert AZURE.credential(UNSIGNED, Secret(minted.plaintext))[-1] == (
        b"authorization",
        b"Bearer " + TOKEN.encode(),
    )
    assert TOKEN.encode() in forms(Secret(minted.plaintext)), "a refusal that shows it is scrubbed"


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refused_application_is_told_by_its_word_alone(status: int) -> None:
    body = {"error": "invalid_client", "error_description": f"AADSTS7000215: {APPLICATION['client_secret']}"}
    with pytest.raises(UpstreamAuth) as refused:
        mint().read(written(), status, json.dumps(body).encode())
    assert refused.value.detail == "the authority refused the application (invalid_client)"
    with pytest.raises(UpstreamAuth) as refused:
        mint().read(written(), status, json.dumps({"error": APPLICATION["client_secret"]}).encode())
    assert refused.value.detail == "the authority refused the application"


@given(
    st.sampled_from([200, 302, 429, 500, 503]),
    st.one_of(
        st.binary(max_size=200),
        st.fixed_dictionaries({"access_token": st.text(max_size=40), "expires_in": st.text(max_size=9)}).map(
            lambda told: json.dumps(told).encode()
        ),
    ),
)
def test_any_other_answer_is_a_broken_one_or_a_token(status: int, body: bytes) -> None:
    try:
        minted = mint().read(written(), status, body)
    except UpstreamBroken:
        return
    assert status == 200
    assert 60 <= minted.seconds <= 86400
    assert AZURE.credential(UNSIGNED, Secret(minted.plaintext))[-1][1].startswith(b"Bearer ")


def test_an_application_that_was_not_traded_is_never_sent() -> None:
    with pytest.raises(UpstreamAuth):
        AZURE.credential(UNSIGNED, Secret(written()))
