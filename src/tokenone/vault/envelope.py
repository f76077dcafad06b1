"""TKE1: a secret at rest, bound to its tenant, provider, key, version and the origins it may be sent to.

Law: a row that was moved anywhere else does not open; every failure is the same `Unopenable`, without a
cause. It does not fetch KEKs, nor decide who may open (docs/spec/envelope.md has the bytes).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from tokenone.errors import ConfigRefused, Unopenable
from tokenone.rows import Endpoint, Key
from tokenone.types import parse_origin
from tokenone.vault.box import (
    BOX_BYTES,
    KEY_BYTES,
    TAG_BYTES,
    decrypt_once,
    derive,
    encrypt_once,
    frame,
    lock,
    random_key,
    unlock,
)

MAX_SECRET_BYTES: Final = 65_536
_MAGIC: Final = b"TKE1\x01"
_WRAP_INFO: Final = b"tokenone/TKE1/dek"
_CONTENT_INFO: Final = b"tokenone/TKE1/secret"
_WRAPPED_DEK: Final = BOX_BYTES + KEY_BYTES
_NO_ORIGINS: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class Kek:
    """A tenant's opened key-encryption key; never shown."""

    tenant: str
    version: int
    material: bytes

    def __repr__(self) -> str:
        return f"Kek(tenant={self.tenant!r}, version={self.version})"


@dataclass(frozen=True, slots=True)
class Binding:
    """Where an envelope belongs: the associated data, in order."""

    purpose: str
    tenant: str
    provider: str
    key: str
    version: int
    origins: bytes

    def encode(self) -> bytes:
        """Returns the length-prefixed associated data."""
        texts = (self.purpose, self.tenant, self.provider, self.key)
        return frame(*(text.encode() for text in texts), self.version.to_bytes(8, "big"), self.origins)


def key_binding(key: Key, version: int, endpoint: Endpoint) -> Binding:
    """Binds a provider key's secret to its place."""
    return Binding("provider-key", key.tenant, key.provider.value, key.id, version, origin_digest(endpoint))


def commitment_binding(tenant: str) -> Binding:
    """Binds a tenant's content-commitment key."""
    return Binding("commitment", tenant, "", "", 0, _NO_ORIGINS)


def origin_digest(endpoint: Endpoint) -> bytes:
    """Digests where an endpoint's requests may go: base path, its own CA, all origins in order, normalised."""
    origins = (str(parse_origin(origin)).encode() for origin in endpoint.origins)
    place: tuple[bytes, ...] = (b"tokenone/origins/1", endpoint.base_path.encode())
    if endpoint.ca_pem is not None:
        place = (b"tokenone/origins/2", endpoint.base_path.encode(), endpoint.ca_pem.encode())
    return hashlib.sha256(frame(*place, *origins)).digest()


def seal_envelope(kek: Kek, binding: Binding, secret: bytes) -> bytes:
    """Returns a new TKE1 envelope under a fresh DEK and salt; `secret` is 1 to 65,536 bytes."""
    name = kek.tenant.encode()
    if not 1 <= len(name) <= 64 or not 1 <= len(secret) <= MAX_SECRET_BYTES:
        raise ConfigRefused("a secret has 1 to 65,536 bytes and a tenant's id 1 to 64")
    header = _MAGIC + bytes([len(name)]) + name + kek.version.to_bytes(4, "big")
    place = binding.encode()
    dek = random_key()
    wrapped = lock(kek.material, _WRAP_INFO, frame(header, place), dek)
    return header + wrapped + encrypt_once(derive(dek, _CONTENT_INFO), place, secret)


def open_envelope(kek: Kek, binding: Binding, envelope: bytes) -> bytes:
    """Returns the secret, or raises the one Unopenable."""
    secret = _open(kek, binding, envelope)
    if secret is None:
        raise Unopenable
    return secret


def kek_version(envelope: bytes) -> int:
    """Reads which version of its tenant's KEK an envelope needs; Unopenable if it is no envelope."""
    end = _header_end(envelope)
    if end is None:
        raise Unopenable
    return int.from_bytes(envelope[end - 4 : end], "big")


def _header_end(envelope: bytes) -> int | None:
    if len(envelope) < 6 or envelope[:5] != _MAGIC or not 1 <= envelope[5] <= 64:
        return None
    end = 6 + envelope[5] + 4
    return end if len(envelope) > end + _WRAPPED_DEK + TAG_BYTES else None


def _open(kek: Kek, binding: Binding, envelope: bytes) -> bytes | None:
    end = _header_end(envelope)
    if end is None or kek.tenant != binding.tenant:
        return None
    header, wrapped = envelope[:end], envelope[end : end + _WRAPPED_DEK]
    if header[6:] != kek.tenant.encode() + kek.version.to_bytes(4, "big"):
        return None
    place = binding.encode()
    dek = unlock(kek.material, _WRAP_INFO, frame(header, place), wrapped)
    if dek is None:
        return None
    return decrypt_once(derive(dek, _CONTENT_INFO), place, envelope[end + _WRAPPED_DEK :])
