"""Identifying: one constant answer until the digest matches; the truth afterwards."""

from typing import Any

import msgspec
import pytest

from tokenone.clock import HOUR_US
from tokenone.errors import (
    AddressRefused,
    DeniedError,
    ScopeClosed,
    TokenExpired,
    TokenRevoked,
    Unidentified,
)
from tokenone.keyed import Keyed
from tokenone.rows import Project, Tenant, Token, Workload
from tokenone.scope import Caller, identify, mint
from tokenone.scope.token import checksum


def _identify(world: Any, text: str | None, peer: str = "198.51.100.7") -> Caller:
    headers = [] if text is None else [(b"authorization", b"Bearer " + text.encode())]
    return identify(
        world.directory,
        world.pepper,
        headers=headers,
        target=b"/v1/models",
        peer=peer,
        now_us=world.clock.now_us(),
    )


def _resealed(body: str) -> str:
    return f"{body}_{checksum(body)}"


def test_a_proven_token_stands_in_its_workload_project_and_tenant(world: Any) -> None:
    caller = _identify(world, world.token().text)
    assert (caller.scope.tenant, caller.scope.project, caller.scope.workload) == ("acme", "shop", "bot")
    assert (caller.tenant.id, caller.project.id, caller.workload.id) == ("acme", "shop", "bot")
    assert caller.region is None


def test_a_sigv4_caller_brings_its_region(world: Any) -> None:
    text = world.token().text
    signature = (
        f"AWS4-HMAC-SHA256 Credential={text}/20261123/us-gov-east-1/bedrock/aws4_request, Signature=00"
    )
    caller = identify(
        world.directory, world.pepper, headers=[(b"Authorization", signature.encode())],
        target=b"/bedrock/model/m/converse", peer="192.0.2.1", now_us=world.clock.now_us(),
    )  # fmt: skip
    assert caller.region == "us-gov-east-1"


def test_every_way_of_not_matching_is_answered_alike(world: Any) -> None:
    good = world.token()
    body, _, crc = good.text.rpartition("_")
    stranger = mint(world.pepper, "live")
    moved = mint(world.pepper, "live")
    dev_row = mint(world.pepper, "live")
    world.feed(
        Token(moved.id, "bot", good.digest),
        Token(dev_row.id, "bot", dev_row.digest, "dev"),
    )
    wrong_pepper = mint(Keyed(bytes(32)), "live")
    world.feed(Token(wrong_pepper.id, "bot", wrong_pepper.digest))
    lost = world.token(workload="no-such-workload")
    unproven = [
        None,
        "",
        "sk-proj-abc",
        stranger.text,
        moved.text,
        dev_row.text,
        wrong_pepper.text,
        lost.text,
        good.text[:-1] + ("0" if crc[-1] != "0" else "1"),
        _resealed(body[:-1] + ("a" if body[-1] != "a" else "b")),
        _resealed(body.replace("to_live_", "to_dev_")),
        good.text + " x",
        "tö_live_" + good.text[8:],
    ]
    answers = set()
    for text in unproven:
        with pytest.raises(Unidentified) as refused:
            _identify(world, text)
        answers.add((type(refused.value), refused.value.code, refused.value.status, str(refused.value)))
        assert refused.value.__cause__ is None
    assert len(answers) == 1


@pytest.mark.parametrize("digest", [b"", bytes(32), bytes(31)])
def test_a_row_without_a_real_digest_proves_nobody(world: Any, digest: bytes) -> None:
    minted = mint(world.pepper, "live")
    world.feed(Token(minted.id, "bot", digest))
    with pytest.raises(Unidentified):
        _identify(world, minted.text)


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"expires_us": 0}, TokenExpired),
        ({"revoked_us": 0}, TokenRevoked),
        ({"revoked_us": 0, "expires_us": 0}, TokenRevoked),
    ],
)
def test_a_proven_token_is_told_what_ended_it(world: Any, fields: dict, refusal: type[DeniedError]) -> None:
    now = world.clock.now_us()
    minted = world.token(**dict.fromkeys(fields, now))
    with pytest.raises(refusal):
        _identify(world, minted.text)


def test_a_token_works_until_the_very_microsecond_of_its_end(world: Any) -> None:
    minted = world.token(expires_us=world.clock.now_us() + HOUR_US)
    world.clock.advance(HOUR_US - 1)
    assert _identify(world, minted.text).token.id == minted.id
    world.clock.advance(1)
    with pytest.raises(TokenExpired):
        _identify(world, minted.text)


def test_an_unproven_token_is_not_told_that_it_is_revoked(world: Any) -> None:
    minted = world.token(revoked_us=0)
    body = minted.text.rpartition("_")[0]
    with pytest.raises(Unidentified):
        _identify(world, _resealed(body[:-1] + ("a" if body[-1] != "a" else "b")))


def test_a_revocation_counts_from_the_delta_that_brings_it(world: Any) -> None:
    minted = world.token()
    row = world.directory.token(minted.id)
    _identify(world, minted.text)
    world.feed(msgspec.structs.replace(row, revoked_us=world.clock.now_us()))
    with pytest.raises(TokenRevoked):
        _identify(world, minted.text)
    world.remove("Token", minted.id)
    with pytest.raises(Unidentified):
        _identify(world, minted.text)


def test_both_tokens_of_a_rotation_work_during_the_grace(world: Any) -> None:
    old = world.token(expires_us=world.clock.now_us() + HOUR_US)
    new = world.token()
    assert _identify(world, old.text).scope == _identify(world, new.text).scope
    world.clock.advance(HOUR_US)
    assert _identify(world, new.text).token.id == new.id
    with pytest.raises(TokenExpired):
        _identify(world, old.text)


@pytest.mark.parametrize(
    ("peer", "admitted"),
    [
        ("192.0.2.9", True),
        ("::ffff:192.0.2.9", True),
        ("2001:db8::5", True),
        ("192.0.3.9", False),
        ("2001:db9::5", False),
        ("", False),
        ("not-an-address", False),
    ],
)
def test_an_address_list_admits_its_blocks_alone(world: Any, peer: str, admitted: bool) -> None:
    minted = world.token(addresses=("not a block", "192.0.2.0/24", "2001:db8::/32"))
    if admitted:
        assert _identify(world, minted.text, peer).token.id == minted.id
        return
    with pytest.raises(AddressRefused):
        _identify(world, minted.text, peer)


@pytest.mark.parametrize(
    "row",
    [
        Tenant("acme", "acme", closed=True),
        Project("shop", "acme", "shop", closed=True),
        Workload("bot", "acme", "shop", "bot", closed=True),
    ],
    ids=["tenant", "project", "workload"],
)
def test_a_closed_scope_admits_nobody(world: Any, row: Any) -> None:
    minted = world.token()
    world.feed(row)
    with pytest.raises(ScopeClosed):
        _identify(world, minted.text)


@pytest.mark.parametrize(
    "row",
    [
        Project("shop", "other", "shop"),
        Workload("bot", "other", "shop", "bot"),
        Workload("bot", "acme", "elsewhere", "bot"),
    ],
    ids=["project of another tenant", "workload of another tenant", "project that is not there"],
)
def test_rows_that_do_not_fit_together_identify_nobody(world: Any, row: Any) -> None:
    minted = world.token()
    world.feed(Tenant("other", "other"), row)
    with pytest.raises(Unidentified):
        _identify(world, minted.text)
