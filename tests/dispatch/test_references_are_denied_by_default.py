"""Keys by reference: what a document may say, and whose rule lets it lead anywhere."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.dispatch.reference import (
    Reference,
    Rule,
    allowing,
    check_rules,
    intake_check,
    parse,
    reference_in,
)
from tokenone.errors import BadSecret, ConfigRefused
from tokenone.rows import Endpoint
from tokenone.types import Provider

OPENAI = "https://api.openai.com"
ENDPOINT = Endpoint(id="ep_1", tenant=None, provider=Provider.OPENAI, name="public", origins=(OPENAI,))
OWN = Endpoint(
    id="ep_2",
    tenant="ten_a",
    provider=Provider.OPENAI,
    name="own",
    origins=(OPENAI, "https://collector.example"),
)


def document(ref: str, **more: str) -> bytes:
    return json.dumps({"type": "reference", "ref": ref, **more}).encode()


def allowed(rule: Rule, ref: str, tenant: str = "ten_a", endpoint: Endpoint = ENDPOINT) -> bool:
    return bool(allowing((rule,), parse(ref), tenant, endpoint))


@pytest.mark.parametrize(
    ("ref", "reference"),
    [
        ("env:OPENAI_KEY", Reference("env", "OPENAI_KEY")),
        ("env:_", Reference("env", "_")),
        ("file:/run/secrets/openai", Reference("file", "/run/secrets/openai")),
        ("file:/run/secrets/..data/key with space", Reference("file", "/run/secrets/..data/key with space")),
    ],
)
def test_a_reference_names_a_variable_or_an_absolute_path(ref: str, reference: Reference) -> None:
    assert reference_in(document(ref)) == reference


@pytest.mark.parametrize(
    "ref",
    [
        "", "OPENAI_KEY", "env:", "env:1ST", "env:A B", "env:A=B", "env:" + "A" * 129, "file:", "file:relative",
        "file:/", "file:/run/secrets/", "file:/run//openai", "file:/run/../etc/shadow", "file:/run/./openai",
        "file:/run/..", "file:/run/a\x00b", "file:/run/a\nb", "file:///run/openai", "file:/" + "a" * 1100,
        "http://169.254.169.254/", "ENV:OPENAI_KEY", " env:OPENAI_KEY",
    ],
)  # fmt: skip
def test_any_other_reference_is_refused(ref: str) -> None:
    with pytest.raises(BadSecret):
        reference_in(document(ref))


@pytest.mark.parametrize("scheme", ["aws-secretsmanager", "vault-kv"])
def test_remote_references_are_refused_with_the_way_around(scheme: str) -> None:
    with pytest.raises(BadSecret, match=r"not resolved by this version.*file:/path"):
        reference_in(document(f"{scheme}:anything"))


def test_a_document_with_other_members_is_refused() -> None:
    with pytest.raises(BadSecret):
        reference_in(document("env:A", fallback="sk-proj-0123456789abcdef"))
    with pytest.raises(BadSecret):
        reference_in(b'{"type": "reference"}')


@pytest.mark.parametrize(
    "secret",
    [
        b"sk-proj-reference",
        b'{"type": "aws", "note": "reference"}',
        b'{"type": "reference"',
        b'["reference"]',
    ],
)
def test_other_secrets_are_no_references(secret: bytes) -> None:
    assert reference_in(secret) is None


@given(st.binary(max_size=300) | st.text(max_size=100).map(document))
def test_whatever_stands_in_a_secret_it_is_read_or_refused(secret: bytes) -> None:
    try:
        found = reference_in(secret)
    except BadSecret:
        return
    assert found is None or found.scheme in ("env", "file")


# ── who may ────────────────────────────────────────────────────────────────────────────────────────────────
def test_without_a_rule_nothing_is_allowed() -> None:
    assert not allowing((), parse("env:OPENAI_KEY"), "ten_a", ENDPOINT)


def test_a_rule_holds_for_its_tenant_alone() -> None:
    rule = Rule("env:OPENAI_KEY", "ten_a", (OPENAI,))
    assert allowed(rule, "env:OPENAI_KEY")
    assert not allowed(rule, "env:OPENAI_KEY", tenant="ten_b")
    assert not allowed(rule, "env:OPENAI_KEY_2")
    assert allowed(Rule("env:OPENAI_KEY", "*", (OPENAI,)), "env:OPENAI_KEY", tenant="ten_b")


def test_a_secret_goes_to_no_origin_that_its_rule_does_not_name() -> None:
    rule = Rule("env:OPENAI_KEY", "ten_a", (OPENAI,))
    assert not allowed(rule, "env:OPENAI_KEY", endpoint=OWN), "one of two origins is somebody else's"
    assert allowed(Rule("env:OPENAI_KEY", "ten_a", OWN.origins), "env:OPENAI_KEY", endpoint=OWN)


def test_a_folder_covers_what_is_below_it_and_a_file_itself() -> None:
    folder, file = (Rule(ref, "ten_a", (OPENAI,)) for ref in ("file:/run/secrets/a/", "file:/run/secrets/a"))
    assert allowed(folder, "file:/run/secrets/a/key")
    assert allowed(folder, "file:/run/secrets/a/b/key")
    assert not allowed(folder, "file:/run/secrets/ab/key")
    assert not allowed(folder, "file:/run/secrets/a")
    assert allowed(file, "file:/run/secrets/a")
    assert not allowed(file, "file:/run/secrets/a/key")
    assert not allowed(file, "file:/run/secrets/ab")


@pytest.mark.parametrize(
    "rule",
    [
        Rule("openai", "*", (OPENAI,)), Rule("vault-kv:x", "*", (OPENAI,)), Rule("file:/a/../b/", "*", (OPENAI,)),
        Rule("env:A/", "*", (OPENAI,)), Rule("env:A", "", (OPENAI,)), Rule("env:A", "*", ()),
        Rule("env:A", "*", ("api.openai.com",)), Rule("file:/", "*", (OPENAI,)),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_mean_what_it_says_stops_the_start(rule: Rule) -> None:
    with pytest.raises(ConfigRefused):
        check_rules((rule,))


def test_what_comes_in_is_a_reference_that_is_allowed_or_the_providers_own() -> None:
    seen: list[bytes] = []
    check = intake_check((Rule("env:OPENAI_KEY", "ten_a", (OPENAI,)),), "ten_a", ENDPOINT, seen.append)
    check(document("env:OPENAI_KEY"))
    assert seen == []
    check(b"sk-proj-something")
    assert seen == [b"sk-proj-something"]
    with pytest.raises(BadSecret, match=r"references\.allow"):
        check(document("env:ANOTHER"))
