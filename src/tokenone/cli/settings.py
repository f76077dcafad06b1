"""What the command line is told by the roof: where the console is and where a person's session is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class CliSettings:
    """`url` is the console's; `pin` the fingerprint that its sealing key must have."""

    url: str
    data_dir: Path
    session_file: Path
    ca_file: Path | None = None
    pin: str | None = None


SettingsSource: TypeAlias = Callable[[Path | None], CliSettings]
"""Gives the settings for a data directory (None: the usual one); asked when a command needs them."""
