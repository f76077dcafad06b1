"""The Vault: the room's one door, for the gateway process alone.

Law: a secret comes in sealed by `take_in` and goes out by `lease`; in between there are envelopes only. It
never logs, keeps no rows of its own and asks no database: KEK rows come from a function. It does not know
callers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tokenone.canonical import b64
from tokenone.clock import MINUTE_US, Clock
from tokenone.errors import Unopenable
from tokenone.keyed import Keyed
from tokenone.rows import Endpoint, Key, KeyVersion, Tenant, TenantKek
from tokenone.types import Mode
from tokenone.vault.box import derive, random_key
from tokenone.vault.envelope import (
    commitment_binding,
    kek_version,
    key_binding,
    open_envelope,
    origin_digest,
    seal_envelope,
)
from tokenone.vault.intake import Challenges, Intake, keyed_fingerprint, mask
from tokenone.vault.kek import KekRows, Keyring
from tokenone.vault.lease import Lease, Leases
from tokenone.vault.recent import Recent
from tokenone.vault.root import Root
from tokenone.vault.seal import SealContext, fingerprint, unseal

Check: TypeAlias = Callable[[bytes], None]
"""Looks at a secret's form and raises BadSecret with a reason that does not contain it."""

_COMMITMENT_KEEP_US: Final = 10 * MINUTE_US
_MOST_COMMITMENTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class NewTenant:
    """What a new tenant's rows need: the wrapped KEK and the envelope of the content-commitment key."""

    kek: TenantKek
    commitment: bytes


@dataclass(frozen=True, slots=True)
class SealingKey:
    """The gateway's public sealing key in base64url, and its fingerprint for people."""

    public: str
    fingerprint: str


def accept_any(_secret: bytes) -> None:
    """The check that refuses nothing."""


class Vault:
    """Takes secrets in and leases them out. One per gateway process; not for several threads at once."""

    def __init__(self, root: Root, sealing: X25519PrivateKey, keks: KekRows, clock: Clock) -> None:
        self._sealing = sealing
        self._fingerprint_key = derive(sealing.private_bytes_raw(), b"tokenone/fingerprint/1")
        self._keyring = Keyring(root, keks, clock)
        self._leases = Leases(self._keyring, clock)
        self._challenges = Challenges(clock)
        self._commitments: Recent[tuple[str, bytes], Keyed] = Recent(
            _MOST_COMMITMENTS, _COMMITMENT_KEEP_US, clock.monotonic_us
        )

    # ── in ─────────────────────────────────────────────────────────────────────────────────────────────
    def new_tenant(self, tenant: str) -> NewTenant:
        """Makes a tenant's first KEK and content-commitment key; both are only as durable as their rows."""
        row, kek = self._keyring.new(tenant)
        return NewTenant(row, seal_envelope(kek, commitment_binding(tenant), random_key()))

    def sealing_key(self) -> SealingKey:
        """Returns what a client needs to seal."""
        public = self._sealing.public_key().public_bytes_raw()
        return SealingKey(b64(public), fingerprint(public))

    def challenge(self) -> str:
        """Returns a challenge: good once, for ten minutes, in this process."""
        return self._challenges.new()

    def take_in(
        self,
        sealed: bytes,
        context: SealContext,
        *,
        key: Key,
        version: int,
        endpoint: Endpoint,
        check: Check = accept_any,
    ) -> Intake:
        """Unseals a secret, lets `check` look at it and puts it into an envelope, byte for byte.

        Raises Conflict (the challenge), Unopenable (the blob, or a context that is not this key's), and what
        `check` raises. The challenge is spent in every case.
        """
        self._challenges.spend(context.challenge)
        if not _belongs(context, key, endpoint):
            raise Unopenable
        secret = unseal(self._sealing, sealed, context)
        check(secret)
        envelope = seal_envelope(
            self._keyring.newest(key.tenant), key_binding(key, version, endpoint), secret
        )
        return Intake(envelope, mask(secret), keyed_fingerprint(self._fingerprint_key, secret))

    # ── out ────────────────────────────────────────────────────────────────────────────────────────────
    def lease(self, key: Key, version: KeyVersion, endpoint: Endpoint, *, mode: Mode) -> Lease:
        """Returns a version's secret for one attempt, if its state now and the token's mode allow it.

        Raises KeyUnusable, Unopenable, RootRefused or RootUnavailable. About 1 µs when opened a minute ago or
        less; else it opens the envelope, and the KEK if need be.
        """
        return self._leases.lease(key, version, endpoint, mode)

    def forget(self, key_id: str) -> None:
        """Drops what is held in plain form of a key; the directory's change of a key or version calls it."""
        self._leases.forget(key_id)

    def lapse(self) -> None:
        """Drops everything whose time is over; the gateway's tick calls it every few seconds."""
        self._leases.lapse()
        self._keyring.lapse()
        self._commitments.lapse()

    # ── content commitments ────────────────────────────────────────────────────────────────────────────
    def commitment_key(self, tenant: Tenant) -> bytes:
        """Returns the key that commits to a tenant's content; raises as `lease` does."""
        kek = self._keyring.open(tenant.id, kek_version(tenant.commitment))
        return open_envelope(kek, commitment_binding(tenant.id), tenant.commitment)

    def content_key(self, tenant: Tenant) -> Keyed:
        """Returns what commits to a tenant's content: `mac(body)`, from any thread."""
        name = (tenant.id, tenant.commitment)
        keyed = self._commitments.get(name)
        if keyed is None:
            keyed = Keyed(self.commitment_key(tenant))
            self._commitments.put(name, keyed)
        return keyed

    def commit(self, tenant: Tenant, body: bytes) -> str:
        """Returns the hex of HMAC-SHA256 of `body` under the tenant's commitment key."""
        return self.content_key(tenant).mac(body).hex()


def _belongs(context: SealContext, key: Key, endpoint: Endpoint) -> bool:
    stated = (context.purpose, context.tenant, context.provider, context.endpoint, context.key)
    wanted = ("provider-key", key.tenant, key.provider.value, endpoint.id, key.id)
    rows_agree = key.endpoint == endpoint.id and key.provider == endpoint.provider
    own = endpoint.tenant is None or endpoint.tenant == key.tenant
    same_origins = context.endpoint_digest == origin_digest(endpoint).hex()
    return stated == wanted and rows_agree and own and same_origins
