"""The publisher's own prices, to compare ours with: our usage in its words, and how near two totals must be."""

from __future__ import annotations

from decimal import Decimal

import genai_prices

from tokenone.meter.rate import Cost
from tokenone.money import NANO
from tokenone.types import Usage

THEIR_NAMES = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "reasoning": "output_reasoning_tokens",
    "input_audio": "input_audio_tokens",
    "output_audio": "output_audio_tokens",
    "cache_read_audio": "cache_audio_read_tokens",
    "input_image": "input_image_tokens",
    "output_image": "output_image_tokens",
    "input_video": "input_video_tokens",
    "output_video": "output_video_tokens",
    "audio_seconds": "audio_seconds",
}
THEIR_TOOLS = {"web_search_requests": "web_searches", "file_search_requests": "storage_searches"}


def theirs(usage: Usage) -> genai_prices.Usage:
    counts = {theirs: getattr(usage, ours) for ours, theirs in THEIR_NAMES.items()}
    tools = usage.server_tools or {}
    counts |= {theirs: tools[ours] for ours, theirs in THEIR_TOOLS.items() if ours in tools}
    return genai_prices.Usage(**{name: count for name, count in counts.items() if count is not None})


def assert_equal(cost: Cost, expected: Decimal) -> None:
    assert cost.total is not None, cost
    difference = abs(Decimal(cost.total) - expected * NANO)
    assert difference <= Decimal(max(1, len(cost.lines))) / 2 + Decimal("0.001"), (cost, expected)
