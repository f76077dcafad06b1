"""The file that keeps a person signed in: access and refresh token per console, readable by its owner alone.

Law: mode 0600 from the first byte, replaced whole; whoever renews holds the lock, because a refresh token
works once and using it twice ends the session.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokenone.errors import ConfigRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What the console gave at sign-in; `expires_us` is about the access token."""

    access_token: str
    refresh_token: str
    expires_us: int

    def __repr__(self) -> str:
        return "Tokens(…)"


class SessionFile:
    """Reads and writes the tokens for consoles' URLs."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, url: str) -> Tokens | None:
        """Returns the tokens for a console; None when nobody is signed in there."""
        kept = self._read().get(url)
        if not isinstance(kept, dict):
            return None
        try:
            return Tokens(
                access_token=str(kept["access_token"]),
                refresh_token=str(kept["refresh_token"]),
                expires_us=int(kept["expires_us"]),
            )
        except (KeyError, TypeError, ValueError):
            return None

    def put(self, url: str, tokens: Tokens | None) -> None:
        """Keeps the tokens for a console, or forgets them."""
        kept = self._read()
        if tokens is None:
            kept.pop(url, None)
        else:
            kept[url] = asdict(tokens)
        fresh = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as sink:
            json.dump(kept, sink)
        fresh.replace(self._path)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the lock that makes renewing a matter of one process at a time."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = self._path.with_suffix(".lock")
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise ConfigRefused(f"{self._path.parent} cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _read(self) -> dict[str, Any]:
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            raise ConfigRefused(f"{self._path} is unreadable; remove it and sign in again") from None
        return kept if isinstance(kept, dict) else {}
