"""The one place that calls an AEAD: key-committing one-time boxes, and the length-prefixed framing.

Law: every AES key made here encrypts one message in its life, so its nonce is constant; what does not open is
`None`, without a cause. It does not know what it encrypts, nor for whom (docs/spec/envelope.md).
"""

from __future__ import annotations

import hmac
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES: Final = 32
SALT_BYTES: Final = 32
COMMITMENT_BYTES: Final = 32
TAG_BYTES: Final = 16
BOX_BYTES: Final = SALT_BYTES + COMMITMENT_BYTES + TAG_BYTES
"""By how much a box is longer than its plaintext."""

_ONCE: Final = bytes(12)
_NO_SALT: Final = bytes(SALT_BYTES)


def frame(*fields: bytes) -> bytes:
    """Joins fields so that no two lists of fields give the same bytes: each after its 4-byte length."""
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def random_key() -> bytes:
    """Returns 32 bytes from the system's generator."""
    return secrets.token_bytes(KEY_BYTES)


def derive(key: bytes, info: bytes, *, salt: bytes = _NO_SALT, length: int = KEY_BYTES) -> bytes:
    """HKDF-SHA256 (RFC 5869)."""
    return HKDF(SHA256(), length, salt, info).derive(key)


def lock(key: bytes, info: bytes, associated: bytes, plaintext: bytes) -> bytes:
    """Returns salt ‖ commitment ‖ ciphertext under a one-time key derived from `key` and a fresh salt."""
    salt = secrets.token_bytes(SALT_BYTES)
    derived = derive(key, info, salt=salt, length=KEY_BYTES + COMMITMENT_BYTES)
    return salt + derived[KEY_BYTES:] + encrypt_once(derived[:KEY_BYTES], associated, plaintext)


def unlock(key: bytes, info: bytes, associated: bytes, box: bytes) -> bytes | None:
    """Returns the plaintext of `lock`, or None; the commitment is compared before anything is decrypted."""
    if len(box) < BOX_BYTES:
        return None
    salt, commitment = box[:SALT_BYTES], box[SALT_BYTES : SALT_BYTES + COMMITMENT_BYTES]
    derived = derive(key, info, salt=salt, length=KEY_BYTES + COMMITMENT_BYTES)
    if not hmac.compare_digest(derived[KEY_BYTES:], commitment):
        return None
    return decrypt_once(derived[:KEY_BYTES], associated, box[SALT_BYTES + COMMITMENT_BYTES :])


def encrypt_once(key: bytes, associated: bytes, plaintext: bytes) -> bytes:
    """AES-256-GCM under a key that never encrypts anything else."""
    return AESGCM(key).encrypt(_ONCE, plaintext, associated)


def decrypt_once(key: bytes, associated: bytes, ciphertext: bytes) -> bytes | None:
    """The inverse of `encrypt_once`; None when the tag does not fit."""
    try:
        return AESGCM(key).decrypt(_ONCE, ciphertext, associated)
    except (InvalidTag, ValueError):
        return None
