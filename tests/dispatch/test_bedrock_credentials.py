"""Bedrock's credentials: what may be pasted, how it is put on, and how a role's temporary key is got."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.dispatch.credential import Unsigned, forms
from tokenone.dispatch.mint import Minted, MintRequest
from tokenone.dispatch.providers.bedrock import BEDROCK
from tokenone.dispatch.providers.bedrock_credential import place_of
from tokenone.errors import BadSecret, KeyUnusable, UpstreamAuth, UpstreamBroken
from tokenone.secret import Secret
from tokenone.types import Headers

SECRET = "Qm9vay9vZi90aGUvZGVhZC9rZXlzL2FuZC9tb3Jl"
ACCESS = {"type": "aws", "access_key_id": "AKIAEXAMPLEEXAMPLE23", "secret_access_key": SECRET}
TEMPORARY = {**ACCESS, "access_key_id": "ASIAEXAMPLEEXAMPLE23", "session_token": "IQoJb3JpZ2lu" * 9 + "=="}
ROLE = {
    **ACCESS,
    "type": "aws-assume-role",
    "role_arn": "arn:aws:iam::123456789012:role/byok/gateway",
    "region": "eu-central-1",
}
API_KEYS = (
    b"ABSK" + b"QmVkcm9ja0FQSUtleS1" * 4 + b"==",
    b"bedrock-api-key-" + b"YmVkcm9jay5hbWF6b25hd3Mu" * 20,
)
NOW_US = 1_795_000_000_000_000
TARGET = b"/model/amazon.nova-micro-v1%3A0/converse"


def text(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


def put_on(secret: bytes, authority: bytes, headers: Headers | None = None) -> Headers:
    unsigned = Unsigned(b"POST", authority, TARGET, headers or [], b"{}", NOW_US)
    return BEDROCK.credential(unsigned, Secret(secret))


def reason(secret: bytes) -> str:
    with pytest.raises(BadSecret) as refused:
        BEDROCK.check_secret(secret)
    return str(refused.value.detail)


# ── what may be pasted ───────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "secret",
    [
        *API_KEYS,
        text(ACCESS),
        text(ACCESS | {"region": "us-gov-west-1"}) + b"\n",
        text(TEMPORARY),
        text(ROLE),
        text(ROLE | {"external_id": "acme:42", "session_name": "byok@acme"}),
        text(ROLE | {"sts_origin": "https://vpce-1.sts.eu-central-1.vpce.amazonaws.com"}),
        text(ROLE | {"role_arn": "arn:aws-us-gov:iam::123456789012:role/r", "region": "us-gov-east-1"}),
    ],
)
def test_a_key_of_each_form_passes(secret: bytes) -> None:
    BEDROCK.check_secret(secret)


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        (b"", "empty"),
        (b"AKIAEXAMPLEEXAMPLE23", "half of a credential"),
        (SECRET.encode(), "half of a credential"),
        (b"sk-ant-api03-" + b"q" * 40, "Anthropic"),
        (b"to_live_" + b"q" * 40, "caller token"),
        (b" " + text(ACCESS), "brace"),
        (b"\xef\xbb\xbf" + text(ACCESS), "brace"),
        (b"ABSK" + b"q" * 8 + b" " + b"q" * 20, "white space"),
        (text(ACCESS)[:-9], "not whole JSON"),
        (text(ACCESS) + b"}", "not whole JSON"),
        (b'{"type":"aws","type":"aws"}', "more than once"),
        (text(ACCESS | {"type": "gcp"}), "`type`"),
        (text({key: value for key, value in ACCESS.items() if key != "type"}), "`type`"),
        (text(ACCESS | {"AccessKeyId": "x"}), "`AccessKeyId`"),
        (text(ACCESS | {"role_arn": ROLE["role_arn"]}), "`role_arn`"),
        (text(ACCESS | {"secret_access_key": ""}), "lacks `secret_access_key`"),
        (text(ACCESS | {"secret_access_key": 7}), "not a text"),
        (text(ACCESS | {"secret_access_key": SECRET[:-1]}), "paste it whole"),
        (text(ACCESS | {"secret_access_key": SECRET + "\n"}), "paste it whole"),
        (text(ACCESS | {"access_key_id": "AROAEXAMPLEEXAMPLE23"}), "AKIA or ASIA"),
        (text(ACCESS | {"session_token": TEMPORARY["session_token"]}), "different keys"),
        (text({key: value for key, value in TEMPORARY.items() if key != "session_token"}), "`session_token`"),
        (text(TEMPORARY | {"session_token": "a b" * 20}), "`session_token`"),
        (text(ACCESS | {"region": "Frankfurt"}), "`region`"),
        (text({key: value for key, value in ROLE.items() if key != "region"}), "lacks `region`"),
        (text(ROLE | {"role_arn": "arn:aws:iam::123456789012:user/r"}), "`role_arn`"),
        (text(ROLE | {"role_arn": "arn:aws-mars:iam::123456789012:role/r"}), "`role_arn`"),
        (text(ROLE | {"external_id": "no spaces"}), "`external_id`"),
        (text(ROLE | {"session_name": "x"}), "`session_name`"),
        (text(ROLE | {"sts_origin": "https://sts.example/path"}), "`sts_origin`"),
        (text(ACCESS | {"region": "x" * 70_000}), "at most"),
    ],
)
def test_anything_else_is_refused_with_a_reason_that_shows_nothing(secret: bytes, why: str) -> None:
    told = reason(secret)
    assert why in told
    for shown in (SECRET[:12], "AKIAEX", "IQoJb3", "ABSKq"):
        assert shown not in told


def test_a_member_whose_name_may_be_a_secret_is_not_named() -> None:
    assert SECRET not in reason(text(ACCESS | {SECRET: "x"}))


@given(st.one_of(st.binary(max_size=60), st.binary(max_size=60).map(lambda raw: b"{" + raw)))
def test_whatever_is_pasted_is_taken_or_refused_and_never_crashes(secret: bytes) -> None:
    with pytest.raises(BadSecret):
        BEDROCK.check_secret(secret)


@pytest.mark.parametrize("document", [ACCESS, TEMPORARY, ROLE])
def test_every_secret_member_is_searched_for_in_refusals(document: dict[str, str]) -> None:
    searched = forms(Secret(text(document)))
    for name in ("access_key_id", "secret_access_key", "session_token"):
        assert name not in document or document[name].encode() in searched


# ── putting it on ────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("key", API_KEYS)
def test_an_api_key_goes_as_a_bearer_and_the_callers_signature_does_not_go_at_all(key: bytes) -> None:
    theirs = [(b"X-Amz-Date", b"x"), (b"x-amz-security-token", b"y"), (b"accept", b"*/*")]
    headers = put_on(key, b"bedrock-runtime.us-east-1.amazonaws.com", theirs)
    assert headers == [(b"accept", b"*/*"), (b"authorization", b"Bearer " + key)]


@pytest.mark.parametrize(
    ("authority", "region", "service"),
    [
        ("bedrock-runtime.us-east-1.amazonaws.com", "us-east-1", "bedrock"),
        ("bedrock-runtime.eu-central-1.amazonaws.com:443", "eu-central-1", "bedrock"),
        ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1", "bedrock"),
        ("bedrock-runtime.us-gov-east-1.amazonaws.com", "us-gov-east-1", "bedrock"),
        ("bedrock-runtime.cn-north-1.amazonaws.com.cn", "cn-north-1", "bedrock"),
        ("bedrock-runtime.us-iso-east-1.c2s.ic.gov", "us-iso-east-1", "bedrock"),
        ("bedrock-runtime.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1", "bedrock"),
        ("bedrock-runtime.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1", "bedrock"),
        ("bedrock-runtime.ap-southeast-2.api.aws", "ap-southeast-2", "bedrock"),
        ("bedrock-agent-runtime.us-west-2.amazonaws.com", "us-west-2", "bedrock"),
        ("bedrock-mantle.us-west-2.api.aws", "us-west-2", "bedrock-mantle"),
        ("vpce-0a-1b.bedrock-runtime.us-east-1.vpce.amazonaws.com", "us-east-1", "bedrock"),
        ("BEDROCK-RUNTIME.US-EAST-1.AMAZONAWS.COM", "us-east-1", "bedrock"),
    ],
)
def test_a_signature_is_for_the_region_and_service_that_the_host_names(
    authority: str, region: str, service: str
) -> None:
    headers = dict(put_on(text(ACCESS | {"region": "sa-east-1"}), authority.encode()))
    scope = headers[b"authorization"].decode().split("Credential=")[1].split(",")[0]
    assert scope == f"AKIAEXAMPLEEXAMPLE23/20261118/{region}/{service}/aws4_request"


@pytest.mark.parametrize(
    "authority",
    [
        "127.0.0.1:8080",
        "bedrock.internal",
        "bedrock-runtime.local.corp",
        "notbedrock.us-east-1.amazonaws.com",
        "",
    ],
)
def test_a_host_that_names_no_region_leaves_it_to_the_document(authority: str) -> None:
    assert place_of(authority.encode()) is None
    headers = dict(put_on(text(ACCESS | {"region": "eu-west-3"}), authority.encode()))
    assert b"/eu-west-3/bedrock/aws4_request" in headers[b"authorization"]
    with pytest.raises(KeyUnusable):
        put_on(text(ACCESS), authority.encode())


def test_a_temporary_key_sends_its_session_token_and_signs_it() -> None:
    headers = dict(put_on(text(TEMPORARY), b"bedrock-runtime.us-east-1.amazonaws.com"))
    assert headers[b"x-amz-security-token"] == TEMPORARY["session_token"].encode()
    assert b"SignedHeaders=host;x-amz-date;x-amz-security-token," in headers[b"authorization"]


@pytest.mark.parametrize("secret", [text(ROLE), b'{"type":"env","ref":"X"}', b"{}", b"{"])
def test_a_role_is_never_used_by_its_own_access_key(secret: bytes) -> None:
    with pytest.raises(KeyUnusable):
        put_on(secret, b"bedrock-runtime.us-east-1.amazonaws.com")


# ── assuming a role ──────────────────────────────────────────────────────────────────────────────────────
def ask(document: dict[str, str]) -> MintRequest | None:
    assert BEDROCK.mint is not None
    return BEDROCK.mint.ask(text(document), NOW_US)


def read(status: int, body: bytes) -> Minted:
    assert BEDROCK.mint is not None
    return BEDROCK.mint.read(text(ROLE), status, body)


def answer(**changed: str) -> dict[str, str]:
    named = {
        "AccessKeyId": "ASIANEWNEWNEWNEWNEW2",
        "SecretAccessKey": "n" * 40,
        "SessionToken": "FwoGZXIvYXdzE" * 30 + "=",
        "Expiration": "2026-11-23T22:00:00Z",
    }
    return named | changed


def as_json(credentials: dict[str, Any]) -> bytes:
    result = {"Credentials": credentials, "AssumedRoleUser": {"Arn": "arn:aws:sts::1:assumed-role/x/y"}}
    return json.dumps({"AssumeRoleResponse": {"AssumeRoleResult": result}}).encode()


def as_xml(credentials: dict[str, str], before: str = "") -> bytes:
    inner = "".join(f"\n      <{name}>{value}</{name}>" for name, value in credentials.items())
    return (
        f'{before}<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">\n  <AssumeRoleResult>\n'
        f"    <Credentials>{inner}\n    </Credentials>\n  </AssumeRoleResult>\n</AssumeRoleResponse>\n"
    ).encode()


@pytest.mark.parametrize("secret", [*API_KEYS, text(ACCESS), text(TEMPORARY), b"{", b'{"type":"env"}'])
def test_a_secret_that_names_no_role_is_sent_as_it_is(secret: bytes) -> None:
    assert BEDROCK.mint is not None
    assert BEDROCK.mint.ask(secret, NOW_US) is None


@pytest.mark.parametrize(
    ("change", "origin"),
    [
        ({}, "https://sts.eu-central-1.amazonaws.com"),
        (
            {"role_arn": "arn:aws-us-gov:iam::1:role/r", "region": "us-gov-west-1"},
            "https://sts.us-gov-west-1.amazonaws.com",
        ),
        (
            {"role_arn": "arn:aws-cn:iam::1:role/r", "region": "cn-north-1"},
            "https://sts.cn-north-1.amazonaws.com.cn",
        ),
        ({"sts_origin": "http://127.0.0.1:9000"}, "http://127.0.0.1:9000"),
    ],
)
def test_a_role_is_asked_for_at_its_partitions_sts(change: dict[str, str], origin: str) -> None:
    asked = ask(ROLE | change)
    assert asked is not None
    assert (asked.origin, asked.method, asked.target) == (origin, b"POST", b"/")
    signed = dict(asked.headers)[b"authorization"].decode()
    assert (
        f"/{(ROLE | change)['region']}/sts/aws4_request, SignedHeaders=content-type;host;x-amz-date,"
        in signed
    )
    assert parse_qs(asked.body.decode()) == {
        "Action": ["AssumeRole"],
        "Version": ["2011-06-15"],
        "RoleArn": [(ROLE | change)["role_arn"]],
        "RoleSessionName": ["tokenone"],
        "DurationSeconds": ["3600"],
    }
    assert SECRET.encode() not in asked.body + b"".join(value for _, value in asked.headers)


def test_an_external_id_and_a_session_name_are_told() -> None:
    asked = ask(ROLE | {"external_id": "acme:42/x", "session_name": "byok@acme"})
    assert asked is not None
    told = parse_qs(asked.body.decode())
    assert (told["ExternalId"], told["RoleSessionName"]) == (["acme:42/x"], ["byok@acme"])


@pytest.mark.parametrize(
    "body",
    [
        as_json(answer()),
        as_json(answer() | {"Expiration": 1795003600.0}),
        as_xml(answer()),
        as_xml(answer(), '<?xml version="1.0"?>\n'),
    ],
)
def test_an_answer_becomes_a_temporary_key_that_signs(body: bytes) -> None:
    minted = read(200, body)
    assert minted.seconds == 3600
    BEDROCK.check_secret(minted.plaintext)
    headers = dict(put_on(minted.plaintext, b"bedrock-runtime.us-east-1.amazonaws.com"))
    assert b"Credential=ASIANEWNEWNEWNEWNEW2/20261118/us-east-1/bedrock/" in headers[b"authorization"]
    assert headers[b"x-amz-security-token"] == answer()["SessionToken"].encode()
    assert (
        dict(put_on(minted.plaintext, b"localhost"))[b"authorization"].count(b"/eu-central-1/bedrock/") == 1
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"<html>",
        as_json({"AccessKeyId": "ASIANEWNEWNEWNEWNEW2"}),
        as_json(answer(AccessKeyId="AKIANEWNEWNEWNEWNEW2")),
        as_json(answer(SecretAccessKey="short")),
        as_json(answer(SessionToken="with a space and more")),
        as_xml(answer(SecretAccessKey="&boom;")),
        as_xml(answer(), '<!DOCTYPE a [<!ENTITY boom "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb">]>'),
        as_xml(answer()) + as_xml(answer()),
        as_xml(answer()).replace(
            b"</Credentials>", b"<AccessKeyId>ASIAOTHEROTHEROTHER2</AccessKeyId></Credentials>"
        ),
        as_xml(answer()).replace(b"<AccessKeyId>", b'<AccessKeyId a="b">'),
        as_xml(answer()).replace(b"<AccessKeyId>", b"<!-- x --><AccessKeyId>"),
        as_xml({"AccessKeyId": "ASIANEWNEWNEWNEWNEW2", "SecretAccessKey": "n" * 40}),
        b"</Credentials>" + as_xml(answer()),
        b"</Credentials><Credentials>",
        b"<Credentials>" * 4000,
        b"<Credentials>" + b" " * 60_000 + b"</Credentials>",
    ],
)
def test_an_answer_of_another_form_is_broken_and_nothing_of_it_is_used(body: bytes) -> None:
    with pytest.raises(UpstreamBroken) as broken:
        read(200, body)
    assert "ASIA" not in str(broken.value.detail)


def test_a_refusal_is_the_keys_and_a_throttled_request_is_not() -> None:
    with pytest.raises(UpstreamAuth) as refused:
        read(
            403,
            b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>AKIA no</Message></Error></ErrorResponse>",
        )
    assert "AKIA" not in str(refused.value.detail)
    with pytest.raises(UpstreamBroken):
        read(400, b'{"Error":{"Code":"Throttling","Message":"Rate exceeded"}}')


@given(st.integers(200, 599), st.binary(max_size=80))
def test_no_answer_makes_the_reader_raise_anything_else(status: int, body: bytes) -> None:
    with pytest.raises((UpstreamAuth, UpstreamBroken)):
        read(status, body)
