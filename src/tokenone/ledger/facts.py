"""`log.json`: the public facts of a ledger, written once and compared ever after.

Law: it holds nothing secret and is a convenience, not a root of trust: an auditor brings the public key
along.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final, NamedTuple

from tokenone.errors import ConfigRefused, IntegrityError
from tokenone.ledger.entry import b64, unb64

NAME: Final = "log.json"
_FORMAT: Final = "tokenone-ledger/1"


class Facts(NamedTuple):
    """A log's name, its signing public key, and the auditor's public key if there is one (raw bytes)."""

    origin: str
    signing: bytes
    auditor: bytes | None


def read_facts(directory: Path) -> Facts | None:
    """Reads `log.json`; None where there is none."""
    try:
        raw = (directory / NAME).read_bytes()
    except FileNotFoundError:
        return None
    try:
        value = json.loads(raw)
        if value["format"] != _FORMAT or not isinstance(value["origin"], str):
            raise IntegrityError("log.json is of another format")
        auditor = value["auditor"]
        return Facts(value["origin"], unb64(value["signing"]), None if auditor is None else unb64(auditor))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise IntegrityError("log.json is malformed") from None


def keep_facts(directory: Path, facts: Facts) -> None:
    """Writes `log.json` where there is none; refuses to go on under another name or key."""
    found = read_facts(directory)
    if found is not None:
        if found != facts:
            raise ConfigRefused("log.json names another log origin, signing key or auditor key")
        return
    value = {
        "auditor": None if facts.auditor is None else b64(facts.auditor),
        "format": _FORMAT,
        "origin": facts.origin,
        "signing": b64(facts.signing),
    }
    fresh = directory / f".{NAME}.{os.getpid()}"
    with fresh.open("w", encoding="utf-8") as file:
        json.dump(value, file, sort_keys=True)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(directory / NAME)  # workers may race; they write the same
