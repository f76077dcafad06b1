"""A caller's receipt: an entry's inclusion path to its signed batch root, in one header's worth of text.

Law: it verifies offline with the log's public key alone, and fits 1,024 characters at any batch size. It
needs no ledger, and says nothing about what came after its batch.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from tokenone.errors import IntegrityError, VerificationFailed
from tokenone.ledger import batch, chain, entry, merkle

MAX_CHARACTERS: Final = 1024
_VERSION: Final = 1
_HEAD: Final = struct.Struct(">IQIQI32s32s32sB")


class Receipt(NamedTuple):
    """A receipt that verified: the entry's place and the batch statement that holds it."""

    statement: batch.Statement
    place: int
    leaf: bytes

    @property
    def seq(self) -> int:
        return self.statement.first + self.place


def encode(
    statement: batch.Statement, signature: bytes, *, place: int, tree: merkle.Tree, leaf: bytes
) -> str:
    """Returns the receipt of the batch's entry `place`."""
    path = tree.path(place)
    head = _HEAD.pack(
        statement.slot,
        statement.first,
        statement.size,
        statement.at_us,
        place,
        leaf,
        statement.last_link,
        statement.macs,
        len(path),
    )
    front = bytes((_VERSION,)) + statement.key_id + chain.text(statement.origin)
    return entry.b64(front + head + b"".join(path) + signature)


def verify_receipt(text: str, public_key: bytes, record: bytes | None = None) -> Receipt:
    """Verifies a receipt with the log's raw public key; with `record`, also that it is that entry's.

    Raises VerificationFailed, which says what does not hold. The steps are numbered as in
    docs/spec/receipt.md.
    """
    try:
        return _verify(text, public_key, record)
    except IntegrityError as error:
        raise VerificationFailed(f"receipt: {error.detail}") from None


def _verify(text: str, public_key: bytes, record: bytes | None) -> Receipt:
    public = batch.load_public(public_key)
    # 1 canonical, of this version, as long as its parts
    statement, place, leaf, path, signature = _parse(text)
    # 2 a place in the batch; 4 the root that the path gives (`fold` refuses a path of the wrong length)
    if not 1 <= statement.size <= batch.MAX_COUNT:
        raise IntegrityError("a batch of no or too many entries")
    root = merkle.fold(leaf, index=place, count=statement.size, path=path)
    statement = statement._replace(root=root)
    # 3 the key; 4 the signature over the statement with that root
    batch.verify(statement, signature, public)
    # 5 the record
    if record is not None:
        if chain.leaf_of(record) != leaf:
            raise IntegrityError("it is another record's")
        if entry.parse(record).seq != statement.first + place:
            raise IntegrityError("the record has another number")
    return Receipt(statement, place, leaf)


def _parse(text: str) -> tuple[batch.Statement, int, bytes, list[bytes], bytes]:
    """Splits the text into statement (root still empty), place, leaf, path and signature."""
    if len(text) > MAX_CHARACTERS:
        raise IntegrityError("too long")
    raw = entry.unb64(text)
    if len(raw) < 10 or raw[0] != _VERSION:
        raise IntegrityError("not of a known version")
    origin_end = 10 + raw[9]
    path_start = origin_end + _HEAD.size
    if len(raw) < path_start:
        raise IntegrityError("cut short")
    slot, first, count, at_us, place, leaf, last_link, macs, steps = _HEAD.unpack_from(raw, origin_end)
    path_end = path_start + 32 * steps
    if len(raw) != path_end + 64:
        raise IntegrityError("not as long as its parts")
    try:
        origin = raw[10:origin_end].decode("utf-8")
    except UnicodeDecodeError:
        raise IntegrityError("an origin that is not UTF-8") from None
    path = [raw[at : at + 32] for at in range(path_start, path_end, 32)]
    statement = batch.Statement(raw[1:9], origin, slot, first, count, at_us, b"", last_link, macs)
    return statement, place, leaf, path, raw[path_end:]
