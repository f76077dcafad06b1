"""Finds the recorded exchanges, which live outside the project; tests that need them skip loudly without."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def shared_directory() -> Path:
    """Returns the folder with `exchanges/` and `replay.py`: TOKENONE_SHARED, else beside the checkout."""
    chosen = os.environ.get("TOKENONE_SHARED")
    return Path(chosen) if chosen else ROOT.parent / "shared"


def require_exchanges() -> Path:
    """Returns the exchanges' folder or skips the test, saying what is not tested."""
    folder = shared_directory() / "exchanges"
    if not (folder / "index.json").exists():
        pytest.skip("SKIPPED LOUDLY: no recorded exchanges (set TOKENONE_SHARED); fidelity is not tested")
    return folder


@dataclass(frozen=True)
class Exchange:
    """One recorded exchange."""

    id: str
    provider: str
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    status: int
    reply_headers: dict[str, str]
    reply: bytes
    stream: bool

    @property
    def event_stream(self) -> bool:
        return "event-stream" in self.reply_headers.get("content-type", "")


@cache
def exchanges(provider: str) -> tuple[Exchange, ...]:
    """Reads a provider's exchanges; empty where the folder is absent."""
    folder = shared_directory() / "exchanges"
    index = folder / "index.json"
    if not index.exists():
        return ()
    rows = json.loads(index.read_text())["exchanges"]
    return tuple(
        _read(json.loads((folder / row["file"]).read_text()), bool(row["stream"]))
        for row in rows
        if row["provider"] == provider
    )


def _read(raw: dict[str, Any], stream: bool) -> Exchange:
    url = raw["request"]["url"].split("://", 1)[1]
    path, _, query = url.partition("?")
    return Exchange(
        id=raw["id"],
        provider=raw["provider"],
        method=raw["request"]["method"].upper(),
        path="/" + path.partition("/")[2],
        query=query,
        headers=raw["request"]["headers"],
        body=_body(raw["request"]),
        status=raw["response"]["status"],
        reply_headers={name.lower(): value for name, value in raw["response"]["headers"].items()},
        reply=_body(raw["response"]),
        stream=stream,
    )


def _body(part: dict[str, Any]) -> bytes:
    if "body_base64" in part:
        return base64.b64decode(part["body_base64"])
    return str(part.get("body", "")).encode("utf8", "surrogatepass")
