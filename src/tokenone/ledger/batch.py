"""The signed statement of a commit batch: which entries, their Merkle root, and the chain's head after them.

Law: one Ed25519 signature covers origin, slot, first seq, count, root, last link and the MACs' digest, so
it binds the head of the chain and every byte of the batch. It does not know files.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tokenone.errors import IntegrityError
from tokenone.ledger.chain import text

MAX_COUNT: Final = 4096
MAGIC: Final = b"tokenone/batch/v1\n"
_TAIL: Final = struct.Struct(">IQIQ32s32s32s")
_SIGNATURE_BYTES: Final = 64
_FIXED: Final = len(MAGIC) + 8 + 1 + _TAIL.size + _SIGNATURE_BYTES  # all but the origin's bytes


class Statement(NamedTuple):
    """What a batch's signature says."""

    key_id: bytes
    origin: str
    slot: int
    first: int
    size: int
    at_us: int
    root: bytes
    last_link: bytes
    macs: bytes

    @property
    def last(self) -> int:
        """The last entry's number."""
        return self.first + self.size - 1

    def encode(self) -> bytes:
        """Returns the bytes that are signed."""
        numbers = (self.slot, self.first, self.size, self.at_us)
        try:
            tail = _TAIL.pack(*numbers, self.root, self.last_link, self.macs)
        except struct.error:
            raise IntegrityError("a number of the batch is out of range") from None
        return MAGIC + self.key_id + text(self.origin) + tail


def key_id(public: Ed25519PublicKey) -> bytes:
    """Returns the first 8 bytes of the public key's SHA-256."""
    return hashlib.sha256(raw_public(public)).digest()[:8]


def raw_public(public: Ed25519PublicKey) -> bytes:
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


def load_public(raw: bytes) -> Ed25519PublicKey:
    """Reads a raw Ed25519 public key."""
    try:
        return Ed25519PublicKey.from_public_bytes(raw)
    except ValueError:
        raise IntegrityError("not an Ed25519 public key") from None


def sign(statement: Statement, key: Ed25519PrivateKey) -> bytes:
    """Returns a batch frame's payload: statement ‖ signature."""
    encoded = statement.encode()
    return encoded + key.sign(encoded)


def parse(payload: bytes) -> tuple[Statement, bytes]:
    """Splits a batch frame's payload into statement and signature; verifies nothing."""
    start = len(MAGIC) + 8
    if len(payload) < _FIXED or not payload.startswith(MAGIC) or len(payload) != _FIXED + payload[start]:
        raise IntegrityError("a batch frame of the wrong form")
    end = start + 1 + payload[start]
    try:
        origin = payload[start + 1 : end].decode("utf-8")
    except UnicodeDecodeError:
        raise IntegrityError("an origin that is not UTF-8") from None
    statement = Statement(payload[len(MAGIC) : start], origin, *_TAIL.unpack_from(payload, end))
    if not 1 <= statement.size <= MAX_COUNT:
        raise IntegrityError("a batch of no or too many entries")
    return statement, payload[-_SIGNATURE_BYTES:]


def longest(window: bytes) -> bytes | None:
    """Cuts the payload that begins at `window`'s start, by its own origin length; None if it is not whole."""
    start = len(MAGIC) + 8
    if len(window) <= start or len(window) < _FIXED + window[start]:
        return None
    return window[: _FIXED + window[start]]


def verify(statement: Statement, signature: bytes, public: Ed25519PublicKey) -> None:
    """Raises IntegrityError unless `public` signed this very statement."""
    if statement.key_id != key_id(public):
        raise IntegrityError("signed by another key")
    try:
        public.verify(signature, statement.encode())
    except InvalidSignature:
        raise IntegrityError("the signature does not verify") from None
