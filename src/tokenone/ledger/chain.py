"""The chain's arithmetic: leaf, link, MAC, and the epoch key that moves forward only.

Law: links need no key; a MAC needs the epoch's key, which is overwritten when its ten minutes are over. The
first key of a boot leaves the process only sealed to the offline auditor. It keeps no log and touches no
file.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from tokenone.errors import IntegrityError

EPOCH_US: Final = 10 * 60 * 1_000_000
MAX_RATCHET: Final = 1_000_000  # epochs of one boot: 19 years; bounds what a forged number can cost
_RATCHET: Final = b"tokenone/ledger/ratchet/v1"
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
    """The current epoch's key; `advance` derives the next one and overwrites this one."""

    __slots__ = ("_key", "epoch")

    def __init__(self, first: bytes) -> None:
        if len(first) != 32:
            raise IntegrityError("an epoch key has 32 bytes")
        self._key = bytearray(first)
        self.epoch = 0

    @classmethod
    def random(cls) -> EpochKey:
        return cls(os.urandom(32))

    def mac(self, link: bytes) -> bytes:
        return hmac.digest(self._key, link, "sha256")

    def advance(self) -> None:
        """Moves one epoch on. CPython may have copied the first key elsewhere; SECURITY.md says so."""
        self._key[:] = hmac.digest(self._key, _RATCHET, "sha256")
        self.epoch += 1

    def advance_to(self, epoch: int) -> None:
        """Moves on to `epoch`; it cannot go back."""
        if not self.epoch <= epoch <= MAX_RATCHET:
            raise IntegrityError("an epoch that the ratchet cannot reach")
        while self.epoch < epoch:
            self.advance()

    def seal(self, auditor: X25519PublicKey, *, origin: str, slot: int, boot: int) -> bytes:
        """Seals the boot's first key to the auditor."""
        if self.epoch:
            raise IntegrityError("only a boot's first key is sealed")
        return _SUITE.encrypt(bytes(self._key), auditor, info=_info(origin, slot, boot))

    @classmethod
    def unseal(cls, sealed: bytes, auditor: X25519PrivateKey, *, origin: str, slot: int, boot: int) -> Self:
        """Opens a boot's first key with the auditor's private key."""
        try:
            return cls(_SUITE.decrypt(sealed, auditor, info=_info(origin, slot, boot)))
        except (InvalidTag, ValueError):
            raise IntegrityError("the boot's sealed epoch key does not open") from None


def _info(origin: str, slot: int, boot: int) -> bytes:
    return b"tokenone/ledger/epoch/v1\n" + text(origin) + struct.pack(">IQ", slot, boot)
