"""TKS1: sealed for one gateway and one place; held against RFC 9180's vectors and another implementation."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import cryptography_vectors
import pytest
from cryptography.hazmat.bindings._rust import openssl as rust_openssl
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from hypothesis import given
from hypothesis import strategies as st
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey

import tokenone
from tokenone.errors import BadSecret, Unopenable
from tokenone.vault.seal import SealContext, fingerprint, seal, unseal

PRIVATE = X25519PrivateKey.generate()
PUBLIC = PRIVATE.public_key().public_bytes_raw()
CONTEXT = SealContext("tn_a", "openai", "ep_1", "ab" * 32, "key_1", "a challenge")
OTHERS = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.AES256_GCM)


@given(secret=st.binary(min_size=1, max_size=2000))
def test_what_was_sealed_opens_and_its_length_shows_in_blocks_of_256_only(secret: bytes) -> None:
    sealed = seal(PUBLIC, secret, CONTEXT)
    assert unseal(PRIVATE, sealed, CONTEXT) == secret
    assert len(sealed) == 5 + 32 + -(-(len(secret) + 4) // 256) * 256 + 16


def test_the_package_seals_without_loading_the_vault_before_it_is_asked() -> None:
    code = (
        "import sys, tokenone; before = 'tokenone.vault' in sys.modules; tokenone.seal;"
        "print(before, sorted({'msgspec', 'argon2', 'orjson'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False []"


def test_the_package_exports_the_sealing_of_this_room_and_nothing_it_does_not_have() -> None:
    assert tokenone.seal is seal
    assert tokenone.SealContext is SealContext
    with pytest.raises(AttributeError):
        tokenone.unseal  # noqa: B018 - the access is the test


@pytest.mark.parametrize("name", [field.name for field in fields(SealContext)])
@given(other=st.text(max_size=40))
def test_every_changed_field_of_the_context_is_refused(name: str, other: str) -> None:
    sealed = seal(PUBLIC, b"the secret", CONTEXT)
    if other != getattr(CONTEXT, name):
        with pytest.raises(Unopenable):
            unseal(PRIVATE, sealed, replace(CONTEXT, **{name: other}))


def test_a_foreign_sealing_key_does_not_open() -> None:
    with pytest.raises(Unopenable):
        unseal(X25519PrivateKey.generate(), seal(PUBLIC, b"the secret", CONTEXT), CONTEXT)


def test_every_flipped_bit_and_every_truncation_is_refused() -> None:
    sealed = seal(PUBLIC, b"the secret", CONTEXT)
    flips = (bytearray(sealed) for _ in range(len(sealed) * 8))
    spoilt = [sealed[:end] for end in range(len(sealed))] + [sealed + b"\0"]
    for bit, flipped in enumerate(flips):
        # X25519 ignores the top bit of its input (RFC 7748), yet the KEM hashes enc as it came.
        flipped[bit // 8] ^= 1 << bit % 8
        spoilt.append(bytes(flipped))
    for blob in spoilt:
        with pytest.raises(Unopenable):
            unseal(PRIVATE, blob, CONTEXT)


@given(junk=st.binary(max_size=400))
def test_junk_is_refused_and_never_crashes(junk: bytes) -> None:
    for blob in (junk, b"TKS1\x01" + junk):
        with pytest.raises(Unopenable):
            unseal(PRIVATE, blob, CONTEXT)


@pytest.mark.parametrize(
    ("public", "secret", "context"),
    [
        (PUBLIC, b"", CONTEXT),
        (PUBLIC, bytes(65_537), CONTEXT),
        (PUBLIC[:-1], b"x", CONTEXT),
        (PUBLIC, b"x", replace(CONTEXT, challenge="")),
        (PUBLIC, b"x", replace(CONTEXT, tenant="")),
    ],
)
def test_the_sealer_refuses_what_could_not_be_opened(
    public: bytes, secret: bytes, context: SealContext
) -> None:
    with pytest.raises(BadSecret):
        seal(public, secret, context)


def test_all_failures_are_one_indistinguishable_error() -> None:
    sealed = seal(PUBLIC, b"the secret", CONTEXT)
    seen = set()
    for blob, context in (
        (b"", CONTEXT),
        (sealed[:40], CONTEXT),
        (sealed[:5] + bytes(32) + sealed[37:], CONTEXT),
        (sealed, replace(CONTEXT, key="key_2")),
        (sealed, replace(CONTEXT, key="")),
    ):
        with pytest.raises(Unopenable) as caught:
            unseal(PRIVATE, blob, context)
        seen.add((str(caught.value), caught.value.__cause__, caught.value.__context__))
    assert len(seen) == 1


# ── another implementation, and the RFC ────────────────────────────────────────────────────────────────
@given(secret=st.binary(min_size=1, max_size=600))
def test_pyhpke_opens_what_we_seal(secret: bytes) -> None:
    sealed = seal(PUBLIC, secret, CONTEXT)
    recipient = OTHERS.create_recipient_context(
        sealed[5:37], KEMKey.from_pyca_cryptography_key(PRIVATE), info=CONTEXT.info()
    )
    padded = recipient.open(sealed[37:])
    assert len(padded) % 256 == 0
    assert padded[4 : 4 + int.from_bytes(padded[:4], "big")] == secret
    assert not any(padded[4 + len(secret) :])


@given(secret=st.binary(min_size=1, max_size=600))
def test_we_open_what_pyhpke_seals(secret: bytes) -> None:
    framed = len(secret).to_bytes(4, "big") + secret
    recipient = KEMKey.from_pyca_cryptography_key(PRIVATE.public_key())
    enc, sender = OTHERS.create_sender_context(recipient, info=CONTEXT.info())
    sealed = b"TKS1\x01" + enc + sender.seal(framed + bytes(-len(framed) % 256))
    assert unseal(PRIVATE, sealed, CONTEXT) == secret


def test_the_library_opens_the_vectors_of_rfc_9180_for_our_suite() -> None:
    path = Path(cryptography_vectors.__file__).parent / "HPKE" / "test-vectors.json"
    ours = {"mode": 0, "kem_id": 0x20, "kdf_id": 1, "aead_id": 2}
    cases = [case for case in json.loads(path.read_text()) if ours.items() <= case.items()]
    assert cases, "cryptography_vectors has no vector for X25519, HKDF-SHA256, AES-256-GCM"
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    for case in cases:
        private = X25519PrivateKey.from_private_bytes(bytes.fromhex(case["skRm"]))
        first = case["encryptions"][0]
        # The public functions take no associated data; the RFC's vectors all have some.
        opened = rust_openssl.hpke._decrypt_with_aad(
            suite,
            bytes.fromhex(case["enc"] + first["ct"]),
            private,
            bytes.fromhex(case["info"]),
            bytes.fromhex(first["aad"]),
        )
        assert opened.hex() == first["pt"]


def test_a_seal_vector_opens_or_is_refused_as_it_says(seal_vector: dict[str, Any]) -> None:
    private = X25519PrivateKey.from_private_bytes(bytes.fromhex(seal_vector["private_hex"]))
    context = SealContext(**seal_vector["context"])
    sealed = bytes.fromhex(seal_vector["sealed_hex"])
    assert private.public_key().public_bytes_raw().hex() == seal_vector["public_hex"]
    if not seal_vector["opens"]:
        with pytest.raises(Unopenable):
            unseal(private, sealed, context)
        return
    assert unseal(private, sealed, context).hex() == seal_vector["secret_hex"]


def test_a_fingerprint_is_sha256_of_the_public_bytes() -> None:
    assert fingerprint(b"abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
