"""Where things lie in a data directory."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tokenone.canonical import unb64

AUDITOR_PRIVATE: Final = "auditor.key"
AUDITOR_PUBLIC: Final = "auditor.pub"
PRICE_BOOK: Final = "pricebook.json"
LEDGER_DIRECTORY: Final = "ledger"
RUN_DIRECTORY: Final = "run"


def read_auditor(directory: Path) -> bytes:
    """Returns the auditor's public key (32 bytes)."""
    return unb64((directory / AUDITOR_PUBLIC).read_text(encoding="ascii").strip())
