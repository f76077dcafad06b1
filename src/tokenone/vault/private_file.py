"""Files that only their owner may touch: made whole or not at all, read only if nobody else could have.

Law: no symbolic link is followed, no existing file is overwritten, and a crash leaves the old state (perhaps
with a `.new-…` file beside it). It does not know what is inside.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from typing import Final

from tokenone.errors import RootRefused

_MAX_BYTES: Final = 65_536


def create_private(path: Path, content: bytes) -> None:
    """Writes a new file, mode 0600, durably; raises RootRefused if `path` exists or cannot be written."""
    draft = path.with_name(f".new-{path.name}-{secrets.token_hex(8)}")
    try:
        _write_new(draft, content)
        try:
            os.link(draft, path, follow_symlinks=False)
        finally:
            draft.unlink()
        _sync_directory(path.parent)
    except FileExistsError:
        raise RootRefused(f"{path.name} exists already and is never overwritten") from None
    except OSError as error:
        raise RootRefused(f"{path.name} cannot be written: {error.strerror}") from None


def read_private(path: Path) -> bytes:
    """Reads a file of at most 64 KiB that belongs to this user alone; raises RootRefused and says why not."""
    # O_NONBLOCK: opening a named pipe must not wait for a writer.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise RootRefused(f"{path.name} is missing") from None
    except OSError as error:
        reason = "is a symbolic link" if path.is_symlink() else f"cannot be read: {error.strerror}"
        raise RootRefused(f"{path.name} {reason}") from None
    try:
        _refuse_shared(path, os.fstat(descriptor))
        return os.read(descriptor, _MAX_BYTES)
    finally:
        os.close(descriptor)


def _refuse_shared(path: Path, facts: os.stat_result) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise RootRefused(f"{path.name} is not a regular file")
    if facts.st_uid != os.geteuid():
        raise RootRefused(f"{path.name} belongs to another user")
    if facts.st_mode & 0o077:
        raise RootRefused(f"{path.name} may be used by other users; run chmod 600 on it")
    if facts.st_nlink != 1:
        raise RootRefused(f"{path.name} has a second name (hard link)")
    if facts.st_size > _MAX_BYTES:
        raise RootRefused(f"{path.name} is too large")


def _write_new(path: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
