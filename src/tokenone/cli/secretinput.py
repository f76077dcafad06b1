"""Takes a secret from where it cannot be seen: a file, standard input, or a prompt that shows nothing.

Law: never from an argument, which every process list shows; one line end at the end is not part of it.
"""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Final

from tokenone.cli.exits import UsageError

MAX_BYTES: Final = 65_536


def read_secret(file: Path | None, prompt: str) -> bytes:
    """Reads `file` (`-` is standard input); without one, standard input unless that is a terminal, then asks."""
    if file is not None and str(file) != "-":
        try:
            raw = file.read_bytes()
        except OSError as error:
            raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    elif file is None and sys.stdin.isatty():
        raw = getpass.getpass(prompt).encode()
    else:
        raw = sys.stdin.buffer.read(MAX_BYTES + 2)
    secret = raw.removesuffix(b"\n").removesuffix(b"\r")
    if not 1 <= len(secret) <= MAX_BYTES:
        raise UsageError("there is no secret, or it is longer than 64 KiB")
    return secret
