"""Reads the replies of Google's OpenAI-compatible paths, and of OpenAI-shaped models on Vertex AI.

Law: the shapes are OpenAI's, the counts are not: `completion_tokens` leaves thoughts out while `total_tokens`
includes them, so the output is what the total leaves beside the prompt. Vertex names its traffic type aside.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tokenone.dispatch.providers.counts import Count, lenient
from tokenone.dispatch.providers.facts import Reading
from tokenone.dispatch.providers.openai_replies import OpenAIEvents, read_reply
from tokenone.sse import data_of
from tokenone.types import Headers, Usage


class _Total(msgspec.Struct, gc=False):
    total_tokens: Count | None = None


class _Reply(msgspec.Struct, gc=False):
    usage: _Total | None = None


_reply: Final = msgspec.json.Decoder(_Reply)


def read_compatible(body: bytes, path: bytes, headers: Headers) -> Reading:
    """Reads model and usage of a whole JSON reply; a body of another shape reports nothing."""
    reading = read_reply(body, path, headers)
    return Reading(_bare(reading.model), _with_thoughts(reading.usage, body))


def _bare(model: str | None) -> str | None:
    """Returns a Gemini model's name as it stands in paths and price lists."""
    return None if model is None else model.removeprefix("google/").removeprefix("models/")


def _with_thoughts(usage: Usage | None, body: bytes) -> Usage | None:
    if usage is None or usage.input is None or usage.output is None:
        return usage
    found = lenient(_reply, body)
    whole = found.usage.total_tokens if found is not None and found.usage is not None else None
    if whole is None or whole - usage.input <= usage.output:
        return usage
    output = whole - usage.input
    return msgspec.structs.replace(usage, output=output, reasoning=output - usage.output)


class CompatibleEvents(OpenAIEvents):
    """Reads one event stream in OpenAI's shape with Google's counts."""

    __slots__ = ()

    def read(self, event: bytes) -> bool:
        """Takes one event in; True for a chat chunk with usage and without choices."""
        before = self.usage
        alone = super().read(event)
        self.model = _bare(self.model)
        if self.usage is not before:
            self.usage = _with_thoughts(self.usage, data_of(event))
        return alone
