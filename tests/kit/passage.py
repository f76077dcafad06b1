"""Passes replies through a provider's meter however they are cut, and reads them with the standard library alone."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kit.shared import Exchange
from tokenone.dispatch.decode import Gunzip
from tokenone.dispatch.providers import Facts
from tokenone.dispatch.streams import Meter
from tokenone.types import ErrorClass, Headers, Usage

VECTORS = Path(__file__).parents[2] / "vectors"


def pieces(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


def told(meter: Meter) -> tuple[object, ...]:
    """Everything that a meter says."""
    return meter.usage, meter.model, meter.charged, meter.failed, meter.ended, meter.text_bytes


@dataclass(frozen=True)
class Recorded:
    """A recorded exchange at the place where a provider's facts see it."""

    facts: Facts
    exchange: Exchange
    path: bytes

    def meter(self, *, withhold: bool = False) -> Meter | None:
        kind = self.exchange.reply_headers.get("content-type", "").lower().encode()
        return self.facts.open_meter(self.path, kind, withhold)

    def passed(self, chunks: list[bytes], *, withhold: bool = False) -> tuple[Meter, bytes]:
        meter = self.meter(withhold=withhold)
        assert meter is not None
        return meter, b"".join(map(meter.feed, chunks)) + meter.finish()

    def usage(self) -> Usage | None:
        if self.meter() is None:
            return self.facts.usage(self.exchange.reply, self.path)
        return self.passed([self.exchange.reply])[0].usage

    def check_however_cut(self) -> Meter:
        """The same figures and the same bytes in pieces of any size, and unzipped from pieces of a gzip stream."""
        reply = self.exchange.reply
        whole, _ = self.passed([reply])
        inflate = Gunzip()
        zipped = [inflate.feed(piece) for piece in pieces(gzip.compress(reply), 7)]
        for chunks in (*(pieces(reply, size) for size in (1, 7, 64, 4096)), zipped):
            meter, out = self.passed(chunks)
            assert out == reply
            assert told(meter) == told(whole)
        return whole

    def error_class(self) -> ErrorClass:
        headers = [(name.encode(), value.encode()) for name, value in self.exchange.reply_headers.items()]
        return self.facts.error_class(self.exchange.status, headers, self.exchange.reply)


def objects(exchange: Exchange) -> Iterator[dict[str, Any]]:
    """The JSON objects of a reply in order: the document, the events' data or the lines."""
    if not exchange.event_stream and "ndjson" not in exchange.reply_headers.get("content-type", ""):
        yield json.loads(exchange.reply or b"{}")
        return
    for line in exchange.reply.decode().splitlines():
        text = line.removeprefix("data:").strip()
        if text.startswith("{"):
            yield json.loads(text)


def final_usage(exchange: Exchange) -> dict[str, Any] | None:
    """The usage that a reply reports last, wherever it stands."""
    found: dict[str, Any] = {}
    for told_so_far in objects(exchange):
        for name in (None, "x_groq", "response", "message"):
            holder = told_so_far if name is None else told_so_far.get(name) or {}
            found |= {key: value for key, value in (holder.get("usage") or {}).items() if value is not None}
    return found or None


def counted_by_openai(raw: dict[str, Any]) -> tuple[int | None, ...]:
    """Input, output, cache read, cache write and reasoning in OpenAI's spelling, totals as they are."""
    into = raw.get("prompt_tokens_details") or raw.get("input_tokens_details") or {}
    out = raw.get("completion_tokens_details") or raw.get("output_tokens_details") or {}
    cached = into.get("cached_tokens")
    for word in ("prompt_cache_hit_tokens", "num_cached_tokens"):
        cached = raw.get(word) if cached is None else cached
    return (
        raw.get("prompt_tokens", raw.get("input_tokens")),
        raw.get("completion_tokens", raw.get("output_tokens")),
        cached,
        into.get("cache_write_tokens"),
        out.get("reasoning_tokens"),
    )


def counted(usage: Usage) -> tuple[int | None, ...]:
    return usage.input, usage.output, usage.cache_read, usage.cache_write, usage.reasoning


def named(rows: tuple[Exchange, ...]) -> list[Any]:
    """Parametrises by exchange; without the folder one case remains, which skips."""
    return [pytest.param(row, id=row.id[:70]) for row in rows] or [pytest.param(None, id="absent")]


@dataclass(frozen=True)
class Refusal:
    """One vector: what a provider answers and what it means. A trap means something else than its status says."""

    why: str
    status: int
    headers: Headers
    body: bytes
    expected: ErrorClass
    trap: bool


def refusals(provider: str) -> list[Any]:
    """Reads `vectors/errors-{provider}.json`."""
    cases = json.loads((VECTORS / f"errors-{provider}.json").read_text("utf-8"))["cases"]
    return [pytest.param(_refusal(case), id=case["why"]) for case in cases]


def _refusal(case: dict[str, Any]) -> Refusal:
    body = case["body"]
    return Refusal(
        why=case["why"],
        status=case["status"],
        headers=[(name.encode(), value.encode()) for name, value in case.get("headers", {}).items()],
        body=body.encode() if isinstance(body, str) else json.dumps(body).encode(),
        expected=ErrorClass(case["class"]),
        trap=case["trap"],
    )
