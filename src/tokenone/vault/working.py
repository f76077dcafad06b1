"""The gateway's working keys: sealing, signing and token, each wrapped under its own root in one small file.

Law: made once and never overwritten; opened at the gateway's start or not at all. Equal roots, a root in
another's place and a file of another root are refused with a message that names the place. A crash while they
are made leaves whole files only; making them again adds the missing ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tokenone.canonical import b64, unb64
from tokenone.errors import IntegrityError, RootRefused, Unopenable
from tokenone.secret import Secret
from tokenone.vault.box import KEY_BYTES, derive, frame, random_key
from tokenone.vault.private_file import create_private, read_private
from tokenone.vault.root import PURPOSES, Purpose, Root, check_roots

_FILES: Final[Mapping[str, Purpose]] = {"sealing": "vault", "signing": "signing", "token": "token"}


@dataclass(frozen=True, slots=True, eq=False)
class WorkingKeys:
    """What a gateway works with; the console is given `session` only."""

    signing: Ed25519PrivateKey = field(repr=False)
    sealing: X25519PrivateKey = field(repr=False)
    pepper: Secret = field(repr=False)
    session: bytes = field(repr=False)


def create_working_keys(roots: Mapping[Purpose, Root], directory: Path) -> None:
    """Makes the files that are missing in `directory`; those that exist stay as they are."""
    check_roots(roots)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, purpose in _FILES.items():
        path = _path(directory, name)
        if not path.exists():
            create_private(path, _render(name, roots[purpose], random_key()))


def open_working_keys(roots: Mapping[Purpose, Root], directory: Path) -> WorkingKeys:
    """Opens all three; raises RootRefused and says which root or file is wrong."""
    check_roots(roots)
    opened = {name: _open(_path(directory, name), name, roots) for name in _FILES}
    return WorkingKeys(
        signing=Ed25519PrivateKey.from_private_bytes(opened["signing"]),
        sealing=X25519PrivateKey.from_private_bytes(opened["sealing"]),
        pepper=Secret(derive(opened["token"], b"tokenone/pepper/1")),
        session=derive(opened["token"], b"tokenone/session/1"),
    )


def _path(directory: Path, name: str) -> Path:
    return directory / f"{name}.wrapped"


def _render(name: str, root: Root, key: bytes) -> bytes:
    wrapped = b64(root.wrap(key, _context(name)))
    content = {
        "format": "tokenone-working-key",
        "version": 1,
        "name": name,
        "root": root.id,
        "wrapped": wrapped,
    }
    return json.dumps(content, indent=1).encode() + b"\n"


def _open(path: Path, name: str, roots: Mapping[Purpose, Root]) -> bytes:
    purpose = _FILES[name]
    root = roots[purpose]
    wrapped = _parse(path, name, roots, purpose)
    try:
        key = root.unwrap(wrapped, _context(name))
    except Unopenable:
        key = b""
    if len(key) != KEY_BYTES:
        raise RootRefused(f"{path.name} does not open with the root `{purpose}` ({root.id}): it was changed")
    return key


def _parse(path: Path, name: str, roots: Mapping[Purpose, Root], purpose: Purpose) -> bytes:
    try:
        content: Any = json.loads(read_private(path))
        wrapped = unb64(content["wrapped"])
        stated = (content["format"], content["version"], content["name"])
        owner = content["root"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, IntegrityError):
        raise RootRefused(f"{path.name} is not a working key") from None
    if stated != ("tokenone-working-key", 1, name):
        raise RootRefused(f"{path.name} is not the working key `{name}`")
    _refuse_other_root(path, owner, roots, purpose)
    return wrapped


def _refuse_other_root(path: Path, owner: Any, roots: Mapping[Purpose, Root], purpose: Purpose) -> None:
    if owner == roots[purpose].id:
        return
    for other in PURPOSES:
        if owner == roots[other].id:
            raise RootRefused(f"{path.name} belongs to the root `{other}`, not to `{purpose}`")
    raise RootRefused(
        f"{path.name} was wrapped by the root {str(owner)[:80]}; the root `{purpose}` is {roots[purpose].id}"
    )


def _context(name: str) -> bytes:
    return frame(b"working-key", name.encode())
