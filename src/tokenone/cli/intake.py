"""Seals a secret for one key at one endpoint, after checking what the console said about both.

Law: the endpoint's digest is computed from the origins that were shown; a sealing key that is not the pinned
one, or a context for something else, seals nothing (docs/spec/seal.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from tokenone.canonical import b64, unb64
from tokenone.cli.client import Document
from tokenone.cli.exits import UsageError
from tokenone.errors import IntegrityError, VerificationFailed
from tokenone.rows import Endpoint
from tokenone.vault.envelope import origin_digest
from tokenone.vault.seal import SealContext, fingerprint, seal


class NotSealed(VerificationFailed):
    """The console's answer is not to be trusted with a secret."""

    advice = "The secret stayed on this machine. Compare the fingerprint with whoever runs the gateway."


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What the secret is for: `endpoint` is the row that was shown to the person."""

    tenant: str
    provider: str
    endpoint: Document


def seal_secret(
    intake: Intake, secret: bytes, challenge: Document, pin: str | None
) -> tuple[dict[str, Any], str]:
    """Returns the body for POST /keys (without a name) and the sealing key's fingerprint.

    Raises NotSealed when the answer is for another place, or the sealing key is not the pinned one.
    """
    try:
        public = unb64(challenge["sealing_key"]["public"])
        endpoint = msgspec.convert(intake.endpoint, Endpoint)
        key_id, nonce, given = str(challenge["key_id"]), str(challenge["challenge"]), challenge["context"]
    except (KeyError, TypeError, msgspec.ValidationError, IntegrityError):
        raise NotSealed("the console's challenge is malformed; nothing was sealed") from None
    context = SealContext(
        tenant=intake.tenant,
        provider=intake.provider,
        endpoint=endpoint.id,
        endpoint_digest=origin_digest(endpoint).hex(),
        key=key_id,
        challenge=nonce,
    )
    _same(context, given, endpoint)
    print_of_key = _pinned(public, pin)
    body = {
        "key_id": key_id,
        "challenge": nonce,
        "tenant": intake.tenant,
        "provider": intake.provider,
        "endpoint": endpoint.id,
        "sealed": b64(seal(public, secret, context)),
    }
    return body, print_of_key


def _same(context: SealContext, given: Any, endpoint: Endpoint) -> None:
    """Refuses a challenge whose context is not ours, field by field."""
    own = {name: getattr(context, name) for name in SealContext.__dataclass_fields__}
    differing = [
        name for name, value in own.items() if not isinstance(given, dict) or given.get(name) != value
    ]
    if differing or endpoint.provider.value != context.provider:
        named = ", ".join(differing) or "provider"
        raise NotSealed(f"the console's challenge is for something else ({named}); nothing was sealed")


def _pinned(public: bytes, pin: str | None) -> str:
    if len(public) != 32:
        raise NotSealed("the sealing key has not 32 bytes; nothing was sealed")
    actual = fingerprint(public)
    if pin is None:
        return actual
    if not pin.startswith("sha256:") or len(pin) != len(actual):
        raise UsageError(
            "a pin is `sha256:` and 64 hexadecimal digits, as `tokenone key sealing-key` shows it"
        )
    if pin.lower() != actual:
        raise NotSealed(f"the sealing key is {actual} and not the pinned one; nothing was sealed")
    return actual
