"""Tenants' key-encryption keys: made, wrapped by the vault root, opened when needed and kept for minutes.

Law: a KEK is opened only by the root that its row names, for the tenant and version that its row names. While
the root answers, an opened KEK is asked for anew after 5 minutes; while it is away, the old one serves for a
grace of 5 minutes more. A root that refuses ends the KEK at once. Nothing here opens an envelope.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from tokenone.clock import MINUTE_US, Clock
from tokenone.errors import RootRefused, RootUnavailable, Unopenable
from tokenone.rows import TenantKek
from tokenone.vault.box import KEY_BYTES, frame, random_key
from tokenone.vault.envelope import Kek
from tokenone.vault.recent import Recent
from tokenone.vault.root import Root

KekRows: TypeAlias = Callable[[str, int], TenantKek | None]
"""Finds the row of a tenant's KEK; versions count from 1 without gaps."""

FRESH_US: Final = 5 * MINUTE_US
GRACE_US: Final = 5 * MINUTE_US
MOST_KEKS: Final = 10_000


class Keyring:
    """Gives opened KEKs by tenant and version."""

    def __init__(self, root: Root, rows: KekRows, clock: Clock) -> None:
        self._root = root
        self._rows = rows
        self._clock = clock
        self._open: Recent[TenantKek, tuple[int, Kek]] = Recent(
            MOST_KEKS, FRESH_US + GRACE_US, clock.monotonic_us
        )

    def new(self, tenant: str, version: int = 1) -> tuple[TenantKek, Kek]:
        """Makes a KEK: its row, and the opened key for immediate use."""
        kek = Kek(tenant, version, random_key())
        wrapped = self._root.wrap(kek.material, _context(tenant, version))
        return TenantKek(tenant, version, self._root.id, wrapped), kek

    def open(self, tenant: str, version: int) -> Kek:
        """Returns the KEK of that version; raises Unopenable, RootRefused or RootUnavailable."""
        row = self._rows(tenant, version)
        if row is None or (row.tenant, row.version) != (tenant, version):
            raise Unopenable
        held = self._open.get(row)
        now = self._clock.monotonic_us()
        if held is not None and held[0] > now:
            return held[1]
        try:
            kek = self._unwrap(row)
        except RootUnavailable:
            if held is None:
                raise
            return held[1]
        except (Unopenable, RootRefused):
            self._open.drop(row)
            raise
        self._open.put(row, (now + FRESH_US, kek))
        return kek

    def newest(self, tenant: str) -> Kek:
        """Returns the KEK for new envelopes; raises as `open` does."""
        version = 1
        while self._rows(tenant, version + 1) is not None:
            version += 1
        return self.open(tenant, version)

    def lapse(self) -> None:
        """Forgets the KEKs whose time is over."""
        self._open.lapse()

    def _unwrap(self, row: TenantKek) -> Kek:
        if row.root != self._root.id:
            raise RootRefused(
                f"a tenant's KEK belongs to the root {row.root}, and `vault` is {self._root.id}"
            )
        material = self._root.unwrap(row.wrapped, _context(row.tenant, row.version))
        if len(material) != KEY_BYTES:
            raise Unopenable
        return Kek(row.tenant, row.version, material)


def _context(tenant: str, version: int) -> bytes:
    return frame(b"kek", tenant.encode(), version.to_bytes(8, "big"))
