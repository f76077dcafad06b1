"""A name for a socket's path that the kernel takes, however deep the data directory lies.

Law: a Unix socket's address has 107 bytes (unix(7)); a longer path is reached through a descriptor of its
directory. It makes and removes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LONGEST: Final = 107


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """Yields a name to bind or connect to; it means the path for as long as the block runs."""
    if len(os.fsencode(path)) <= LONGEST:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
