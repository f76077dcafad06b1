"""`local:PATH`: a root in a file of mode 0600, plain or under a passphrase by argon2id.

Law: the purpose enters every key that is derived from the material, so a file in another's place opens
nothing, and is refused when it is read. It is shown as `root=local` and never called KMS-rooted: whoever
reads the file (and knows the passphrase) has the root.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from argon2.low_level import Type, hash_secret_raw

from tokenone.canonical import b64, unb64
from tokenone.errors import IntegrityError, RootRefused, Unopenable
from tokenone.secret import Secret, reveal
from tokenone.vault.box import KEY_BYTES, derive, frame, lock, random_key, unlock
from tokenone.vault.private_file import create_private, read_private
from tokenone.vault.root import PURPOSES, Purpose

_BLOB_MAGIC: Final = b"TKR1\x01"
_FILE_INFO: Final = b"tokenone/root-file/1"
_MOST = {"passes": 16, "memory_kib": 1_048_576, "lanes": 16}


@dataclass(frozen=True, slots=True)
class Cost:
    """What one guess at a passphrase costs; RFC 9106's second recommendation."""

    passes: int = 3
    memory_kib: int = 65_536
    lanes: int = 4


@dataclass(frozen=True, slots=True)
class LocalRoot:
    """Material read from a file; wraps by HKDF and AES-256-GCM with purpose and context bound."""

    uri: str
    purpose: Purpose
    id: str
    _material: bytes = field(repr=False)

    def wrap(self, plaintext: bytes, context: bytes) -> bytes:
        """Returns a TKR1 blob."""
        return _BLOB_MAGIC + lock(self._material, self._info(), self._associated(context), plaintext)

    def unwrap(self, blob: bytes, context: bytes) -> bytes:
        """Returns what `wrap` was given, or raises the one Unopenable."""
        plaintext = None
        if blob.startswith(_BLOB_MAGIC):
            box = blob[len(_BLOB_MAGIC) :]
            plaintext = unlock(self._material, self._info(), self._associated(context), box)
        if plaintext is None:
            raise Unopenable
        return plaintext

    def describe(self) -> str:
        """Says what people may know of it."""
        return f"root=local purpose={self.purpose} id={self.id}"

    def _info(self) -> bytes:
        return b"tokenone/root/1/" + self.purpose.encode()

    def _associated(self, context: bytes) -> bytes:
        return frame(self.purpose.encode(), context)


def create_local_root(
    path: Path, purpose: Purpose, passphrase: Secret | None = None, *, cost: Cost | None = None
) -> None:
    """Makes a new root file, mode 0600; raises RootRefused when it exists. The passphrase is not kept."""
    if purpose not in PURPOSES:
        raise RootRefused(f"there is no root `{purpose}`")
    material = random_key()
    name = _name(material)
    content: dict[str, Any] = {"format": "tokenone-root", "version": 1, "purpose": purpose, "id": name}
    if passphrase is None:
        content["material"] = b64(material)
    else:
        chosen, salt = cost or Cost(), random_key()
        key = _stretch(passphrase, salt, chosen)
        content["kdf"] = {"name": "argon2id", "salt": b64(salt), **asdict(chosen)}
        content["sealed"] = b64(lock(key, _FILE_INFO, _file_binding(purpose, name), material))
    create_private(path, json.dumps(content, indent=1).encode() + b"\n")


def open_local_root(uri: str, purpose: Purpose, passphrase: Secret | None = None) -> LocalRoot:
    """Reads `local:PATH`; raises RootRefused for a file that others may use, is damaged or another's."""
    path = Path(uri.removeprefix("local:"))
    content = _parse(path, read_private(path))
    made_for, name = content.get("purpose"), content.get("id")
    if made_for != purpose:
        raise RootRefused(f"the root `{made_for}` ({path.name}) stands in the place of `{purpose}`")
    material = _material(path, content, purpose, passphrase)
    if len(material) != KEY_BYTES or name != _name(material):
        raise RootRefused(f"the root `{purpose}` ({path.name}) is damaged")
    return LocalRoot(uri, purpose, name, material)


def _parse(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        content = None
    if (
        not isinstance(content, dict)
        or content.get("format") != "tokenone-root"
        or content.get("version") != 1
    ):
        raise RootRefused(f"{path.name} is not a root file")
    if content.get("purpose") not in PURPOSES:
        raise RootRefused(f"{path.name} is a root for no known purpose")
    return content


def _material(path: Path, content: dict[str, Any], purpose: Purpose, passphrase: Secret | None) -> bytes:
    if "kdf" not in content:
        if passphrase is not None:
            raise RootRefused(f"the root `{purpose}` ({path.name}) has no passphrase, and one was given")
        return _bytes(path, content.get("material"))
    if passphrase is None:
        raise RootRefused(f"the root `{purpose}` ({path.name}) needs its passphrase")
    salt, cost = _kdf(path, content["kdf"])
    key = _stretch(passphrase, salt, cost)
    sealed = _bytes(path, content.get("sealed"))
    material = unlock(key, _FILE_INFO, _file_binding(purpose, str(content.get("id"))), sealed)
    if material is None:
        raise RootRefused(f"the root `{purpose}` ({path.name}) does not open with this passphrase")
    return material


def _kdf(path: Path, stated: Any) -> tuple[bytes, Cost]:
    if not isinstance(stated, dict) or stated.get("name") != "argon2id":
        raise RootRefused(f"{path.name} names an unknown way to a key")
    numbers = {name: stated.get(name) for name in _MOST}
    # A changed file must not make the start take all memory or a day.
    if not all(type(number) is int and 1 <= number <= _MOST[name] for name, number in numbers.items()):
        raise RootRefused(f"{path.name} asks for an argon2id cost out of bounds")
    cost = Cost(**{name: int(number or 0) for name, number in numbers.items()})
    if cost.memory_kib < 8 * cost.lanes:
        raise RootRefused(f"{path.name} asks for an argon2id cost out of bounds")
    return _bytes(path, stated.get("salt")), cost


def _bytes(path: Path, text: Any) -> bytes:
    try:
        raw = unb64(text) if isinstance(text, str) else b""
    except IntegrityError:
        raw = b""
    if len(raw) < KEY_BYTES:
        raise RootRefused(f"{path.name} is damaged")
    return raw


def _file_binding(purpose: Purpose, name: str) -> bytes:
    return frame(_FILE_INFO, purpose.encode(), name.encode())


def _name(material: bytes) -> str:
    # Without the purpose, so that one material in two places shows.
    return "local:" + derive(material, b"tokenone/root-id/1")[:16].hex()


def _stretch(passphrase: Secret, salt: bytes, cost: Cost) -> bytes:
    return hash_secret_raw(
        reveal(passphrase), salt, cost.passes, cost.memory_kib, cost.lanes, KEY_BYTES, Type.ID
    )
