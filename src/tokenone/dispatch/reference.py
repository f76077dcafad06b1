"""A key by reference: a document that says where the secret lies, and who may refer to it.

Law: deny by default. A reference is resolved only where a rule of the operator names it, the tenant, and every
origin of the endpoint that would get the secret: a reference alone proves nothing, for whoever may add keys can
write one. Pure: `call/referenced.py` reads. Reasons never tell more of a place than the caller wrote.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from tokenone.errors import BadSecret, ConfigRefused
from tokenone.rows import Endpoint
from tokenone.types import parse_origin

ENV: Final = "env"
FILE: Final = "file"
EVERY_TENANT: Final = "*"
LONGEST: Final = 1024

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_PATH: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[^/\x00-\x1f\x7f]+)+")
_LATER: Final = {"aws-secretsmanager": "AWS Secrets Manager", "vault-kv": "Vault's KV engine"}


class Reference(NamedTuple):
    """Where a secret lies: `env` and a variable's name, or `file` and an absolute path."""

    scheme: str
    place: str


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an operator allows: this reference (or, ending in `/`, every file below it) for this tenant's keys
    (`*`: every tenant's) whose endpoints have no other origins than these."""

    ref: str
    tenant: str
    origins: tuple[str, ...]


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: str
    ref: str


_strict: Final = msgspec.json.Decoder(_Document)


class _Kind(msgspec.Struct, frozen=True):
    type: str | None = None


_kind: Final = msgspec.json.Decoder(_Kind)


def reference_in(plaintext: bytes) -> Reference | None:
    """Returns the reference that a secret is, None for any other secret; raises BadSecret for a bad one."""
    if b'"reference"' not in plaintext or not _says_reference(plaintext):
        return None
    try:
        return parse(_strict.decode(plaintext).ref)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise BadSecret('a reference is {"type": "reference", "ref": "env:NAME or file:/path"}') from None


def _says_reference(plaintext: bytes) -> bool:
    try:
        return _kind.decode(plaintext).type == "reference"
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def parse(text: str) -> Reference:
    """Reads `env:NAME` or `file:/path`; raises BadSecret."""
    scheme, _, place = text.partition(":")
    if scheme in _LATER:
        raise BadSecret(
            f"references to {_LATER[scheme]} are not resolved by this version: let its agent write a file "
            "and refer to that with file:/path"
        )
    if scheme not in (ENV, FILE):
        raise BadSecret("a reference begins with env: or file:")
    if len(place) > LONGEST or not (_NAME if scheme == ENV else _PATH).fullmatch(place):
        wanted = "env: is followed by a variable's name" if scheme == ENV else "file: by an absolute path"
        raise BadSecret(f"{wanted}, without dot segments")
    return Reference(scheme, place)


def check_rules(rules: Sequence[Rule]) -> None:
    """Raises ConfigRefused for a rule that could never mean what it says."""
    for number, rule in enumerate(rules, 1):
        try:
            parse(rule.ref.removesuffix("/") if rule.ref.startswith(f"{FILE}:") else rule.ref)
        except BadSecret as error:
            raise ConfigRefused(f"references.allow, number {number}: {error.detail}") from None
        if not rule.tenant or not rule.origins:
            raise ConfigRefused(f"references.allow, number {number}: name a tenant and at least one origin")
        for origin in rule.origins:
            parse_origin(origin)


def allowing(
    rules: Sequence[Rule], reference: Reference, tenant: str, endpoint: Endpoint
) -> tuple[Rule, ...]:
    """Returns the rules by which a tenant's key may take the secret from there to the endpoint's origins."""
    return tuple(
        rule
        for rule in rules
        if rule.tenant in (tenant, EVERY_TENANT) and covers(rule, reference) and _stays_within(rule, endpoint)
    )


def covers(rule: Rule, reference: Reference) -> bool:
    """Says whether a rule names the reference itself or a folder above it."""
    scheme, _, place = rule.ref.partition(":")
    if scheme != reference.scheme:
        return False
    if scheme == FILE and place.endswith("/"):
        return reference.place.startswith(place)
    return reference.place == place


def _stays_within(rule: Rule, endpoint: Endpoint) -> bool:
    listed = {parse_origin(origin) for origin in rule.origins}
    return all(parse_origin(origin) in listed for origin in endpoint.origins)


def intake_check(
    rules: Sequence[Rule], tenant: str, endpoint: Endpoint, otherwise: Callable[[bytes], None]
) -> Callable[[bytes], None]:
    """Returns the check of a secret that comes in: a reference must be allowed, anything else the provider's."""

    def check(plaintext: bytes) -> None:
        reference = reference_in(plaintext)
        if reference is None:
            otherwise(plaintext)
        elif not allowing(rules, reference, tenant, endpoint):
            raise BadSecret(
                "the operator allows this tenant no such reference for this endpoint (references.allow)"
            )

    return check
