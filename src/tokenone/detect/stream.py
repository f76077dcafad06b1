"""Inspects a stream of server-sent events while it passes.

Law: flagging delays nothing. Redacting and blocking hold back only the events whose text is undecided, in
order, and never more than a bounded window. What is forwarded is byte for byte what came, but for redacted
spans. The same stream gives the same result however its bytes were cut.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tokenone.detect.channel import ChannelText
from tokenone.detect.detector import Detector
from tokenone.detect.events import MAX_EVENT, Channel, Piece, PieceFinder
from tokenone.detect.inspect import (
    ENFORCED_SCORE,
    MAX_FINDINGS,
    find_in_strings,
    mark,
    splice,
    suspected,
    verdict_on,
)
from tokenone.detect.leaves import byte_offsets, text_of
from tokenone.sse import EventSplitter
from tokenone.types import Action, Finding

BATCH: Final = 4096
"""When flagging, a channel's text is looked at whenever so many characters have come, and at the end."""
MAX_HELD_EVENTS: Final = 4096
MAX_CHANNELS: Final = 256


@dataclass(slots=True)
class _HeldPiece:
    """A piece of a held event: characters [first, last) of its channel, bytes [start, end) of the event."""

    channel: ChannelText
    first: int
    last: int
    start: int
    end: int
    edits: list[tuple[int, int, bytes]] = field(default_factory=list)


@dataclass(slots=True)
class _HeldEvent:
    event: bytes
    pieces: list[_HeldPiece]

    def decided(self) -> bool:
        return all(piece.last <= piece.channel.settled for piece in self.pieces)


class StreamInspector:
    """Feed it decoded bytes; forward what it returns; stop when `blocked`.

    Offsets of findings count characters of the channel that held them (bytes of the event, for events that
    carry whole texts); a secret that a stream repeats is listed once."""

    def __init__(self, detectors: Sequence[Detector], action: Action) -> None:
        self.findings: tuple[Finding, ...] = ()
        self.blocked = False
        self._detectors = detectors
        self._action = action
        self._holds = action in (Action.REDACT, Action.BLOCK)
        self._splitter = EventSplitter(MAX_EVENT)
        self._finder = PieceFinder()
        self._channels: dict[Channel, ChannelText] = {}
        self._held: deque[_HeldEvent] = deque()
        self._seen: set[int] = set()

    @property
    def verdict(self) -> Action:
        """What follows from the findings so far."""
        return verdict_on(self.findings, self._action)

    def feed(self, data: bytes) -> bytes:
        """Takes the next bytes and returns those to forward now."""
        if self._action is Action.ALLOW or self.blocked:
            return b"" if self.blocked else data
        events = self._splitter.feed(data)
        if not self._holds:
            for event in events:
                self._watch(event)
            return data
        return b"".join([self._pass(event) for event in events])

    def finish(self) -> bytes:
        """Decides what is left when the stream has ended; returns the last bytes to forward."""
        if self._action is Action.ALLOW or self.blocked:
            return b""
        rest = self._splitter.rest()
        if not self._holds:
            if rest:
                self._watch(rest)
            self._decide_all()
            return b""
        passed = self._pass(rest) if rest else b""
        self._decide_all()
        return passed + self._release()

    def _watch(self, event: bytes) -> None:
        """Flag: notes an event's text."""
        added = self._finder.pieces(event)
        if added is None:
            self._inspect_whole(event)
            return
        for piece in added:
            if piece.end > piece.start:
                channel = self._channel(piece)
                channel.add(text_of(event[piece.start : piece.end]))
                if channel.waiting >= BATCH:
                    self._decide(channel)

    def _pass(self, event: bytes) -> bytes:
        """Redact and block: holds an event, decides, and returns what may go."""
        if self.blocked:
            return b""
        added = self._finder.pieces(event)
        if added is None:
            self._held.append(_HeldEvent(self._inspect_whole(event), []))
            return self._release()
        held = [self._hold(event, piece) for piece in added if piece.end > piece.start]
        self._held.append(_HeldEvent(event, held))
        for channel in {id(piece.channel): piece.channel for piece in held}.values():
            self._decide(channel)
        if len(self._held) > MAX_HELD_EVENTS:
            self._decide_all()
        return self._release()

    def _hold(self, event: bytes, piece: Piece) -> _HeldPiece:
        channel = self._channel(piece)
        first = channel.end
        channel.add(text_of(event[piece.start : piece.end]))
        return _HeldPiece(channel, first, channel.end, piece.start, piece.end)

    def _channel(self, piece: Piece) -> ChannelText:
        channel = self._channels.get(piece.channel)
        if channel is None:
            if len(self._channels) >= MAX_CHANNELS:
                self._decide_all()
                self._channels.clear()
            channel = self._channels[piece.channel] = ChannelText()
        return channel

    def _decide_all(self) -> None:
        for channel in self._channels.values():
            self._decide(channel, final=True)

    def _decide(self, channel: ChannelText, *, final: bool = False) -> None:
        for finding, text in channel.decide(self._detectors, final=final):
            self._report(finding, text)
            if self._holds and finding.score >= ENFORCED_SCORE:
                self._edit(channel, finding)

    def _report(self, finding: Finding, text: str) -> None:
        """Lists a finding unless the stream has shown the same text before."""
        known = hash((finding.rule, text))
        if known not in self._seen and len(self.findings) < MAX_FINDINGS:
            self._seen.add(known)
            self.findings = (*self.findings, finding)
        if self._action is Action.BLOCK and finding.score >= ENFORCED_SCORE:
            self.blocked = True

    def _edit(self, channel: ChannelText, finding: Finding) -> None:
        """Notes in the held pieces which characters go; the first of them gets the mark."""
        shown = mark(finding)
        for held in self._held:
            for piece in held.pieces:
                if piece.channel is channel and piece.first < finding.end and finding.start < piece.last:
                    first, last = max(finding.start, piece.first), min(finding.end, piece.last)
                    piece.edits.append((first - piece.first, last - piece.first, shown))
                    shown = b""

    def _inspect_whole(self, event: bytes) -> bytes:
        """Inspects an event that carries no delta by its strings; returns it, redacted if need be."""
        if not suspected(event, self._detectors):
            return event
        found = find_in_strings(event, self._detectors)
        for finding in found:
            self._report(finding, text_of(event[finding.start : finding.end]))
        return splice(event, found) if found and self._action is Action.REDACT else event

    def _release(self) -> bytes:
        """Returns the events, from the oldest on, whose text is decided; nothing behind a blocked one."""
        released: list[bytes] = []
        while self._held and self._held[0].decided() and not self._stops(self._held[0]):
            released.append(_edited(self._held.popleft()))
        if self.blocked:
            self._held.clear()
        return b"".join(released)

    def _stops(self, held: _HeldEvent) -> bool:
        return self.blocked and (any(piece.edits for piece in held.pieces) or not held.pieces)


def _edited(held: _HeldEvent) -> bytes:
    """Returns an event's bytes with the edits of its pieces carried out."""
    event = held.event
    for piece in reversed(held.pieces):
        if not piece.edits:
            continue
        raw = event[piece.start : piece.end]
        places = byte_offsets(raw, [place for first, last, _ in piece.edits for place in (first, last)])
        parts, at = [], 0
        for (_, _, shown), start, end in zip(piece.edits, places[::2], places[1::2], strict=True):
            parts += [raw[at:start], shown]
            at = end
        event = event[: piece.start] + b"".join([*parts, raw[at:]]) + event[piece.end :]
    return event
