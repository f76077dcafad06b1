"""Laws of service accounts: a file that cannot sign is refused with the reason, and a signed request is traded
for a token at the file's own address."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from tokenone.dispatch.credential import forms
from tokenone.dispatch.mint import Minted
from tokenone.dispatch.providers import PROVIDERS, google_account
from tokenone.errors import BadSecret, UpstreamAuth, UpstreamBroken
from tokenone.secret import Secret
from tokenone.types import Provider

VERTEX = PROVIDERS[Provider.VERTEX]
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
NOW_US = 1_790_000_000_500_000


def account(**changed: Any) -> dict[str, Any]:
    """Returns a file as Google writes it, with some members changed; None leaves one out."""
    members = {
        "type": "service_account",
        "project_id": "p-1",
        "private_key_id": "0123456789abcdef0123456789abcdef01234567",
        "private_key": PEM,
        "client_email": "gateway@p-1.iam.gserviceaccount.com",
        "client_id": "104211111111111111111",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://oauth2.googleapis.com/token",
        "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
        "client_x509_cert_url": "https://www.googleapis.com/robot/v1/metadata/x509/gateway",
        "universe_domain": "googleapis.com",
    }
    return {name: value for name, value in (members | changed).items() if value is not None}


def written(**changed: Any) -> bytes:
    return json.dumps(account(**changed), indent=2).encode() + b"\n"


def test_the_file_passes_as_google_writes_it() -> None:
    VERTEX.check_secret(written())
    VERTEX.check_secret(written(universe_domain=None, client_id=None))
    VERTEX.check_secret(b"AQ.Ab8RN6" + b"x" * 40)


WEAK = rsa.generate_private_key(public_exponent=65537, key_size=1024)
OTHER = ec.generate_private_key(ec.SECP256R1())
CUT = PEM[: len(PEM) // 2]


def pem_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    ("paste", "reason"),
    [
        (written()[:-20], "cut off or damaged"),
        (b"{", "cut off or damaged"),
        (b"{}", "`type` must be `service_account`"),
        (b"\n" + written(), "white space"),
        (b"{" + b" " * 70_000 + b"}", "longer than"),
        (written(type=None), "`type` must be `service_account`"),
        (written(type="authorized_user"), "person's own credential"),
        (written(type="external_account"), "workload identity"),
        (written(type="impersonated_service_account"), "impersonates"),
        (json.dumps({"installed": {"client_secret": "GOCSPX-0123456789"}}).encode(), "OAuth client"),
        (json.dumps({"web": {"client_secret": "GOCSPX-0123456789"}}).encode(), "OAuth client"),
        (written(private_key=None), "lacks `private_key`"),
        (written(private_key=None, token_uri="  "), "lacks `private_key` and `token_uri`"),
        (written(client_email=7), "lacks `client_email`"),
        (written(private_key=CUT), "`private_key` is cut off"),
        (written(private_key=CUT + "\n-----END PRIVATE KEY-----\n"), "`private_key` is damaged"),
        (written(private_key=PEM.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")), "does not begin"),
        (written(private_key="MIIEvQ"), "does not begin"),
        (written(private_key=pem_of(WEAK)), "`private_key` is damaged or no RSA key"),
        (written(private_key=pem_of(OTHER)), "`private_key` is damaged or no RSA key"),
        (written(client_email="gateway"), "`client_email` is not an address"),
        (
            written(client_email="firebase-adminsdk-x1y2z@p-1.iam.gserviceaccount.com"),
            "Firebase's administrator",
        ),
        (written(token_uri="oauth2.googleapis.com/token"), "`token_uri`"),
        (written(token_uri="https://user:pass@oauth2.googleapis.com/token"), "`token_uri`"),
        (written(token_uri="https://oauth2.googleapis.com/token?x=1"), "`token_uri`"),
        (written(token_uri="https://oauth2.googleapis.com:99999/token"), "`token_uri`"),
        (PEM.encode(), "whole JSON file"),
        (b"ya29.a0" + b"x" * 100, "lives for an hour"),
        (b"sk-ant-admin01-" + b"x" * 40, "admin key"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason_and_without_a_word_of_it(
    paste: bytes, reason: str
) -> None:
    with pytest.raises(BadSecret) as refused:
        VERTEX.check_secret(paste)
    assert reason in refused.value.detail
    for part in (PEM[40:80], "GOCSPX", "user:pass", "0123456789abcdef", "p-1.iam"):
        assert part not in refused.value.detail


def decoded(part: bytes) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
    return told


def test_the_request_is_a_signed_assertion_at_the_files_own_address() -> None:
    assert VERTEX.mint is not None
    asked = VERTEX.mint.ask(written(), NOW_US)
    assert asked is not None
    assert (asked.origin, asked.method, asked.target) == ("https://oauth2.googleapis.com", b"POST", b"/token")
    assert (b"content-type", b"application/x-www-form-urlencoded") in asked.headers
    form = parse_qs(asked.body.decode())
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    head, claims, signature = form["assertion"][0].encode().split(b".")
    assert decoded(head) == {"alg": "RS256", "typ": "JWT", "kid": account()["private_key_id"]}
    assert decoded(claims) == {
        "iss": account()["client_email"],
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": 1_790_000_000,
        "exp": 1_790_003_600,
    }
    raw = base64.urlsafe_b64decode(signature + b"=" * (-len(signature) % 4))
    KEY.public_key().verify(raw, head + b"." + claims, padding.PKCS1v15(), SHA256())
    assert PEM[40:80].encode() not in asked.body


@pytest.mark.parametrize(
    ("uri", "origin", "target"),
    [
        ("https://oauth2.us-universe.example/token", "https://oauth2.us-universe.example", b"/token"),
        ("https://accounts.google.com/o/oauth2/token", "https://accounts.google.com", b"/o/oauth2/token"),
        ("https://OAuth2.googleapis.com:443/token", "https://oauth2.googleapis.com", b"/token"),
    ],
)
def test_the_audience_is_the_address_as_it_stands_in_the_file(uri: str, origin: str, target: bytes) -> None:
    asked = google_account.ask(written(token_uri=uri), NOW_US)
    assert asked is not None
    assert (asked.origin, asked.target) == (origin, target)
    claims = parse_qs(asked.body.decode())["assertion"][0].encode().split(b".")[1]
    assert decoded(claims)["aud"] == uri


def test_an_api_key_is_sent_as_it_is_and_a_broken_file_never() -> None:
    assert google_account.ask(b"AQ.key", NOW_US) is None
    for broken in (b"{", b"{}", written(private_key=CUT), written(token_uri="ftp://x/y")):
        with pytest.raises(UpstreamAuth):
            google_account.ask(broken, NOW_US)


TOKEN = "ya29.c." + "x" * 200


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        ({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"}, 3599),
        ({"access_token": TOKEN}, 60),
        ({"access_token": TOKEN, "expires_in": 1}, 60),
        ({"access_token": TOKEN, "expires_in": 10**9}, 43_200),
    ],
)
def test_a_token_is_good_for_as_long_as_the_answer_says_within_bounds(
    answer: dict[str, Any], seconds: int
) -> None:
    minted = google_account.read(written(), 200, json.dumps(answer).encode())
    assert isinstance(minted, Minted)
    assert minted.seconds == seconds
    assert google_account.authorised(minted.plaintext) == (b"authorization", b"Bearer " + TOKEN.encode())
    assert TOKEN.encode() in forms(Secret(minted.plaintext)), "an echo of the token alone is found, too"


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (
            400,
            {"error": "invalid_grant", "error_description": "Invalid JWT Signature."},
            UpstreamAuth,
            "(invalid_grant)",
        ),
        (
            400,
            {
                "error": "invalid_grant",
                "error_description": "Invalid JWT: Token must be a short-lived token (60 m",
            },
            UpstreamAuth,
            "clock",
        ),
        (
            401,
            {"error": "invalid_client", "error_description": "echo SECRET"},
            UpstreamAuth,
            "(invalid_client)",
        ),
        (403, {"error": "SECRET in an odd place"}, UpstreamAuth, "refused the service account"),
        (400, {"error": {"code": 400, "message": "SECRET"}}, UpstreamAuth, "refused the service account"),
        (400, "<html>SECRET", UpstreamAuth, "refused the service account"),
        (200, {"access_token": "short"}, UpstreamBroken, "no token"),
        (200, {"access_token": TOKEN, "expires_in": "soon"}, UpstreamBroken, "no token"),
        (200, {"access_token": TOKEN + "\nx-evil: SECRET"}, UpstreamBroken, "no token"),
        (200, {"id_token": TOKEN}, UpstreamBroken, "no token"),
        (429, {"error": "SECRET"}, UpstreamBroken, "429"),
        (503, "SECRET", UpstreamBroken, "503"),
        (302, "", UpstreamBroken, "302"),
    ],
)
def test_a_refusal_is_told_from_a_failure_and_repeats_nothing(
    status: int, body: Any, error: type[UpstreamAuth | UpstreamBroken], words: str
) -> None:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    with pytest.raises(error) as refused:
        google_account.read(written(), status, raw)
    assert type(refused.value) is error
    assert words in refused.value.detail
    assert "SECRET" not in refused.value.detail


@given(st.integers(100, 599), st.binary(max_size=60))
def test_any_answer_is_a_token_or_one_of_two_errors(status: int, body: bytes) -> None:
    with pytest.raises((UpstreamAuth, UpstreamBroken)):
        google_account.read(b"{}", status, body)


def test_the_private_key_of_a_file_is_among_what_refusals_are_searched_for() -> None:
    spelled = forms(Secret(written()))
    assert PEM.encode() in spelled
    assert account()["private_key_id"].encode() in spelled
