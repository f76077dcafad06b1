"""The reply on its way back: held or streamed, metered on a decoded copy, inspected, forwarded.

Law: bytes go back as they came, but for the withheld usage chunk, redactions and the scrubbed error body;
whatever happens, the attempt gets its outcome with what was metered so far. It never retries by itself: it
returns False where the page may go on to the next attempt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from tokenone.call.house import Attempt, Call, House
from tokenone.call.settle import COMPLETE, Ending, Settled, close, why_ended
from tokenone.call.stream import Stream, may_change
from tokenone.detect.inspect import Inspection, inspect_body
from tokenone.dispatch import attempts, forward
from tokenone.dispatch.decode import decoded, decoder
from tokenone.dispatch.scrub import Scrubbed, scrub, without_secret
from tokenone.dispatch.tail import TailReader
from tokenone.dispatch.translate.leaving import dropped_header
from tokenone.errors import CallerGone, ContentBlocked, TokenOneError, UpstreamAuth, UpstreamBroken
from tokenone.money import usd_text
from tokenone.types import Action, Headers
from tokenone.wire.upstream import Incoming

LONG_BODY: Final = 1 << 18
HELD_BYTES: Final = 1 << 20
INSPECTED_BYTES: Final = 16 << 20
"""Of a reply that may have to be changed or blocked; a longer one cannot be vouched for."""


async def relay(house: House, call: Call, attempt: Attempt, reply: Incoming, *, last: bool) -> bool:
    """Hands the reply back; False when it was a dead key's refusal and another attempt may follow."""
    ending = Ending(status=reply.status, cause=TokenOneError.code)  # until it is known better
    try:
        if not 200 <= reply.status < 300:
            return await _error_back(house, call, attempt, reply, ending, last=last)
        stream = Stream.opened(house, call, reply, _cleaner(attempt))
        if stream is not None:
            await _stream_back(call, attempt, reply, ending, stream)
        else:
            await _hold_back(house, call, attempt, reply, ending)
    except (asyncio.CancelledError, CallerGone):
        ending.cause = why_ended(call)
        raise
    except TokenOneError as error:
        ending.cause = error.code
        raise
    finally:
        if not attempt.closed:
            ending.received = reply.received
            close(house, call, attempt, ending)
        reply.abort()
    return True


def governed(
    call: Call, attempt: Attempt, reply: Incoming, fields: Headers, settled: Settled | None = None
) -> Headers:
    """Returns the provider's `fields` and ours: which key, how it routed, what it came to where known."""
    headers = forward.response_headers(fields)
    headers.append((b"x-tokenone-call", call.id.encode()))
    headers += routed(call, attempt)
    if call.voice is not None and call.voice.dropped:
        headers.append((b"x-tokenone-dropped", dropped_header(call.voice.dropped)))
    if reply.status >= 400:
        headers.append((b"x-tokenone-error-origin", b"provider"))
    if settled is not None and settled.cost is not None:
        headers.append((b"x-tokenone-cost", usd_text(settled.cost.total).encode()))
    if settled is not None and settled.fee is not None:
        headers.append((b"x-tokenone-fee", usd_text(settled.fee).encode()))
    return headers


def routed(call: Call, attempt: Attempt) -> Headers:
    """Returns which key was used, how often was tried, and the receipt: for calls that failed as for others."""
    version = attempt.candidate.version
    return [
        (b"x-tokenone-key", f"{version.key}/{version.version}".encode()),
        (b"x-tokenone-provider", call.front.provider.value.encode()),
        (b"x-tokenone-attempts", str(attempt.number).encode()),
        (b"x-tokenone-receipt", call.receipt.encode()),
    ]


async def _gather(reply: Incoming, limit: int) -> tuple[bytes, bool]:
    """Reads up to `limit` bytes; says whether that was the whole body."""
    chunks: list[bytes] = []
    size = 0
    while (chunk := await reply.chunk()) is not None:
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            return b"".join(chunks), False
    return b"".join(chunks), True


async def _hold_back(house: House, call: Call, attempt: Attempt, reply: Incoming, ending: Ending) -> None:
    """Holds a reply of up to 1 MiB, so that its cost stands in the headers; streams a longer one."""
    changes, voice = may_change(call), call.voice
    body, whole = await _gather(reply, INSPECTED_BYTES if changes or voice else HELD_BYTES)
    if not whole:
        if changes:
            raise ContentBlocked("the reply is too long to be inspected")
        if voice is not None:
            raise UpstreamBroken("the reply is too long to be translated")
        await _stream_long(call, attempt, reply, body, ending)
        return
    ending.whole = True
    plain = decoded(body, reply.get(b"content-encoding"))
    if plain is None and changes:
        raise ContentBlocked("the reply's encoding cannot be read, so it cannot be inspected")
    if plain is None and voice is not None:
        raise UpstreamBroken("the reply's encoding cannot be read, so it cannot be translated")
    if plain:
        _read_whole(call, reply, plain, ending)
    cleaned = await _inspect_held(house, call, plain, ending)
    fields = reply.headers
    if cleaned is not None:
        body, fields = cleaned, forward.response_headers(reply.headers, decoded=True)
    if voice is not None:
        body = voice.held(cleaned or plain or b"", ending.usage)
        fields = voice.reply_headers(reply.headers, streamed=False)
    ending.cause = COMPLETE if ending.error_class is None else UpstreamBroken.code
    ending.received = reply.received
    settled = close(house, call, attempt, ending)
    call.exchange.respond(reply.status, governed(call, attempt, reply, fields, settled), body)


