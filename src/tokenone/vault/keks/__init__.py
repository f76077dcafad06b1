"""Roots by URI scheme: one adapter per file, chosen from one dict.

Law: an unknown scheme is refused; there is no plaintext mode and no default root.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from tokenone.errors import RootRefused
from tokenone.secret import Secret
from tokenone.vault.keks.local import create_local_root, open_local_root
from tokenone.vault.root import PURPOSES, Purpose, Root

__all__ = ["create_local_root", "open_root"]

Opener: TypeAlias = Callable[[str, Purpose, Secret | None], Root]

SCHEMES: Final[Mapping[str, Opener]] = MappingProxyType({"local": open_local_root})


def open_root(uri: str, purpose: str, passphrase: Secret | None = None) -> Root:
    """Opens the root that `uri` names for one of the three purposes; raises RootRefused and says which."""
    named: dict[str, Purpose] = {known: known for known in PURPOSES}
    if purpose not in named:
        raise RootRefused(f"there is no root `{purpose}`; the purposes are {', '.join(PURPOSES)}")
    scheme = uri.partition(":")[0]
    opener = SCHEMES.get(scheme)
    if opener is None:
        raise RootRefused(f"the root `{purpose}` has an unknown scheme; known are {', '.join(SCHEMES)}")
    return opener(uri, named[purpose], passphrase)
