"""One stream on its way back: metered, cleaned, translated, inspected, whatever of these it needs.

Law: sans-I/O: decoded or raw bytes in, bytes to forward out; what cannot be inspected is refused before a byte goes
back. It neither reads from the provider nor writes to the caller.
"""

from __future__ import annotations

from collections.abc import Callable

from tokenone.call.house import Call, House
from tokenone.call.settle import Ending
from tokenone.call.voice import Speaking
from tokenone.detect.stream import StreamInspector
from tokenone.dispatch import forward
from tokenone.dispatch.decode import Decoder, decoder
from tokenone.dispatch.eventstream import EventStreamMeter
from tokenone.dispatch.streams import Meter
from tokenone.errors import ContentBlocked, UpstreamBroken
from tokenone.types import Action
from tokenone.wire.upstream import Incoming


def may_change(call: Call) -> bool:
    """Says whether the tenant lets detectors change or block a reply."""
    assert call.caller is not None
    return call.caller.tenant.detect.response in (Action.REDACT, Action.BLOCK)


class Stream:
    """One stream on its way back: the meter, the detectors, and what may be forwarded.

    Where events may be withheld or changed, an encoded stream (which was not asked for) goes back decoded;
    elsewhere it goes back as it came and a decoded copy is metered. From an error event on, `clean` takes the
    leased secret out. A unified call's stream is translated between meter and detectors.
    """

    __slots__ = (
        "_clean",
        "_decoder",
        "_inspector",
        "_speaking",
        "decoded",
        "in_events",
        "in_frames",
        "meter",
        "raw",
    )

    def __init__(  # noqa: PLR0913 - made by `opened` alone
        self, meter: Meter, machine: Decoder | None, *, encoded: bool, changes: bool,
        clean: Callable[[bytes], bytes], inspector: StreamInspector | None, speaking: Speaking | None,
    ) -> None:  # fmt: skip
        self._clean = clean
        self._decoder = machine
        self.decoded = changes and machine is not None
        self.raw = encoded and not self.decoded
        """Goes back encoded as it came."""
        self.meter = meter
        self.in_events = speaking is not None or (meter.in_events and not self.raw)
        """Plain server-sent events go back: an error can be told as one more."""
        self.in_frames = speaking is None and isinstance(meter, EventStreamMeter) and not self.raw
        """An AWS event stream goes back: an error can be told as one more frame."""
        self._inspector = inspector
        self._speaking = speaking

    @classmethod
    def opened(
        cls, house: House, call: Call, reply: Incoming, clean: Callable[[bytes], bytes]
    ) -> Stream | None:
        """Returns the stream that a reply is, None if it is one document; refuses what cannot be inspected."""
        assert call.caller is not None
        encoding = reply.get(b"content-encoding")
        machine = None if encoding is None else decoder(encoding)
        readable = encoding is None or machine is not None
        meter = call.facts.open_meter(
            call.front.path, forward.content_type(reply.headers), call.spliced and readable
        )
        if meter is None:
            return None
        in_events = readable and (meter.in_events or call.voice is not None)
        if may_change(call) and not in_events:
            raise ContentBlocked("the stream's form cannot be read, so it cannot be inspected")
        if call.voice is not None and not readable:
            raise UpstreamBroken("the stream's encoding cannot be read, so it cannot be translated")
        action = call.caller.tenant.detect.response
        inspects = action is not Action.ALLOW and in_events
        return cls(
            meter,
            machine,
            encoded=encoding is not None,
            changes=call.spliced or call.voice is not None or may_change(call),
            clean=clean,
            inspector=StreamInspector(house.detectors, action) if inspects else None,
            speaking=None if call.voice is None else call.voice.speaking(),
        )

    def feed(self, chunk: bytes) -> bytes:
        """Returns what to forward now; what came before a finding that blocks is still among it."""
        if self._decoder is None and not self.raw:
            return self._look(self._spoken(self._cleaned(self.meter.feed(chunk))))
        plain = self._decoder.feed(chunk) if self._decoder is not None else b""
        self._stop_if_damaged()
        out = self._look(self._spoken(self._cleaned(self.meter.feed(plain))))
        return chunk if self.raw else out

    def finish(self) -> bytes:
        """Returns what was still held when the stream ended."""
        if self.decoded and self._decoder is not None and not self._decoder.whole:
            raise UpstreamBroken("the stream's encoding ended early")
        rest = self._spoken(self._cleaned(self.meter.finish()))
        if self._speaking is not None:
            rest += self._speaking.finish(self.meter.usage)
        out = self._look(rest)
        if self._inspector is not None:
            out += self._inspector.finish()
        return b"" if self.raw else out

    def stop_if_blocked(self) -> None:
        """Raises ContentBlocked once a finding blocks; to be asked after what `feed` returned was forwarded."""
        if self._inspector is not None and self._inspector.blocked:
            raise ContentBlocked("found in the reply")

    def tell(self, ending: Ending) -> None:
        """Puts what was metered and found into the attempt's ending."""
        meter = self.meter
        ending.usage, ending.model, ending.text_bytes = meter.usage, meter.model, meter.text_bytes
        ending.charged = meter.charged
        if self._inspector is not None:
            ending.verdict, ending.findings = self._inspector.verdict, self._inspector.findings

    def _cleaned(self, out: bytes) -> bytes:
        if not self.meter.failed:
            return out
        clean = self._clean(out)
        if self.raw and clean != out:
            raise UpstreamBroken("the provider's error shows a secret and was withheld")
        return clean

    def _spoken(self, out: bytes) -> bytes:
        return out if self._speaking is None else self._speaking.feed(out, self.meter.usage)

    def _look(self, out: bytes) -> bytes:
        return out if self._inspector is None else self._inspector.feed(out)

    def _stop_if_damaged(self) -> None:
        if self.decoded and self._decoder is not None and (self._decoder.broken or self._decoder.overflow):
            raise UpstreamBroken("the stream's encoding is damaged")
