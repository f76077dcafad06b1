"""Opens a provider's meter for an event stream."""

from __future__ import annotations

from tokenone.dispatch.providers import PROVIDERS
from tokenone.dispatch.streams import EVENT_STREAM, StreamMeter
from tokenone.types import Provider


def event_meter(provider: Provider, path: bytes, *, withhold: bool = False) -> StreamMeter:
    """Returns the meter of a reply that comes as server-sent events."""
    meter = PROVIDERS[provider].open_meter(path, EVENT_STREAM, withhold)
    assert isinstance(meter, StreamMeter)
    return meter
