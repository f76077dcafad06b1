"""Taking a secret in: one challenge, one place, one check; and what may be seen of a secret afterwards."""

from __future__ import annotations

import ast
import hashlib
import hmac
import logging
from dataclasses import replace as with_fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tokenone.canonical import unb64
from tokenone.clock import MINUTE_US
from tokenone.errors import BadSecret, Conflict, Unopenable
from tokenone.types import Provider
from tokenone.vault.intake import MOST_CHALLENGES, mask
from tokenone.vault.seal import fingerprint

VAULT = Path(__file__).resolve().parents[2] / "src" / "tokenone" / "vault"


def take_in(house: Any, context: Any, sealed: bytes, **other: Any) -> Any:
    facts = {"key": house.key(), "version": 1, "endpoint": house.endpoint()} | other
    return house.vault.take_in(sealed, context, **facts)


def test_an_intake_holds_an_envelope_a_mask_and_a_fingerprint_and_no_secret(house: Any) -> None:
    context = house.context(house.key(), house.endpoint())
    intake = take_in(house, context, house.seal(context))
    assert intake.masked == "sk-proj-…wxyz"
    assert len(intake.fingerprint) == 64
    assert house.secret not in intake.envelope


def test_the_secret_is_kept_as_it_came(house: Any) -> None:
    key, endpoint = house.key(), house.endpoint()
    seen: list[bytes] = []
    context = house.context(key, endpoint)
    take_in(house, context, house.seal(context, b" sk-\n\xff "), check=seen.append)
    assert seen == [b" sk-\n\xff "]


def test_a_check_that_refuses_stops_the_intake_and_the_challenge_is_spent(house: Any) -> None:
    def refuse(secret: bytes) -> None:
        raise BadSecret("this is an admin key")

    context = house.context(house.key(), house.endpoint())
    sealed = house.seal(context)
    with pytest.raises(BadSecret, match="admin key"):
        take_in(house, context, sealed, check=refuse)
    with pytest.raises(Conflict):
        take_in(house, context, sealed)


# ── the challenge ──────────────────────────────────────────────────────────────────────────────────────
def test_a_challenge_is_good_once(house: Any) -> None:
    context = house.context(house.key(), house.endpoint())
    sealed = house.seal(context)
    take_in(house, context, sealed)
    with pytest.raises(Conflict, match="new one"):
        take_in(house, context, sealed)


def test_a_failed_attempt_spends_the_challenge_too(house: Any) -> None:
    context = house.context(house.key(), house.endpoint())
    sealed = house.seal(context)
    with pytest.raises(Unopenable):
        take_in(house, context, sealed[:-1])
    with pytest.raises(Conflict):
        take_in(house, context, sealed)


def test_a_challenge_ends_after_ten_minutes(house: Any) -> None:
    contexts = [house.context(house.key(), house.endpoint()) for _ in range(2)]
    house.clock.advance(10 * MINUTE_US - 1)
    take_in(house, contexts[0], house.seal(contexts[0]))
    house.clock.advance(1)
    with pytest.raises(Conflict):
        take_in(house, contexts[1], house.seal(contexts[1]))


@pytest.mark.parametrize("challenge", ["", "made up", "A" * 43])
def test_an_unknown_challenge_is_refused(house: Any, challenge: str) -> None:
    context = with_fields(house.context(house.key(), house.endpoint()), challenge=challenge)
    with pytest.raises(Conflict):
        take_in(house, context, b"TKS1\x01")


def test_another_process_does_not_know_the_challenge(house: Any) -> None:
    context = house.context(house.key(), house.endpoint())
    sealed = house.seal(context)
    house.vault = house.another_vault(house.root)
    with pytest.raises(Conflict):
        take_in(house, context, sealed)


def test_challenges_are_bounded_and_the_oldest_gives_way(house: Any) -> None:
    first = house.context(house.key(), house.endpoint())
    last = [house.vault.challenge() for _ in range(MOST_CHALLENGES)]
    assert len(house.vault._challenges) == MOST_CHALLENGES
    assert len(set(last)) == MOST_CHALLENGES
    with pytest.raises(Conflict):
        take_in(house, first, house.seal(first))
    context = with_fields(first, challenge=last[0])
    assert take_in(house, context, house.seal(context))


def test_challenges_that_are_over_are_not_kept(house: Any) -> None:
    for _ in range(100):
        house.vault.challenge()
    house.clock.advance(10 * MINUTE_US)
    house.vault.challenge()
    assert len(house.vault._challenges) == 1


# ── the place ──────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "other",
    [
        {"key": {"tenant": "tn_b"}},
        {"key": {"id": "key_2"}},
        {"key": {"provider": Provider.AZURE}},
        {"key": {"endpoint": "ep_2"}},
        {"endpoint": {"id": "ep_2"}},
        {"endpoint": {"provider": Provider.AZURE}},
        {"endpoint": {"origins": ("https://evil.example",)}},
        {"endpoint": {"base_path": ""}},
        {"endpoint": {"tenant": "tn_b"}},
        {"context": {"purpose": "commitment"}},
        {"context": {"endpoint_digest": "00" * 32}},
        {"context": {"tenant": "tn_b"}},
    ],
)
def test_what_was_sealed_for_one_place_is_taken_in_for_no_other(house: Any, other: dict[str, Any]) -> None:
    context = house.context(house.key(), house.endpoint())
    sealed = house.seal(context)
    context = with_fields(context, **other.get("context", {}))
    rows = {"key": house.key(), "endpoint": house.endpoint()}
    rows |= {name: replace(rows[name], **other[name]) for name in other if name in rows}
    with pytest.raises(Unopenable):
        take_in(house, context, sealed, **rows)


