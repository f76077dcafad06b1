"""Writes vectors/envelope.json and vectors/seal.json from the specifications alone.

It shares no code with the vault: envelopes come from bare HKDF and AES-GCM, sealed blobs from pyhpke with
fixed ephemeral keys, so that the vectors test the vault and not themselves. Everything is derived from a
label, hence reproducible. Run it from the repository's root; the tests hold the files against it.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey
from pyhpke.kem_key import KEMKeyPair

NONCE = bytes(12)
OPENAI = ("https://api.openai.com",)
SECRET = b"sk-proj-" + b"vector0123456789" * 4 + b"a1b2"
CA = "-----BEGIN CERTIFICATE-----\nZm9yIHRlc3RzIGFsb25l\n-----END CERTIFICATE-----\n"


def made(label: str, length: int = 32) -> bytes:
    """Derives test material from a label."""
    return hashlib.shake_256(b"tokenone vectors: " + label.encode()).digest(length)


def frame(*fields: bytes) -> bytes:
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def hkdf(key: bytes, info: str, salt: bytes = bytes(32), length: int = 32) -> bytes:
    return HKDF(SHA256(), length, salt, info.encode()).derive(key)


def origin_digest(base_path: str, origins: tuple[str, ...], ca_pem: str | None = None) -> bytes:
    """`origins` are in normal form here."""
    place = ("tokenone/origins/1", base_path) if ca_pem is None else ("tokenone/origins/2", base_path, ca_pem)
    return hashlib.sha256(frame(*(t.encode() for t in (*place, *origins)))).digest()


# ── TKE1 ───────────────────────────────────────────────────────────────────────────────────────────────
def place(name: str, **other: Any) -> dict[str, Any]:
    """All inputs of one envelope; `other` replaces some."""
    inputs = {
        "purpose": "provider-key",
        "tenant": "tn_0123456789abcdefghjk",
        "provider": "openai",
        "key": "key_0123456789abcdefghjk",
        "version": 1,
        "base_path": "/v1",
        "origins": list(OPENAI),
        "ca_pem": None,
        "kek_version": 1,
        "kek_hex": made("kek").hex(),
        "dek_hex": made("dek " + name).hex(),
        "salt_hex": made("salt " + name).hex(),
        "secret_hex": SECRET.hex(),
    }
    return inputs | other


def binding(inputs: dict[str, Any]) -> bytes:
    texts = (inputs[name].encode() for name in ("purpose", "tenant", "provider", "key"))
    bound = inputs["purpose"] == "provider-key"
    where = (inputs["base_path"], tuple(inputs["origins"]), inputs["ca_pem"])
    digest = origin_digest(*where) if bound else bytes(32)
    return frame(*texts, inputs["version"].to_bytes(8, "big"), digest)


def envelope(inputs: dict[str, Any]) -> bytes:
    """Follows docs/spec/envelope.md section 2 line by line."""
    kek, dek, salt, secret = (bytes.fromhex(inputs[f"{n}_hex"]) for n in ("kek", "dek", "salt", "secret"))
    name = inputs["tenant"].encode()
    header = b"TKE1\x01" + bytes([len(name)]) + name + inputs["kek_version"].to_bytes(4, "big")
    derived = hkdf(kek, "tokenone/TKE1/dek", salt, 64)
    wrapped = AESGCM(derived[:32]).encrypt(NONCE, dek, frame(header, binding(inputs)))
    content = AESGCM(hkdf(dek, "tokenone/TKE1/secret")).encrypt(NONCE, secret, binding(inputs))
    return header + salt + derived[32:] + wrapped + content


def good_envelopes() -> list[dict[str, Any]]:
    cases = [
        place("an OpenAI key"),
        place("one byte", secret_hex="00"),  # noqa: S106 - a test vector
        place("a second version under a second KEK", version=2, kek_version=2, kek_hex=made("kek 2").hex()),
        place("the largest version", version=2**53 - 1, kek_version=2**32 - 1),
        place("no base path, a port", base_path="", origins=["http://localhost:11434"]),
        place(
            "three hosts",
            provider="bedrock",
            origins=[
                "https://bedrock-runtime.us-gov-west-1.amazonaws.com",
                "https://sts.us-gov-west-1.amazonaws.com",
                "https://[2001:db8::1]:8443",
            ],
        ),
        place("a CA of its own", origins=["https://10.0.0.5:8443"], ca_pem=CA),
        place("a JSON document", provider="vertex", secret_hex=json.dumps({"a": "é" * 1500}).encode().hex()),
        place(
            "a commitment key",
            purpose="commitment",
            provider="",
            key="",
            version=0,
            base_path="",
            origins=[],
            secret_hex=made("commitment").hex(),
        ),
    ]
    names = ("an OpenAI key", "one byte", "a second version under a second KEK", "the largest version")
    names += ("no base path, a port", "three hosts", "a CA of its own", "a JSON document", "a commitment key")
    return [
        {"name": name, "opens": True, **case, "envelope_hex": envelope(case).hex()}
        for name, case in zip(names, cases, strict=True)
    ]


def bad_envelopes() -> list[dict[str, Any]]:
    """One good envelope, asked for in the wrong place or damaged."""
    right = place("an OpenAI key")
    blob = envelope(right)
    end = 6 + len(right["tenant"]) + 4
    moved: dict[str, dict[str, Any]] = {
        "another tenant": {"tenant": "tn_0123456789abcdefghjm"},
        "another provider": {"provider": "anthropic"},
        "another key": {"key": "key_0123456789abcdefghjm"},
        "another version": {"version": 2},
        "another purpose": {"purpose": "commitment"},
        "another host": {"origins": ["https://api.openai.com.example"]},
        "a host more": {"origins": [*OPENAI, "https://sts.example"]},
        "another base path": {"base_path": "/v2"},
        "a CA where there was none": {"ca_pem": CA},
        "another KEK": {"kek_hex": made("kek 2").hex()},
        "another KEK version asked for": {"kek_version": 2},
    }
    damage: dict[str, Callable[[bytes], bytes]] = {
        "empty": lambda _: b"",
        "another magic": lambda b: b"TKE2" + b[4:],
        "another suite": lambda b: b[:4] + b"\x02" + b[5:],
        "a KEK id of no length": lambda b: b[:5] + b"\x00" + b[6:],
        "a KEK id longer than the blob": lambda b: b[:5] + b"\xff" + b[6:],
        "another KEK version": lambda b: b[: end - 1] + b"\x02" + b[end:],
        "a salt of zeros": lambda b: b[:end] + bytes(32) + b[end + 32 :],
        "a commitment of zeros": lambda b: b[: end + 32] + bytes(32) + b[end + 64 :],
        "a byte less": lambda b: b[:-1],
        "a byte more": lambda b: b + b"\x00",
        "no ciphertext": lambda b: b[: end + 112],
    }
    cases = [(name, right | change, blob) for name, change in moved.items()]
    cases += [(name, right, change(blob)) for name, change in damage.items()]
    trusting = place("a CA of its own", ca_pem=CA)
    for name, ca_pem in (("another CA", CA.replace("Zm", "Zn")), ("its CA taken away", None)):
        cases.append((name, trusting | {"ca_pem": ca_pem}, envelope(trusting)))
    return [
        {"name": name, "opens": False, **inputs, "envelope_hex": given.hex()} for name, inputs, given in cases
    ]


# ── TKS1 ───────────────────────────────────────────────────────────────────────────────────────────────
def context(**other: str) -> dict[str, str]:
    right = {
        "purpose": "provider-key",
        "tenant": "tn_0123456789abcdefghjk",
        "provider": "openai",
        "endpoint": "ep_openai",
        "endpoint_digest": origin_digest("/v1", OPENAI).hex(),
        "key": "key_0123456789abcdefghjk",
        "challenge": "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k",
    }
    return right | other


def padded(secret: bytes) -> bytes:
    framed = len(secret).to_bytes(4, "big") + secret
    return framed + bytes(-len(framed) % 256)


def sealed(plaintext: bytes, where: dict[str, str], ephemeral: bytes, private: bytes) -> bytes:
    """Follows docs/spec/seal.md; `ephemeral` and `private` are X25519 private keys."""
    suite = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.AES256_GCM)
    recipient = KEMKey.from_pyca_cryptography_key(X25519PrivateKey.from_private_bytes(private).public_key())
    fixed = X25519PrivateKey.from_private_bytes(ephemeral)
    pair = KEMKeyPair(
        KEMKey.from_pyca_cryptography_key(fixed), KEMKey.from_pyca_cryptography_key(fixed.public_key())
    )
    order = ("purpose", "tenant", "provider", "endpoint", "endpoint_digest", "key", "challenge")
    info = frame(b"tokenone/seal/1", *(where[name].encode() for name in order))
    enc, sender = suite.create_sender_context(recipient, info=info, eks=pair)
    return b"TKS1\x01" + enc + sender.seal(plaintext)


def seal_case(name: str, opens: bool, blob: bytes, where: dict[str, str], **more: str) -> dict[str, Any]:
    private = made("sealing key")
    public = X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    keys = {"private_hex": private.hex(), "public_hex": public.hex()}
    return {"name": name, "opens": opens, "context": where, **keys, **more, "sealed_hex": blob.hex()}


def good_seals() -> list[dict[str, Any]]:
    secrets: dict[str, tuple[bytes, dict[str, str]]] = {
        "an OpenAI key": (SECRET, context()),
        "one byte": (b"\x00", context()),
        "the longest in one block": (b"a" * 252, context()),
        "the shortest in two blocks": (b"a" * 253, context()),
        "a trailing zero byte": (b"abc\x00", context()),
        "beyond ASCII": ("schlüssel-é-鍵".encode(), context(tenant="tn_ü", key="key_é")),
        "a service account": (b'{"type": "service_account"}' * 90, context(provider="vertex")),
    }
    cases = []
    for name, (secret, where) in secrets.items():
        ephemeral = made("ephemeral " + name)
        blob = sealed(padded(secret), where, ephemeral, made("sealing key"))
        more = {"ephemeral_hex": ephemeral.hex(), "secret_hex": secret.hex()}
        cases.append(seal_case(name, True, blob, where, **more))
    return cases


def bad_seals() -> list[dict[str, Any]]:
    where, own = context(), made("sealing key")
    blob = sealed(padded(SECRET), where, made("ephemeral bad"), own)
    cases = [
        seal_case(f"another {field}", False, blob, context(**{field: value}))
        for field, value in (
            ("purpose", "commitment"),
            ("tenant", "tn_0123456789abcdefghjm"),
            ("provider", "azure"),
            ("endpoint", "ep_other"),
            ("endpoint_digest", origin_digest("/v1", ("https://evil.example",)).hex()),
            ("key", "key_0123456789abcdefghjm"),
            ("challenge", "AAAAASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k"),
        )
    ]
    shifted = context(tenant=where["tenant"] + "o", provider="penai")
    cases.append(seal_case("a byte moved over a field's border", False, blob, shifted))
    spoilt: dict[str, bytes] = {
        "empty": b"",
        "another magic": b"TKS2" + blob[4:],
        "another suite": blob[:4] + b"\x02" + blob[5:],
        "enc of zeros (a degenerate point)": blob[:5] + bytes(32) + blob[37:],
        "no ciphertext": blob[:37],
        "a byte less": blob[:-1],
        "a byte more": blob + b"\x00",
        "for another sealing key": sealed(padded(SECRET), where, made("ephemeral bad"), made("other key")),
    }
    plaintexts = {
        "not padded": len(SECRET).to_bytes(4, "big") + SECRET,
        "a block too many": padded(SECRET) + bytes(256),
        "padding that is not zero": padded(SECRET)[:-1] + b"\x01",
        "a length beyond the plaintext": (10_000).to_bytes(4, "big") + padded(SECRET)[4:],
        "a length of zero": padded(b""),
        "an empty plaintext": b"",
    }
    for name, plaintext in plaintexts.items():
        spoilt[name] = sealed(plaintext, where, made("ephemeral " + name), own)
    return cases + [seal_case(name, False, given, where) for name, given in spoilt.items()]


def files() -> dict[str, str]:
    """Returns both files' contents by name."""
    sets = {
        "envelope.json": ("docs/spec/envelope.md", good_envelopes() + bad_envelopes()),
        "seal.json": ("docs/spec/seal.md", good_seals() + bad_seals()),
    }
    return {
        name: json.dumps({"spec": spec, "cases": cases}, indent=1, ensure_ascii=False) + "\n"
        for name, (spec, cases) in sets.items()
    }


if __name__ == "__main__":
    for name, content in files().items():
        Path("vectors", name).write_text(content, encoding="utf-8")
