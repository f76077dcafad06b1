"""The only way to a provider key's plaintext: a lease of one version for one endpoint.

Law: the state is decided at every lease, by time, before the cache is looked at; what is cached opened for
exactly this tenant, provider, key, version, envelope and set of origins, at most 60 seconds ago. Keys marked
dev are leased to dev tokens only, live keys to live tokens only. It does not ask who the caller is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from tokenone.clock import SECOND_US, Clock
from tokenone.errors import KeyUnusable, Unopenable
from tokenone.rows import Endpoint, Key, KeyVersion
from tokenone.secret import Secret
from tokenone.types import Mode
from tokenone.vault.envelope import kek_version, key_binding, open_envelope
from tokenone.vault.kek import Keyring
from tokenone.vault.life import leasable, state_at
from tokenone.vault.recent import Recent

KEEP_US: Final = 60 * SECOND_US
MOST_LEASES: Final = 10_000

_Name: TypeAlias = tuple[str, int, bytes]


@dataclass(frozen=True, slots=True, eq=False)
class Lease:
    """A secret for one attempt; drop it with the attempt."""

    key_id: str
    version: int
    secret: Secret = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class _Opened:
    lease: Lease
    key: Key
    endpoint: Endpoint

    def fits(self, key: Key, endpoint: Endpoint) -> bool:
        """Says whether it was opened for this very place; rows that were replaced are compared by value."""
        if self.key is not key and (self.key.tenant, self.key.provider) != (key.tenant, key.provider):
            return False
        if self.endpoint is endpoint:
            return True
        mine, asked = self.endpoint, endpoint
        return mine.origins == asked.origins and mine.base_path == asked.base_path


class Leases:
    """Decides, then opens or remembers."""

    def __init__(self, keyring: Keyring, clock: Clock) -> None:
        self._keyring = keyring
        self._clock = clock
        # The envelope itself stands in for its digest: bytes cache their hash, and equality is exact.
        self._opened: Recent[_Name, _Opened] = Recent(MOST_LEASES, KEEP_US, clock.monotonic_us)

    def lease(self, key: Key, version: KeyVersion, endpoint: Endpoint, mode: Mode) -> Lease:
        """Decides by time, then returns what is open or opens it; raises as `Vault.lease` does."""
        name = (key.id, version.version, version.envelope)
        state = state_at(key, version, self._clock.now_us())
        if not leasable(state):
            self._opened.drop(name)
            raise KeyUnusable(f"the key {key.id}, version {version.version}, is {state}")
        if key.mode != mode:
            raise KeyUnusable(f"the key {key.id} is for {key.mode} tokens only")
        if version.key != key.id or key.endpoint != endpoint.id:
            raise Unopenable
        opened = self._opened.get(name)
        if opened is None or not opened.fits(key, endpoint):
            opened = self._open(key, version, endpoint)
            self._opened.put(name, opened)
        return opened.lease

    def forget(self, key_id: str) -> None:
        """Drops what was opened of a key: called when a row of it changed."""
        self._opened.drop_where(lambda name: name[0] == key_id)

    def lapse(self) -> None:
        """Drops what is older than a minute."""
        self._opened.lapse()

    def _open(self, key: Key, version: KeyVersion, endpoint: Endpoint) -> _Opened:
        binding = key_binding(key, version.version, endpoint)
        kek = self._keyring.open(key.tenant, kek_version(version.envelope))
        secret = Secret(open_envelope(kek, binding, version.envelope))
        return _Opened(Lease(key.id, version.version, secret), key, endpoint)