def _read_whole(call: Call, reply: Incoming, plain: bytes, ending: Ending) -> None:
    """Takes what a whole reply says of itself into the ending; some providers fail with a 200."""
    ending.text_bytes = len(plain)
    ending.model, ending.usage, ending.charged = call.facts.read(plain, call.front.path, reply.headers)
    if call.facts.fails(plain):
        ending.error_class = call.facts.error_class(reply.status, reply.headers, plain)


async def inspected(body: bytes, house: House, action: Action) -> Inspection:
    """Runs the detectors over a whole body, request or reply; a long one beside the loop, so that no other
    call waits for it."""
    if len(body) < LONG_BODY:
        return inspect_body(body, house.detectors, action)
    return await asyncio.to_thread(inspect_body, body, house.detectors, action)


async def _inspect_held(house: House, call: Call, plain: bytes | None, ending: Ending) -> bytes | None:
    """Runs the detectors over a whole reply; returns other bytes to hand back where something was redacted."""
    assert call.caller is not None
    action = call.caller.tenant.detect.response
    if action is Action.ALLOW or not plain:
        return None
    inspection = await inspected(plain, house, action)
    ending.verdict, ending.findings = inspection.verdict, inspection.findings
    if inspection.verdict is Action.BLOCK:
        raise ContentBlocked("found in the reply")
    return None if inspection.body is plain else inspection.body


async def _stream_long(call: Call, attempt: Attempt, reply: Incoming, first: bytes, ending: Ending) -> None:
    """Passes a reply through that is too long to hold; its usage is read from its end."""
    exchange = call.exchange
    length = reply.get(b"content-length")
    fields = governed(call, attempt, reply, reply.headers)
    exchange.start(reply.status, fields, length=int(length) if length else None)
    machine = decoder(reply.get(b"content-encoding"))
    tail = TailReader()
    chunk: bytes | None = first
    while chunk is not None:
        if machine is not None:
            tail.feed(machine.feed(chunk))
        if not exchange.write(chunk):
            await exchange.writable()
        chunk = await reply.chunk()
    exchange.finish()
    ending.cause, ending.whole = COMPLETE, True
    ending.model, ending.usage, ending.charged = call.facts.read(
        tail.digest(), call.front.path, reply.headers
    )


async def _stream_back(call: Call, attempt: Attempt, reply: Incoming, ending: Ending, stream: Stream) -> None:
    """Streams a reply back: metered on a decoded copy, inspected, the unasked usage chunk withheld."""
    fields = forward.response_headers(reply.headers, decoded=stream.decoded)
    if call.voice is not None:
        fields = call.voice.reply_headers(reply.headers, streamed=True)
    call.exchange.start(reply.status, governed(call, attempt, reply, fields))
    call.in_events, call.in_frames = stream.in_events, stream.in_frames
    try:
        while (chunk := await reply.chunk()) is not None:
            if not attempt.answered:
                attempt.answered = True
                call.mark("first_byte")
            out = stream.feed(chunk)
            if out and not call.exchange.write(out):
                await call.exchange.writable()
            stream.stop_if_blocked()
        if out := stream.finish():
            call.exchange.write(out)
        stream.stop_if_blocked()
        ending.whole = stream.meter.ended
        ending.cause = UpstreamBroken.code if stream.meter.failed else COMPLETE
        call.exchange.finish()
    finally:
        stream.tell(ending)


def _cleaner(attempt: Attempt) -> Callable[[bytes], bytes]:
    """Returns what takes all that stood for the key out of a piece of a reply, as `_scrubbed` does of a whole one."""

    def clean(piece: bytes) -> bytes:
        assert attempt.usable is not None
        if not attempt.candidate.endpoint.fidelity.scrub_errors:
            return piece
        return without_secret(piece, *attempt.usable.traces)

    return clean


async def _error_back(
    house: House, call: Call, attempt: Attempt, reply: Incoming, ending: Ending, *, last: bool
) -> bool:
    """Hands the provider's refusal back verbatim but for the leased secret; benches a dead key."""
    body, whole = await _gather(reply, HELD_BYTES)
    scrubbed = _scrubbed(attempt, reply, body if whole else None)
    found = ending.error_class = call.facts.error_class(reply.status, reply.headers, scrubbed.plain)
    ending.cause, ending.received = COMPLETE, reply.received
    version = attempt.candidate.version
    if attempt.usable is not None and (reply.status == 401 or attempts.benches_key(found)):
        house.credentials.refused(attempt.usable)
    if attempts.benches_key(found):
        house.health.bench(version.key, version.version, house.clock.now_us())
    if not last and attempts.may_try_again(found, answered=False):
        ending.final = False
        close(house, call, attempt, ending)
        return False
    close(house, call, attempt, ending)
    if call.front.unified and reply.status == 401:
        raise UpstreamAuth  # the caller's own token is fine: an SDK must not read this as its 401
    status, fields, told = reply.status, scrubbed.headers, scrubbed.body
    if call.voice is not None:
        status, told = call.voice.refused(reply.status, scrubbed.plain, found)
        fields = call.voice.reply_headers(scrubbed.headers, streamed=False)
    call.exchange.respond(status, governed(call, attempt, reply, fields), told)
    return True


def _scrubbed(attempt: Attempt, reply: Incoming, body: bytes | None) -> Scrubbed:
    """Removes all that stood for the key, unless the endpoint's owner switched that off; None is too long to read."""
    assert attempt.usable is not None
    if body is not None and not attempt.candidate.endpoint.fidelity.scrub_errors:
        plain = decoded(body, reply.get(b"content-encoding"))
        return Scrubbed(reply.headers, body, plain or b"", False)
    return scrub(reply.headers, body, *attempt.usable.traces)
