"""TokenOne BYOK: a gateway that governs, signs and meters calls made with your own provider keys.

`tokenone.seal(public, secret, context)` seals a provider key for a gateway; it needs `cryptography` alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenone.vault.seal import SealContext, seal

__all__ = ["SealContext", "__version__", "seal"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Loads the sealing functions when they are asked for, so that importing the package costs nothing."""
    if name in ("seal", "SealContext"):
        return getattr(import_module("tokenone.vault.seal"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
