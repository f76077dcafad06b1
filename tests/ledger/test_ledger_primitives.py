"""Laws of entry, tree, receipt and epoch key, as properties against independent implementations."""

from __future__ import annotations

import hashlib
import hmac
import json
from types import ModuleType
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from tokenone import canonical
from tokenone.errors import IntegrityError, VerificationFailed
from tokenone.ledger import batch, chain, entry, merkle, receipt, segment

LIMIT = 2**53 - 1
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
KEY = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=6)
LEAF = st.none() | st.booleans() | st.integers(-LIMIT, LIMIT) | TEXT
VALUE = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=4)
)
OBJECT = st.dictionaries(KEY, VALUE, max_size=5)


def mth(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + mth(leaves[:split]) + mth(leaves[split:])).digest()


@given(OBJECT)
def test_the_verifier_reads_what_the_writer_encodes_and_rfc8785_agrees(value: dict[str, Any]) -> None:
    record = canonical.encode(value)
    assert record == rfc8785.dumps(value)
    assert entry.decode(record) == value


@given(OBJECT, st.integers(0, 200), st.sampled_from(b' \t\n\\u0"{}[],:-1eE.+/'))
def test_reader_and_words_refuse_the_same_spellings(value: dict[str, Any], at: int, byte: int) -> None:
    record = bytearray(canonical.encode(value))
    at %= len(record) + 1
    for spelled in (record[:at] + bytes((byte,)) + record[at:], record[:at] + record[at + 1 :]):
        outcomes = []
        for decode in (entry.decode, canonical.decode):
            try:
                outcomes.append(json.dumps(decode(bytes(spelled)), sort_keys=True))
            except IntegrityError:
                outcomes.append("refused")
        assert outcomes[0] == outcomes[1], bytes(spelled)


@pytest.mark.parametrize(
    "spelled",
    [
        b'{"a":1.0}', b'{"a":1e2}', b'{"a":-0}', b'{"a":NaN}', b'{"a":9007199254740992}', b'{"b":1,"a":1}',
        b'{"a":1,"a":1}', b'{"a":"\\u0061"}', b'{"a":"\\ud800"}', b'{"\xc3\xa4":1}', b'{"a":1} ', b'[1]', b'',
        b'{"a":"\\/"}', b'{"a":"\xff"}', b'{"a":"\x01"}', b'\xef\xbb\xbf{}', b'{"a":[{"b":1,"b":2}]}',
        b"[" * 100_000, b'{"a":' + b"9" * 5000 + b"}", b'{"a":[9007199254740992]}',
    ],
)  # fmt: skip
def test_what_is_not_canonical_is_no_record(spelled: bytes) -> None:
    with pytest.raises(IntegrityError):
        entry.decode(spelled)


@given(st.integers(1, 300), st.randoms())
def test_every_path_of_every_tree_folds_to_the_rfcs_root(size: int, random: Any) -> None:
    leaves = [hashlib.sha256(n.to_bytes(4, "big")).digest() for n in range(size)]
    tree = merkle.Tree(leaves)
    assert tree.root == merkle.root(leaves) == mth(leaves)
    place = random.randrange(size)
    path = tree.path(place)
    assert merkle.fold(leaves[place], index=place, count=size, path=path) == tree.root
    for cut in (path[:-1], [*path, bytes(32)]):
        if cut != path:
            with pytest.raises(IntegrityError):
                merkle.fold(leaves[place], index=place, count=size, path=cut)


@pytest.mark.parametrize("size", [1, 2, 3, 1000, 4095, 4096])
def test_a_receipt_fits_a_header_at_every_batch_size(size: int, forge: ModuleType) -> None:
    leaves = [hashlib.sha256(n.to_bytes(4, "big")).digest() for n in range(size)]
    tree = merkle.Tree(leaves)
    key_id = batch.key_id(forge.SIGNING.public_key())
    statement = batch.Statement(key_id, "o" * 128, 7, 2**60, size, 2**52, tree.root, bytes(32), bytes(32))
    signature = batch.sign(statement, forge.SIGNING)[-64:]
    for place in {0, size // 2, size - 1}:
        text = receipt.encode(statement, signature, place=place, tree=tree, leaf=leaves[place])
        assert len(text) <= receipt.MAX_CHARACTERS
        assert receipt.verify_receipt(text, forge.PUBLIC).seq == 2**60 + place


def test_every_changed_byte_of_a_receipt_is_found(forge: ModuleType) -> None:
    raw = entry.unb64(forge.honest().receipt(3))
    for at in range(len(raw)):
        for change in (1, 0x80, 0xFF):
            changed = raw[:at] + bytes((raw[at] ^ change,)) + raw[at + 1 :]
            with pytest.raises(VerificationFailed):
                receipt.verify_receipt(entry.b64(changed), forge.PUBLIC)


@given(st.binary(max_size=900).map(entry.b64) | st.text(max_size=40))
def test_garbage_is_refused_as_a_receipt_and_raises_nothing_else(text: str) -> None:
    with pytest.raises(VerificationFailed):
        receipt.verify_receipt(
            text, bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
        )


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=100))
def test_a_mac_is_hmac_sha256(key: bytes, link: bytes) -> None:
    assert chain.EpochKey(key).mac(link) == hmac.digest(key, link, "sha256")


def test_the_ratchet_goes_forward_only_and_the_auditor_can_follow(forge: ModuleType) -> None:
    key = chain.EpochKey(bytes(32))
    first = key.mac(b"link")
    key.advance_to(3)
    for epoch in (2, chain.MAX_RATCHET + 1):
        with pytest.raises(IntegrityError):
            key.advance_to(epoch)
    sealed = chain.seal(bytes(32), forge.AUDITOR.public_key(), origin="o", slot=1, boot=2)
    again = chain.unseal(sealed, forge.AUDITOR, origin="o", slot=1, boot=2)
    assert again.mac(b"link") == first
    again.advance_to(3)
    assert again.mac(b"link") == key.mac(b"link") != first


@pytest.mark.parametrize("place", [("p", 1, 2), ("o", 2, 2), ("o", 1, 3)])
def test_a_sealed_epoch_key_opens_in_its_own_boot_alone(
    place: tuple[str, int, int], forge: ModuleType
) -> None:
    sealed = chain.seal(bytes(32), forge.AUDITOR.public_key(), origin="o", slot=1, boot=2)
    origin, slot, boot = place
    with pytest.raises(IntegrityError):
        chain.unseal(sealed, forge.AUDITOR, origin=origin, slot=slot, boot=boot)


def test_frames_are_read_back_wherever_reads_are_cut(tmp_path: Any) -> None:
    sizes = [0, 1, (1 << 20) - 9, 1 << 20, 3 << 20, 5]
    data = b"".join(segment.frame(segment.RECORD, bytes((n,)) * size) for n, size in enumerate(sizes))
    path = tmp_path / "frames"
    path.write_bytes(data)
    with path.open("rb") as file:
        found = list(segment.frames(file))
    assert [len(frame.payload) for frame in found] == sizes
    assert found[-1].end == len(data)
