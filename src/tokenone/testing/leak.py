"""Looks for a canary secret in bytes, files and folders, in the encodings in which secrets usually escape.

Law: what it reports names the place, the encoding and the canary, never the secret. It finds a secret also
inside gzip and zlib members (three deep), cut by line breaks, and by its half. It knows no zstd and no
encryption, and does not unpack archives; SQLite files and their logs are read as the bytes they are.
"""

from __future__ import annotations

import base64
import codecs
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

_DEPTH: Final = 3
_MEMBER: Final = 64 << 20
"""No member is unpacked beyond this size."""
_STARTS: Final = (
    (b"\x1f\x8b\x08", 31, "gzip"),
    (b"\x78\x01", 15, "zlib"),
    (b"\x78\x9c", 15, "zlib"),
    (b"\x78\xda", 15, "zlib"),
)
_HALF: Final = 12
"""The shortest half of a secret that counts as a leak of it."""


class Leak(NamedTuple):
    """Where a canary was found and how it was written there."""

    canary: str
    where: str
    encoding: str
    offset: int


class _Form(NamedTuple):
    encoding: str
    needle: bytes
    folded: bool
    """Compared without regard to upper and lower case."""


class LeakScanner:
    """Knows the forms of its canaries; scanning changes nothing."""

    def __init__(self, canaries: Mapping[str, bytes]) -> None:
        for name, secret in canaries.items():
            if len(secret) < _HALF:
                raise ValueError(f"canary {name} is too short to be told from chance")
        self._forms = {name: _forms(secret) for name, secret in canaries.items()}

    def scan_bytes(self, data: bytes, where: str = "bytes") -> list[Leak]:
        """Returns every canary and encoding found in `data`, the first place of each."""
        return self._scan(data, where, _DEPTH)

    def scan_file(self, path: Path) -> list[Leak]:
        """Scans one file's bytes and its name."""
        return self.scan_bytes(str(path).encode(), f"name of {path}") + self.scan_bytes(
            path.read_bytes(), str(path)
        )

    def scan_folders(self, *folders: Path) -> list[Leak]:
        """Scans every regular file below `folders`."""
        files = (path for folder in folders for path in sorted(folder.rglob("*")))
        return [
            leak
            for path in files
            if path.is_file() and not path.is_symlink()
            for leak in self.scan_file(path)
        ]

    def _scan(self, data: bytes, where: str, depth: int) -> list[Leak]:
        found: dict[tuple[str, str], Leak] = {}
        for manner, view in _views(data):
            folded = view.lower()
            for name, forms in self._forms.items():
                for encoding, needle, any_case in forms:
                    at = (folded if any_case else view).find(needle)
                    if at >= 0:
                        found.setdefault((name, encoding), Leak(name, where, encoding + manner, at))
        leaks = list(found.values())
        if depth:
            for kind, at, member in _members(data):
                leaks += self._scan(member, f"{where}, {kind} at {at}", depth - 1)
        return leaks


def encodings(secret: bytes) -> dict[str, bytes]:
    """Returns `secret` in each single-piece encoding that the scanner knows: what a test plants."""
    text = secret.decode("latin-1")
    return {
        "plain": secret,
        "reversed": secret[::-1],
        "rot13": codecs.encode(text, "rot13").encode("latin-1"),
        "hex": secret.hex().encode(),
        "hex-upper": secret.hex().upper().encode(),
        "base32": base64.b32encode(secret),
        "base64": base64.b64encode(secret),
        "base64url": base64.urlsafe_b64encode(secret),
        "base64-shifted-1": base64.b64encode(b"?" + secret),
        "base64-shifted-2": base64.b64encode(b"??" + secret),
        "percent": "".join(f"%{byte:02X}" for byte in secret).encode(),
        "json-escapes": "".join(f"\\u{byte:04x}" for byte in secret).encode(),
        "backslash-x": "".join(f"\\x{byte:02x}" for byte in secret).encode(),
        "html-decimal": "".join(f"&#{byte};" for byte in secret).encode(),
        "html-hex": "".join(f"&#x{byte:x};" for byte in secret).encode(),
        "quoted-printable": "".join(f"={byte:02X}" for byte in secret).encode(),
        "utf-16-le": text.encode("utf-16-le"),
        "utf-16-be": text.encode("utf-16-be"),
        "byte-list": ", ".join(map(str, secret)).encode(),
    }


def _forms(secret: bytes) -> tuple[_Form, ...]:
    folded = ("hex", "percent", "json-escapes", "backslash-x", "html-hex", "quoted-printable")
    known = encodings(secret)
    forms = [_Form(name, known[name].lower(), folded=True) for name in folded]
    exact = ("plain", "reversed", "rot13", "html-decimal", "utf-16-le", "utf-16-be", "byte-list")
    forms += [_Form(name, known[name], folded=False) for name in exact]
    forms.append(_Form("byte-list", known["byte-list"].replace(b" ", b""), folded=False))
    forms.append(_Form("base32", known["base32"].rstrip(b"=")[:-1].lower(), folded=True))
    forms += [_Form(name, needle, folded=False) for name, needle in _base64_forms(secret)]
    half = len(secret) // 2
    if half >= _HALF:
        forms += [
            _Form("first half", secret[:half], folded=False),
            _Form("second half", secret[-half:], folded=False),
        ]
    return tuple(forms)


def _base64_forms(secret: bytes) -> Iterable[tuple[str, bytes]]:
    """Base64 of the secret at each of the three alignments, without the characters that neighbours change."""
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + secret)
        first = (shift * 8 + 5) // 6
        last = (shift + len(secret)) * 8 // 6
        yield "base64", whole[first:last]
        yield "base64url", whole[first:last].translate(bytes.maketrans(b"+/", b"-_"))


def _views(data: bytes) -> Iterable[tuple[str, bytes]]:
    """The bytes as they are, and without what a line breaker or a terminal puts in between."""
    yield "", data
    joined = data.translate(None, b"\r\n\t ")
    if len(joined) != len(data):
        yield ", over line breaks", joined
    if b"=\n" in data or b"=\r\n" in data:
        soft = data.replace(b"=\r\n", b"").replace(b"=\n", b"")
        yield ", over soft line breaks", soft.translate(None, b"\r\n\t ")
    unescaped = data.replace(b"\\r", b"").replace(b"\\n", b"").replace(b"\\", b"")
    if len(unescaped) != len(data):
        yield ", over escaped line breaks", unescaped


def _members(data: bytes) -> Iterable[tuple[str, int, bytes]]:
    """Unpacks what looks like gzip or zlib, wherever it starts; a broken member counts as far as it goes."""
    for start, window, kind in _STARTS:
        at = data.find(start)
        while at >= 0:
            unpacked = _unpack(data[at:], window)
            if unpacked:
                yield kind, at, unpacked
            at = data.find(start, at + 1)


def _unpack(data: bytes, window: int) -> bytes:
    unpacker = zlib.decompressobj(window)
    parts: list[bytes] = []
    size = 0
    for at in range(0, len(data), 65536):
        try:
            parts.append(unpacker.decompress(data[at : at + 65536]))
        except zlib.error:
            break
        size += len(parts[-1])
        if unpacker.eof or size > _MEMBER:
            break
    return b"".join(parts)
