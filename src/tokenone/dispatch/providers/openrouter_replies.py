"""Reads what OpenRouter's replies say about themselves: OpenAI's or Anthropic's usage, and the charge.

Law: `cost` is what OpenRouter takes from the credits, in USD. Only where `is_byok` says that the call went out
with the account's own upstream key, that provider's bill comes on top (`upstream_inference_cost`, which other
replies repeat for information); a bill that is not told leaves the charge unknown, never zero.
Source: OpenRouter's pages on usage accounting and on bringing one's own keys.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from tokenone.dispatch.providers import anthropic_replies, openai_replies
from tokenone.dispatch.providers.anthropic_replies import AnthropicEvents
from tokenone.dispatch.providers.counts import lenient
from tokenone.dispatch.providers.facts import Reading
from tokenone.dispatch.providers.openai_replies import OpenAIEvents
from tokenone.money import nano
from tokenone.sse import data_of
from tokenone.types import Headers

MOST_USD: Final = 1_000_000
"""More for one call is no charge but an error of whoever says so."""


class _CostDetails(msgspec.Struct, gc=False):
    upstream_inference_cost: Decimal | None = None


class _Usage(msgspec.Struct, gc=False):
    cost: Decimal | None = None
    is_byok: bool | None = None
    cost_details: _CostDetails | None = None


class _Inner(msgspec.Struct, gc=False):
    usage: _Usage | None = None


class _Holder(_Inner, gc=False):
    """A reply or an event; responses and messages carry the usage one level deeper at times."""

    response: _Inner | None = None
    message: _Inner | None = None


_holder: Final = msgspec.json.Decoder(_Holder)


def is_messages(path: bytes) -> bool:
    """Says whether a path speaks Anthropic's protocol."""
    return path.endswith(b"/messages")


def read_reply(body: bytes, path: bytes, headers: Headers) -> Reading:
    """Reads model, usage and charge of a whole JSON reply."""
    read = anthropic_replies.read_reply if is_messages(path) else openai_replies.read_reply
    found = read(body, path, headers)
    return Reading(found.model, found.usage, charge(body))


def charge(text: bytes) -> int | None:
    """Returns the charge that a reply or an event tells, in nano-USD; None where it tells none."""
    found = lenient(_holder, text)
    if found is None:
        return None
    inner = found.response or found.message
    usage = found.usage or (None if inner is None else inner.usage)
    return None if usage is None else _charged(usage)


def _charged(usage: _Usage) -> int | None:
    cost = _money(usage.cost)
    if cost is None or not usage.is_byok:
        return None if cost is None else nano(cost)
    upstream = None if usage.cost_details is None else _money(usage.cost_details.upstream_inference_cost)
    return None if upstream is None else nano(cost + upstream)


def _money(told: Decimal | None) -> Decimal | None:
    """Returns what can be a sum of money; JSON texts may spell infinity, too."""
    return told if told is not None and told.is_finite() and 0 <= told <= MOST_USD else None


class OpenRouterEvents(OpenAIEvents):
    """Reads one event stream in OpenAI's protocols; comments such as `: OPENROUTER PROCESSING` are passed."""

    __slots__ = ()

    def __init__(self, path: bytes) -> None:
        super().__init__(path.removeprefix(b"/api"))

    def read(self, event: bytes) -> bool:
        alone = super().read(event)
        _note_charge(self, event)
        return alone


class OpenRouterMessages(AnthropicEvents):
    """Reads one event stream in Anthropic's protocol."""

    __slots__ = ()

    def read(self, event: bytes) -> bool:
        alone = super().read(event)
        _note_charge(self, event)
        return alone


def _note_charge(reader: OpenAIEvents | AnthropicEvents, event: bytes) -> None:
    """Keeps the last charge told: it is the whole call's."""
    if b'"cost"' in event and b'"usage"' in event:
        told = charge(data_of(event))
        reader.charged = reader.charged if told is None else told
