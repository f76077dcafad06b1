"""What a root is: the key outside the data directory's database that wraps KEKs or working keys.

Law: three purposes, three different roots; a root serves its own purpose only, by cryptography and not by a
label. Adapters (keks/) implement the Protocol; the words here choose none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, Protocol, TypeAlias

from tokenone.errors import RootRefused

Purpose: TypeAlias = Literal["vault", "signing", "token"]
PURPOSES: Final[tuple[Purpose, ...]] = ("vault", "signing", "token")


class Root(Protocol):
    """Wraps and unwraps small keys; it never gives its own material away.

    `unwrap` raises Unopenable for whatever was not wrapped by this root for this purpose and context, and
    RootUnavailable while the root cannot be asked. Both may block; both may be called from several threads.
    `id` names the material: equal ids mean equal material, whatever the purpose.
    """

    @property
    def uri(self) -> str: ...

    @property
    def id(self) -> str: ...

    @property
    def purpose(self) -> Purpose: ...

    def wrap(self, plaintext: bytes, context: bytes) -> bytes: ...

    def unwrap(self, blob: bytes, context: bytes) -> bytes: ...

    def describe(self) -> str: ...


def check_roots(roots: Mapping[Purpose, Root]) -> None:
    """Raises RootRefused unless all three roots are there, each in its own place and no two alike."""
    places: dict[str, Purpose] = {}
    for purpose in PURPOSES:
        root = roots.get(purpose)
        if root is None:
            raise RootRefused(f"the root `{purpose}` is missing")
        if root.purpose != purpose:
            raise RootRefused(f"the root `{root.purpose}` stands in the place of `{purpose}`")
        other = places.setdefault(root.id, purpose)
        if other != purpose:
            raise RootRefused(f"the roots `{other}` and `{purpose}` are one key ({root.id}); use three")
