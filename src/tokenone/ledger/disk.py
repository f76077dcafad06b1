"""The few calls that touch the disk, as a seam: tests put one below the ledger that is full or broken.

Law: `append` writes all or raises; nothing is durable before `sync` returns; a new name is durable after
`sync_directory`. Errors are the system's own OSError. It retries nothing.
"""

from __future__ import annotations

import os
from pathlib import Path


class Disk:
    """The real one. Every method may raise OSError."""

    def create(self, path: Path) -> int:
        """Creates a file that must not exist, for appending."""
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)

    def open(self, path: Path) -> int:
        """Opens an existing file for appending."""
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def append(self, fd: int, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]

    def sync(self, fd: int) -> None:
        os.fdatasync(fd)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def close(self, fd: int) -> None:
        os.close(fd)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def sync_directory(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def rewrite(self, path: Path, offset: int, data: bytes) -> None:
        """Writes bytes over the same bytes, so that they are on the disk and not only in memory."""
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.lseek(fd, offset, os.SEEK_SET)
            self.append(fd, data)
            self.sync(fd)
        finally:
            os.close(fd)

    def reserve(self, path: Path, size: int) -> None:
        """Sets blocks aside in a file of their own; also the probe whether the disk takes writes again."""
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            os.posix_fallocate(fd, 0, size)
            os.pwrite(fd, b"\0", 0)
            os.fdatasync(fd)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)