def test_a_tenant_without_a_kek_takes_nothing_in(house: Any) -> None:
    key = house.key(tenant="tn_unknown")
    context = house.context(key, house.endpoint())
    with pytest.raises(Unopenable):
        take_in(house, context, house.seal(context), key=key)


# ── what may be seen ───────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        (b"sk-proj-" + b"A1b2C3d4" * 18 + b"wxyz", "sk-proj-…wxyz"),
        (b"sk-ant-api03-" + b"A1b2C3d4" * 10 + b"wxyz", "sk-ant-…wxyz"),
        (b"sk-or-v1-" + b"a1b2c3d4" * 8, "sk-or-…c3d4"),
        (b"sk-" + b"A1b2" * 12, "sk-…A1b2"),
        (b"A1b2C3d4" * 5, "…C3d4"),
        (b"Ab-Cd-" + b"A1b2C3d4" * 5, "…C3d4"),
        (b"AQ.Ab8RN6" + b"A1b2" * 10, "…A1b2"),
        (b"x" * 23, "…"),
        (b"sk-12345678901234567890", "…"),
        (b"sk-123456789012345678901", "sk-…8901"),
        (b"", "…"),
        (b'{"type": "service_account", "private_key": "..."}', "…"),
        (b"sk-" + b"A" * 40 + b"\n", "…"),
        (b"sk-" + "é".encode() * 40, "…"),
        (b"\xff" * 40, "…"),
    ],
)
def test_a_mask_shows_a_public_prefix_and_four_characters_or_nothing(secret: bytes, shown: str) -> None:
    assert mask(secret) == shown


@given(
    st.binary(max_size=80)
    | st.text("abcAB12-._", max_size=80).map(str.encode)
    | st.from_regex(rb"[a-z-]{24,60}")
)
def test_a_mask_never_shows_more_than_eight_and_four_characters_of_24(secret: bytes) -> None:
    shown = mask(secret)
    prefix, _, tail = shown.partition("…")
    assert len(prefix) <= 8
    assert len(tail) in (0, 4)
    assert not prefix or prefix.endswith("-")
    if len(secret) < 24:
        assert shown == "…"
    else:
        assert secret.startswith(prefix.encode())
        assert secret.endswith(tail.encode())


def test_one_secret_under_two_tenants_has_one_fingerprint_that_no_hash_gives(house: Any) -> None:
    found = set()
    for key in (house.key(), house.key(id="key_2", tenant="tn_b")):
        context = house.context(key, house.endpoint())
        found.add(take_in(house, context, house.seal(context), key=key).fingerprint)
    assert len(found) == 1
    assert hashlib.sha256(house.secret).hexdigest() not in found
    context = house.context(house.key(), house.endpoint())
    assert take_in(house, context, house.seal(context, b"another")).fingerprint not in found


def test_the_sealing_key_is_shown_with_its_fingerprint(house: Any) -> None:
    shown = house.vault.sealing_key()
    assert fingerprint(unb64(shown.public)) == shown.fingerprint


# ── content commitments ────────────────────────────────────────────────────────────────────────────────
def test_a_commitment_is_hmac_under_the_tenants_own_key(house: Any) -> None:
    tenant, other = house.tenants["tn_a"], house.tenants["tn_b"]
    key = house.vault.commitment_key(tenant)
    assert len(key) == 32
    assert house.vault.commit(tenant, b"body") == hmac.new(key, b"body", "sha256").hexdigest()
    assert house.vault.commit(other, b"body") != house.vault.commit(tenant, b"body")


def test_a_tenants_commitment_key_does_not_open_for_another_nor_when_it_is_gone(house: Any) -> None:
    moved = replace(house.tenants["tn_a"], commitment=house.tenants["tn_b"].commitment)
    gone = replace(house.tenants["tn_a"], commitment=b"")
    for tenant in (moved, gone):
        with pytest.raises(Unopenable):
            house.vault.commitment_key(tenant)


def test_a_provider_keys_envelope_is_no_commitment_key(house: Any) -> None:
    version = house.bring(house.key(), house.endpoint())
    with pytest.raises(Unopenable):
        house.vault.commitment_key(replace(house.tenants["tn_a"], commitment=version.envelope))


# ── quiet ──────────────────────────────────────────────────────────────────────────────────────────────
def test_no_file_of_the_vault_can_write_a_log_or_reach_the_network() -> None:
    banned = {"logging", "structlog", "warnings", "socket", "http", "urllib", "asyncio", "sys", "traceback"}
    files = list(VAULT.rglob("*.py"))
    assert len(files) > 10
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not banned & {name.partition(".")[0] for name in names}, path.name
            assert not (isinstance(node, ast.Name) and node.id == "print"), path.name


def test_one_file_calls_an_aead_and_two_read_a_secret() -> None:
    users: dict[str, set[str]] = {"AESGCM": set(), "reveal": set()}
    for path in VAULT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Name) and node.id in users:
                users[node.id].add(path.name)
    assert users == {"AESGCM": {"box.py"}, "reveal": {"local.py"}}


def test_a_whole_life_logs_nothing_and_shows_no_secret(
    house: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    key, endpoint = house.key(), house.endpoint()
    version = house.bring(key, endpoint)
    lease = house.vault.lease(key, version, endpoint, mode="live")
    with pytest.raises(Unopenable) as caught:
        house.vault.lease(key, replace(version, version=2), endpoint, mode="live")
    shown = f"{version!r}{lease!r}{caught.value!r}{house.vault!r}{house.vault.__dict__!r}{house.keks!r}"
    written = "".join(capfd.readouterr()) + caplog.text
    assert written == ""
    assert house.secret.decode() not in shown
    assert repr(house.secret)[2:-1] not in shown
