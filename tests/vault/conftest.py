"""One installation's vault on real local roots, with rows that tests may change."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tokenone.canonical import unb64
from tokenone.clock import FrozenClock
from tokenone.rows import Endpoint, Key, KeyVersion, Tenant, TenantKek
from tokenone.types import KeyState, Provider
from tokenone.vault.envelope import origin_digest
from tokenone.vault.keks.local import LocalRoot
from tokenone.vault.seal import SealContext, seal
from tokenone.vault.vault import Vault

SECRET = b"sk-proj-" + b"abcdEFGH0123" * 4 + b"wxyz"
REPOSITORY = Path(__file__).resolve().parents[2]


VECTORS = {"envelope_vector": "envelope.json", "seal_vector": "seal.json"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs a test that takes a vector once for each case of the file."""
    for argument in VECTORS.keys() & set(metafunc.fixturenames):
        path = REPOSITORY / "vectors" / VECTORS[argument]
        cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
        metafunc.parametrize(argument, [pytest.param(case, id=case["name"]) for case in cases])


def make_endpoint(number: int = 1, **other: Any) -> Endpoint:
    facts: dict[str, Any] = {
        "id": f"ep_{number}",
        "tenant": None,
        "provider": Provider.OPENAI,
        "name": "OpenAI",
        "origins": ("https://api.openai.com",),
        "base_path": "/v1",
    }
    return Endpoint(**(facts | other))


def make_key(**other: Any) -> Key:
    facts = {"id": "key_1", "tenant": "tn_a", "provider": Provider.OPENAI, "endpoint": "ep_1", "name": "main"}
    return Key(**(facts | other))


@dataclass
class House:
    """A vault, its clock, its KEK rows and what it takes to bring a key in."""

    secret = SECRET
    endpoint = staticmethod(make_endpoint)
    key = staticmethod(make_key)

    clock: FrozenClock = field(default_factory=FrozenClock)
    root: LocalRoot = field(default_factory=lambda: LocalRoot("local:test", "vault", "local:test", bytes(32)))
    keks: dict[tuple[str, int], TenantKek] = field(default_factory=dict)
    vault: Vault = field(init=False)
    tenants: dict[str, Tenant] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.vault = self.another_vault(self.root)
        for tenant in ("tn_a", "tn_b"):
            made = self.vault.new_tenant(tenant)
            self.keks[tenant, 1] = made.kek
            self.tenants[tenant] = Tenant(tenant, tenant, commitment=made.commitment)

    def another_vault(self, root: Any) -> Vault:
        """A second process, same sealing key, same rows."""
        sealing = X25519PrivateKey.from_private_bytes(bytes(31) + b"\x01")
        return Vault(root, sealing, lambda tenant, version: self.keks.get((tenant, version)), self.clock)

    def context(self, of: Key, at: Endpoint, **other: str) -> SealContext:
        facts = {
            "tenant": of.tenant,
            "provider": of.provider.value,
            "endpoint": at.id,
            "endpoint_digest": origin_digest(at).hex(),
            "key": of.id,
            "challenge": other.get("challenge") or self.vault.challenge(),
        }
        return SealContext(**(facts | other))

    def seal(self, context: SealContext, secret: bytes = SECRET) -> bytes:
        return seal(unb64(self.vault.sealing_key().public), secret, context)

    def bring(
        self, of: Key, at: Endpoint, secret: bytes = SECRET, number: int = 1, **other: Any
    ) -> KeyVersion:
        """Takes a secret in and returns an active version's row."""
        context = self.context(of, at)
        intake = self.vault.take_in(self.seal(context, secret), context, key=of, version=number, endpoint=at)
        now = self.clock.now_us()
        facts = {"state": KeyState.ACTIVE, "active_us": now} | other
        return KeyVersion(
            of.id, number, envelope=intake.envelope, masked=intake.masked, created_us=now, **facts
        )


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture(scope="module")
def shared_house() -> House:
    """For properties: one house for all examples, which leave it as they found it."""
    return House()
