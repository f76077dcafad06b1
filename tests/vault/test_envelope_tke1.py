"""TKE1: what was sealed for one place opens there and nowhere else, whole or not at all."""

from __future__ import annotations

import importlib.util
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.errors import ConfigRefused, TokenOneError, Unopenable
from tokenone.rows import Endpoint
from tokenone.types import Provider
from tokenone.vault.box import frame
from tokenone.vault.envelope import (
    Binding,
    Kek,
    kek_version,
    open_envelope,
    origin_digest,
    seal_envelope,
)

REPOSITORY = Path(__file__).resolve().parents[2]
KEK = Kek("tn_a", 1, bytes(range(32)))
BINDING = Binding("provider-key", "tn_a", "openai", "key_1", 1, bytes(range(32)))
names = st.text(min_size=1, max_size=30)


def endpoint(**other: Any) -> Endpoint:
    """An OpenAI endpoint, but for what `other` says."""
    facts: dict[str, Any] = {"id": "ep_1", "tenant": None, "provider": Provider.OPENAI, "name": "OpenAI"}
    facts |= {"origins": ("https://api.openai.com",), "base_path": "/v1"}
    return Endpoint(**(facts | other))


def test_a_secret_opens_in_its_own_place() -> None:
    sealed = seal_envelope(KEK, BINDING, b"the secret")
    assert open_envelope(KEK, BINDING, sealed) == b"the secret"
    assert kek_version(sealed) == 1


def test_two_envelopes_of_one_secret_share_nothing_but_the_header() -> None:
    first, second = (seal_envelope(KEK, BINDING, b"the secret") for _ in range(2))
    header = 6 + len("tn_a") + 4
    assert first[:header] == second[:header]
    assert not set(zip(*[iter(first[header:])] * 8, strict=False)) & set(
        zip(*[iter(second[header:])] * 8, strict=False)
    )


@pytest.mark.parametrize("name", [field for field in Binding.__slots__ if field != "tenant"])
@given(data=st.data())
def test_every_swapped_field_of_the_binding_is_refused(name: str, data: st.DataObject) -> None:
    sealed = seal_envelope(KEK, BINDING, b"the secret")
    others: dict[str, st.SearchStrategy[Any]] = {
        "version": st.integers(0, 2**53),
        "origins": st.binary(min_size=32, max_size=32),
    }
    other = data.draw(others.get(name, st.text(max_size=30)))
    if other != getattr(BINDING, name):
        with pytest.raises(Unopenable):
            open_envelope(KEK, replace(BINDING, **{name: other}), sealed)


@given(tenant=names)
def test_another_tenant_is_refused_even_with_the_right_kek_material(tenant: str) -> None:
    sealed = seal_envelope(KEK, BINDING, b"the secret")
    other = replace(BINDING, tenant=tenant)
    for kek in (KEK, replace(KEK, tenant=tenant)):
        if tenant != "tn_a":
            with pytest.raises(Unopenable):
                open_envelope(kek, other, sealed)


@given(left=st.lists(st.binary(max_size=6), max_size=5), right=st.lists(st.binary(max_size=6), max_size=5))
def test_framing_never_joins_two_lists_to_the_same_bytes(left: list[bytes], right: list[bytes]) -> None:
    assert (frame(*left) == frame(*right)) == (left == right)


@pytest.mark.parametrize("size", [1, 51, 164])
def test_every_flipped_bit_is_refused(size: int) -> None:
    sealed = seal_envelope(KEK, BINDING, secrets.token_bytes(size))
    opened = 0
    for position in range(len(sealed) * 8):
        spoilt = bytearray(sealed)
        spoilt[position // 8] ^= 1 << position % 8
        try:
            open_envelope(KEK, BINDING, bytes(spoilt))
            opened += 1
        except Unopenable:
            pass
    assert opened == 0


def test_every_truncation_and_extension_is_refused() -> None:
    sealed = seal_envelope(KEK, BINDING, b"the secret")
    for spoilt in [sealed[:end] for end in range(len(sealed))] + [sealed + b"\0", b"\0" + sealed]:
        with pytest.raises(Unopenable):
            open_envelope(KEK, BINDING, spoilt)


@given(junk=st.binary(max_size=400))
def test_junk_is_refused_and_never_crashes(junk: bytes) -> None:
    for blob in (junk, b"TKE1\x01" + junk, b"TKE1\x01\x04tn_a\0\0\0\x01" + junk):
        with pytest.raises(Unopenable):
            open_envelope(KEK, BINDING, blob)


@given(material=st.binary(min_size=32, max_size=32), version=st.integers(1, 2**32 - 1))
def test_a_foreign_kek_is_refused(material: bytes, version: int) -> None:
    sealed = seal_envelope(KEK, BINDING, b"the secret")
    kek = Kek("tn_a", version, material)
    if (version, material) != (1, KEK.material):
        with pytest.raises(Unopenable):
            open_envelope(kek, BINDING, sealed)


def test_parts_of_two_envelopes_do_not_make_a_third() -> None:
    first, second = (seal_envelope(KEK, BINDING, text) for text in (b"the secret", b"the other."))
    header = 6 + len("tn_a") + 4
    for cut in range(header + 8, len(first) - 8):  # 8 random bytes from each, at least
        with pytest.raises(Unopenable):
            open_envelope(KEK, BINDING, first[:cut] + second[cut:])


def test_all_failures_are_one_indistinguishable_error() -> None:
    sealed = seal_envelope(KEK, BINDING, b"the secret")
    flipped = sealed[:-1] + bytes([sealed[-1] ^ 1])
    attempts = [
        (KEK, BINDING, flipped),
        (KEK, BINDING, b""),
        (KEK, BINDING, b"TKE2" + sealed[4:]),
        (KEK, replace(BINDING, key="key_2"), sealed),
        (replace(KEK, material=bytes(32)), BINDING, sealed),
        (replace(KEK, version=2), BINDING, sealed),
    ]
    seen = set()
    for attempt in attempts:
        with pytest.raises(Unopenable) as caught:
            open_envelope(*attempt)
        error = caught.value
        seen.add((type(error), str(error), repr(error.args), error.__cause__, error.__context__))
    assert len(seen) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"origins": ("https://api.openai.com.example",)},
        {"origins": ("http://api.openai.com",)},
        {"origins": ("https://api.openai.com:8443",)},
        {"origins": ("https://api.openai.com", "https://sts.example")},
        {"origins": ()},
        {"base_path": "/v2"},
        {"base_path": ""},
        {"ca_pem": "a CA"},
    ],
)
def test_another_origin_set_is_another_digest(change: dict[str, Any]) -> None:
    assert origin_digest(endpoint(**change)) != origin_digest(endpoint())


