"""TKS1: a secret sealed to the gateway by HPKE, on its way in; padded, its context in `info`.

Law: the sealer needs a public key only; what was sealed for one tenant, endpoint, key and challenge opens for
no other. Sealed to the gateway, not hidden from whoever operates it. It keeps no challenges (intake.py does)
and imports `cryptography` alone, because clients run it too (docs/spec/seal.md has the bytes).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from tokenone.errors import BadSecret, Unopenable
from tokenone.vault.box import frame

_MAGIC: Final = b"TKS1\x01"
_BLOCK: Final = 256
_MAX_SECRET_BYTES: Final = 65_536
_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


@dataclass(frozen=True, slots=True)
class SealContext:
    """What a sealed secret is for; `endpoint_digest` is the hex of the endpoint's origin digest."""

    tenant: str
    provider: str
    endpoint: str
    endpoint_digest: str
    key: str
    challenge: str
    purpose: str = "provider-key"

    def info(self) -> bytes:
        """Returns HPKE's `info`; raises BadSecret when a field is empty."""
        if not all(getattr(self, field.name) for field in fields(self)):
            raise BadSecret("a field of the sealing context is empty")
        place = (self.purpose, self.tenant, self.provider, self.endpoint)
        return frame(
            b"tokenone/seal/1",
            *(text.encode() for text in (*place, self.endpoint_digest, self.key, self.challenge)),
        )


def seal(public: bytes, secret: bytes, context: SealContext) -> bytes:
    """Seals `secret` to the gateway with the raw X25519 key `public`; raises BadSecret on bad input."""
    if len(public) != 32 or not 1 <= len(secret) <= _MAX_SECRET_BYTES:
        raise BadSecret("a sealing key has 32 bytes, a secret 1 to 65,536")
    recipient = X25519PublicKey.from_public_bytes(public)
    return _MAGIC + _SUITE.encrypt(_pad(secret), recipient, context.info())


def unseal(private: X25519PrivateKey, sealed: bytes, context: SealContext) -> bytes:
    """Returns the secret, or raises the one Unopenable."""
    secret = _unseal(private, sealed, context) if sealed[: len(_MAGIC)] == _MAGIC else None
    if secret is None:
        raise Unopenable
    return secret


def fingerprint(public: bytes) -> str:
    """Names a sealing key for people to compare and the CLI to pin."""
    return "sha256:" + hashlib.sha256(public).hexdigest()


def _unseal(private: X25519PrivateKey, sealed: bytes, context: SealContext) -> bytes | None:
    try:
        padded = _SUITE.decrypt(sealed[len(_MAGIC) :], private, context.info())
    except (InvalidTag, ValueError, BadSecret):
        return None
    return _unpad(padded)


def _pad(secret: bytes) -> bytes:
    framed = frame(secret)
    return framed + bytes(-len(framed) % _BLOCK)


def _unpad(padded: bytes) -> bytes | None:
    length = int.from_bytes(padded[:4], "big")
    if not 1 <= length <= _MAX_SECRET_BYTES:
        return None
    secret = padded[4 : 4 + length]
    return secret if _pad(secret) == padded else None
