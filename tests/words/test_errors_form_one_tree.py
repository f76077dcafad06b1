"""The error tree: families by whose fault, stable unique codes, honest statuses, advice for people."""

import re

import pytest

from tokenone import errors
from tokenone.errors import (
    CallerError,
    CallerGone,
    DeniedError,
    IntegrityError,
    OperatorError,
    ProviderError,
    TokenOneError,
)

FAMILIES = (CallerError, DeniedError, ProviderError, IntegrityError, OperatorError)
ALL = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, TokenOneError)]

STABLE = {
    "MalformedBody": ("malformed_body", 400),
    "BodyTooDeep": ("body_too_deep", 400),
    "BodyTooLarge": ("body_too_large", 413),
    "ModelMissing": ("model_missing", 400),
    "ModelUnknown": ("model_not_found", 404),
    "UnknownPath": ("unknown_path", 404),
    "MethodNotAllowed": ("method_not_allowed", 405),
    "UpgradeRefused": ("websocket_not_supported", 426),
    "NotFound": ("not_found", 404),
    "Conflict": ("conflict", 409),
    "BadSecret": ("bad_secret", 422),
    "BadToken": ("malformed_token", 401),
    "CredentialsDiffer": ("credentials_differ", 400),
    "Unidentified": ("invalid_token", 401),
    "TokenExpired": ("token_expired", 401),
    "TokenRevoked": ("token_revoked", 401),
    "AddressRefused": ("address_not_allowed", 403),
    "ScopeClosed": ("scope_closed", 403),
    "ModelDenied": ("model_not_allowed", 403),
    "ProviderDenied": ("provider_not_allowed", 403),
    "PathDenied": ("path_not_allowed", 403),
    "GrantMissing": ("grant_missing", 403),
    "NoKeyInScope": ("no_key_in_scope", 403),
    "KeyUnusable": ("key_not_usable", 403),
    "ContentBlocked": ("content_blocked", 400),
    "RateLimited": ("rate_limited", 429),
    "DialFailed": ("upstream_unreachable", 502),
    "EgressRefused": ("egress_refused", 502),
    "UpstreamTimeout": ("upstream_timeout", 504),
    "UpstreamBroken": ("upstream_broken", 502),
    "UpstreamAuth": ("upstream_auth", 502),
    "CallerGone": ("caller_gone", 499),
    "Unopenable": ("unopenable", 500),
    "VerificationFailed": ("verification_failed", 500),
    "RootRefused": ("root_refused", 503),
    "ConfigRefused": ("config_refused", 503),
    "LedgerUnavailable": ("ledger_unavailable", 503),
    "DirectoryStale": ("directory_stale", 503),
    "Overloaded": ("overloaded", 503),
    "StoreUnavailable": ("store_unavailable", 503),
    "ControlUnavailable": ("control_unavailable", 503),
}
"""Codes that callers may have built on: a line here is a promise."""


def test_every_error_is_of_exactly_one_family() -> None:
    for one in ALL:
        if one in (TokenOneError, CallerGone):
            continue
        assert sum(issubclass(one, family) for family in FAMILIES) == 1, one.__name__


def test_codes_are_unique_and_spelled_alike() -> None:
    codes = [one.code for one in ALL]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", code) for code in codes)


@pytest.mark.parametrize(("name", "promise"), STABLE.items())
def test_a_code_that_callers_build_on_does_not_change(name: str, promise: tuple[str, int]) -> None:
    one = getattr(errors, name)
    assert (one.code, one.status) == promise


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.__name__)
def test_every_error_has_its_own_status_and_a_sentence_of_advice(one: type[TokenOneError]) -> None:
    assert 400 <= one.status <= 599
    assert one.advice
    assert one().detail == one.advice
    assert one("why").detail == "why"
    assert str(one("why")) == "why"


@pytest.mark.parametrize(
    ("family", "statuses"),
    [
        (CallerError, range(400, 500)),
        (DeniedError, range(400, 500)),
        (ProviderError, range(500, 600)),
        (IntegrityError, range(500, 600)),
        (OperatorError, range(500, 600)),
    ],
)
def test_the_status_says_whose_fault_it_is(family: type[TokenOneError], statuses: range) -> None:
    assert all(one.status in statuses for one in ALL if issubclass(one, family))


def test_the_drawn_tree_names_every_family() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))
    assert drawn == {family.__name__ for family in FAMILIES}
    assert all(family.__base__ is TokenOneError for family in FAMILIES)


def test_a_refusal_can_say_when_to_come_back() -> None:
    assert errors.RateLimited(retry_after=7).retry_after == 7
    assert errors.RateLimited().retry_after is None
