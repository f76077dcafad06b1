"""Opens the three roots of an installation and the working keys under them.

Law: no root, no start; a message says which one and never what it holds. The production profile refuses
`local:` roots.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tokenone.config import Settings
from tokenone.errors import RootRefused
from tokenone.secret import Secret, reveal
from tokenone.vault.keks import open_root
from tokenone.vault.root import PURPOSES, Purpose, Root
from tokenone.vault.working import WorkingKeys, open_working_keys

KEYS_DIRECTORY = "keys"


def absolute(uri: str, directory: Path) -> str:
    """Makes the path of a `local:` URI absolute below the data directory."""
    scheme, _, rest = uri.partition(":")
    return f"local:{directory / rest}" if scheme == "local" else uri


def passphrase_of(settings: Settings) -> str | None:
    """Returns the roots' passphrase from the configuration or the file that it names."""
    if settings.roots.passphrase is not None:
        return reveal(settings.roots.passphrase).decode()
    file = settings.roots.passphrase_file
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise RootRefused("roots.passphrase_file cannot be read") from None


def open_roots(
    uris: Mapping[str, str], directory: Path, passphrase: str | None, *, profile: str = "single"
) -> dict[Purpose, Root]:
    """Opens each purpose's root; raises RootRefused naming the one that fails."""
    secret = Secret(passphrase.encode()) if passphrase else None
    roots: dict[Purpose, Root] = {}
    for purpose in PURPOSES:
        uri = absolute(uris[purpose], directory)
        if profile == "production" and uri.startswith("local:"):
            raise RootRefused(f"the root `{purpose}` is local:, which the production profile refuses")
        roots[purpose] = open_root(uri, purpose, secret)
    return roots


def open_keys(roots: Mapping[Purpose, Root], directory: Path) -> WorkingKeys:
    """Opens the working keys that lie in the data directory."""
    return open_working_keys(roots, directory / KEYS_DIRECTORY)