def test_another_ca_is_another_digest_and_a_ca_never_passes_for_an_origin() -> None:
    one, other = "-----BEGIN CERTIFICATE-----\nAA==\n", "-----BEGIN CERTIFICATE-----\nAQ==\n"
    assert origin_digest(endpoint(ca_pem=one)) != origin_digest(endpoint(ca_pem=other))
    assert origin_digest(endpoint(ca_pem="https://a.example", origins=())) != origin_digest(
        endpoint(origins=("https://a.example",))
    )


def test_the_order_of_origins_counts_and_a_host_never_moves_into_the_path() -> None:
    two = ("https://a.example", "https://b.example")
    assert origin_digest(endpoint(origins=two)) != origin_digest(endpoint(origins=two[::-1]))
    assert origin_digest(endpoint(base_path="https://a.example", origins=two[1:])) != origin_digest(
        endpoint(base_path="", origins=two)
    )


@pytest.mark.parametrize(
    "change",
    [
        {"origins": ("https://API.openai.com:443/",)},
        {"id": "ep_9", "name": "renamed", "models": ("m",)},
    ],
)
def test_spelling_name_and_models_leave_the_digest_alone(change: dict[str, Any]) -> None:
    assert origin_digest(endpoint(**change)) == origin_digest(endpoint())


@pytest.mark.parametrize("secret", [b"", bytes(65_537)])
def test_a_secret_out_of_bounds_is_not_sealed(secret: bytes) -> None:
    with pytest.raises(ConfigRefused):
        seal_envelope(KEK, BINDING, secret)


def test_a_kek_does_not_show_its_material() -> None:
    assert repr(KEK) == "Kek(tenant='tn_a', version=1)"


# ── vectors ────────────────────────────────────────────────────────────────────────────────────────────
def test_an_envelope_vector_opens_or_is_refused_as_it_says(envelope_vector: dict[str, Any]) -> None:
    case = envelope_vector
    bound = case["purpose"] == "provider-key"
    place = endpoint(base_path=case["base_path"], origins=tuple(case["origins"]), ca_pem=case["ca_pem"])
    digest = origin_digest(place) if bound else bytes(32)
    binding = Binding(case["purpose"], case["tenant"], case["provider"], case["key"], case["version"], digest)
    kek = Kek(case["tenant"], case["kek_version"], bytes.fromhex(case["kek_hex"]))
    envelope = bytes.fromhex(case["envelope_hex"])
    if not case["opens"]:
        with pytest.raises(Unopenable):
            open_envelope(kek, binding, envelope)
        return
    assert open_envelope(kek, binding, envelope).hex() == case["secret_hex"]
    assert kek_version(envelope) == case["kek_version"]


def test_the_vector_files_are_what_their_generator_writes() -> None:
    path = REPOSITORY / "tools" / "vault_vectors.py"
    spec = importlib.util.spec_from_file_location("vault_vectors", path)
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    for name, content in generator.files().items():
        assert (REPOSITORY / "vectors" / name).read_text(encoding="utf-8") == content, name


def test_unopenable_is_an_integrity_error_with_a_stable_code() -> None:
    assert isinstance(Unopenable(), TokenOneError)
    assert Unopenable.code == "unopenable"


def test_an_envelope_that_was_made_with_another_tenants_kek_is_refused_by_every_reader() -> None:
    mixed = seal_envelope(KEK, replace(BINDING, tenant="tn_b"), b"the secret")
    with pytest.raises(Unopenable):
        open_envelope(KEK, replace(BINDING, tenant="tn_b"), mixed)
