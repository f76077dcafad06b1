"""The chain's arithmetic: leaf, link, MAC, and the epoch key that moves forward only.

Law: links need no key; a MAC needs the epoch's key, which is dropped when its ten minutes are over. The first
key of a boot leaves the process only sealed to the offline auditor. It keeps no log and touches no file.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from tokenone.errors import IntegrityError

EPOCH_US: Final = 10 * 60 * 1_000_000
MAX_RATCHET: Final = 1_000_000  # epochs of one boot: 19 years; bounds what a forged number can cost
_RATCHET: Final = b"tokenone/ledger/ratchet/v1"
_INNER_PAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD: Final = bytes(byte ^ 0x5C for byte in range(256))
_SUITE: Final = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


def text(value: str) -> bytes:
    """Returns a text of the binary layouts: u8 length ‖ UTF-8."""
    raw = value.encode("utf-8")
    if not 1 <= len(raw) <= 128:
        raise IntegrityError("an origin has 1 to 128 bytes")
    return bytes((len(raw),)) + raw


def genesis(origin: str, slot: int) -> bytes:
    """Returns link(0) of a slot's log."""
    return hashlib.sha256(b"tokenone/ledger/v1\n" + text(origin) + struct.pack(">I", slot)).digest()


def leaf_of(record: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + record).digest()


def link_of(previous: bytes, leaf: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + previous + leaf).digest()


class EpochKey:
    """The current epoch's key, as the two begun hashes of HMAC-SHA256 (RFC 2104): half of `hmac.digest`'s cost.

    `advance` derives the next key and drops this one; OpenSSL clears a dropped hash's state.
    """

    __slots__ = ("_inner", "_outer", "epoch")

    def __init__(self, first: bytes) -> None:
        if len(first) != 32:
            raise IntegrityError("an epoch key has 32 bytes")
        self._take(first)
        self.epoch = 0

    def _take(self, key: bytes) -> None:
        block = key.ljust(64, b"\0")
        self._inner = hashlib.sha256(block.translate(_INNER_PAD))
        self._outer = hashlib.sha256(block.translate(_OUTER_PAD))

    def mac(self, link: bytes) -> bytes:
        """Returns HMAC-SHA256(key, link)."""
        inner = self._inner.copy()
        inner.update(link)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()

    def advance(self) -> None:
        """Moves one epoch on. Python may leave copies of a key in freed memory; SECURITY.md says so."""
        self._take(self.mac(_RATCHET))
        self.epoch += 1

    def advance_to(self, epoch: int) -> None:
        """Moves on to `epoch`; it cannot go back."""
        if not self.epoch <= epoch <= MAX_RATCHET:
            raise IntegrityError("an epoch that the ratchet cannot reach")
        while self.epoch < epoch:
            self.advance()


def seal(first: bytes, auditor: X25519PublicKey, *, origin: str, slot: int, boot: int) -> bytes:
    """Seals a boot's first key to the auditor."""
    return _SUITE.encrypt(first, auditor, info=_info(origin, slot, boot))


def unseal(sealed: bytes, auditor: X25519PrivateKey, *, origin: str, slot: int, boot: int) -> EpochKey:
    """Opens a boot's first key with the auditor's private key."""
    try:
        return EpochKey(_SUITE.decrypt(sealed, auditor, info=_info(origin, slot, boot)))
    except (InvalidTag, ValueError):
        raise IntegrityError("the boot's sealed epoch key does not open") from None


def _info(origin: str, slot: int, boot: int) -> bytes:
    return b"tokenone/ledger/epoch/v1\n" + text(origin) + struct.pack(">IQ", slot, boot)
