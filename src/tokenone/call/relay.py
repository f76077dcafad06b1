"""The reply on its way back: held or streamed, metered on a decoded copy, inspected, forwarded.

Law: bytes go back as they came, but for the withheld usage chunk, redactions and the scrubbed error body;
whatever happens, the attempt gets its outcome with what was metered so far. It never retries by itself: it
returns False where the page may go on to the next attempt.
"""

from __future__ import annotations

import asyncio
from typing import Final

from tokenone.call.house import Attempt, Call, House
from tokenone.call.settle import Ending, Settled, close
from tokenone.detect import StreamInspector, inspect_response
from tokenone.dispatch import attempts, forward, scrub
from tokenone.dispatch.decode import Decoder
from tokenone.errors import CallerGone, ContentBlocked, TokenOneError, UpstreamBroken
from tokenone.money import usd_text
from tokenone.types import Action, ErrorClass, Headers
from tokenone.wire import Incoming

HELD_BYTES: Final = 1 << 20


async def relay(house: House, call: Call, attempt: Attempt, reply: Incoming, *, last: bool) -> bool:
    """Hands the reply back; False when it was a dead key's refusal and another attempt may follow."""
    ending = Ending(status=reply.status)
    try:
        if reply.status >= 400:
            return await _error_back(house, call, attempt, reply, ending, last=last)
        if _is_event_stream(reply):
            await _stream_back(house, call, attempt, reply, ending)
        else:
            await _hold_back(house, call, attempt, reply, ending)
    except (asyncio.CancelledError, CallerGone):
        ending.cause = CallerGone.code if call.exchange.gone else "stopped"
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


def _is_event_stream(reply: Incoming) -> bool:
    return (reply.get(b"content-type") or b"").lower().startswith(b"text/event-stream")


def _encoding(reply: Incoming) -> bytes:
    return (reply.get(b"content-encoding") or b"").strip().lower()


def governed(call: Call, attempt: Attempt, reply: Incoming, settled: Settled | None = None) -> Headers:
    """Returns the provider's headers and ours: which key, how it routed, what it came to where known."""
    version = attempt.candidate.version
    headers = forward.response_headers(reply.headers)
    headers += [
        (b"x-tokenone-call", call.id.encode()),
        (b"x-tokenone-key", f"{version.key}/{version.version}".encode()),
        (b"x-tokenone-provider", call.front.provider.value.encode()),
        (b"x-tokenone-attempts", str(attempt.number).encode()),
        (b"x-tokenone-receipt", call.receipt.encode()),
    ]
    if reply.status >= 400:
        headers.append((b"x-tokenone-error-origin", b"provider"))
    if settled is not None and settled.cost is not None:
        headers.append((b"x-tokenone-cost", usd_text(settled.cost.total).encode()))
    if settled is not None and settled.fee is not None:
        headers.append((b"x-tokenone-fee", usd_text(settled.fee).encode()))
    return headers


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
    body, whole = await _gather(reply, HELD_BYTES)
    if not whole:
        await _stream_raw(call, attempt, reply, body)
        ending.model = call.model
        return
    plain = Decoder(_encoding(reply)).whole(body)
    _meter_held(call, plain, ending)
    body = _inspect_held(house, call, reply, body, plain, ending)
    ending.received = reply.received
    settled = close(house, call, attempt, ending)
    call.exchange.respond(reply.status, governed(call, attempt, reply, settled), body)


def _meter_held(call: Call, plain: bytes | None, ending: Ending) -> None:
    if plain is None or not plain:
        return
    ending.text_bytes = len(plain)
    metered = call.facts.read_usage(plain, call.front.path)
    ending.usage, ending.model = metered.usage, metered.model


def _inspect_held(
    house: House, call: Call, reply: Incoming, body: bytes, plain: bytes | None, ending: Ending
) -> bytes:
    """Runs the detectors over a whole reply; returns the bytes to hand back."""
    assert call.caller is not None
    action = call.caller.tenant.detect.response
    if action is Action.ALLOW or plain is None:
        return body
    inspection = inspect_response(plain, house.detectors, action)
    ending.verdict, ending.findings = inspection.verdict, inspection.findings
    if inspection.verdict is Action.BLOCK:
        raise ContentBlocked("found in the reply")
    if inspection.body is plain:
        return body
    reply.headers = [field for field in reply.headers if field[0].lower() != b"content-encoding"]
    return inspection.body


async def _stream_raw(call: Call, attempt: Attempt, reply: Incoming, first: bytes) -> None:
    """Passes a long reply through as it comes."""
    exchange = call.exchange
    exchange.start(reply.status, governed(call, attempt, reply), length=forward.content_length(reply.headers))
    if not exchange.write(first):
        await exchange.writable()
    while (chunk := await reply.chunk()) is not None:
        if not exchange.write(chunk):
            await exchange.writable()
    exchange.finish()


async def _stream_back(house: House, call: Call, attempt: Attempt, reply: Incoming, ending: Ending) -> None:
    """Streams events back: metered on a decoded copy, inspected, the unasked usage chunk withheld."""
    assert call.caller is not None
    exchange = call.exchange
    encoding = _encoding(reply)
    meter = call.facts.stream_meter(call.front.path, withhold_usage=call.spliced and not encoding)
    decoder = Decoder(encoding) if encoding else None
    action = call.caller.tenant.detect.response
    inspector = None
    if action is not Action.ALLOW:
        inspector = StreamInspector(house.detectors, action)
    exchange.start(reply.status, governed(call, attempt, reply))
    try:
        while (chunk := await reply.chunk()) is not None:
            if not attempt.first_us:
                attempt.first_us = house.clock.now_us()
                call.mark("first_byte", attempt.first_us)
            out = meter.feed(chunk if decoder is None else decoder.feed(chunk))
            if inspector is not None:
                out = inspector.feed(out)
                if inspector.blocked:
                    raise ContentBlocked("found in the reply")
            out = out if decoder is None else chunk
            if out and not exchange.write(out):
                await exchange.writable()
        out = meter.finish()
        if inspector is not None:
            out = inspector.feed(out) + inspector.finish()
            if inspector.blocked:
                raise ContentBlocked("found in the reply")
        if out and decoder is None:
            exchange.write(out)
        ending.cause = "complete" if not meter.failed else UpstreamBroken.code
        exchange.finish()
    finally:
        ending.usage, ending.model, ending.text_bytes = meter.usage, meter.model, meter.text_bytes
        if inspector is not None:
            ending.verdict, ending.findings = inspector.verdict, inspector.findings


async def _error_back(
    house: House, call: Call, attempt: Attempt, reply: Incoming, ending: Ending, *, last: bool
) -> bool:
    """Hands the provider's refusal back verbatim but for the leased secret; benches a dead key."""
    body, whole = await _gather(reply, HELD_BYTES)
    plain = Decoder(_encoding(reply)).whole(body)
    ending.error_class = call.facts.error_class(reply.status, reply.headers, plain or b"")
    ending.received = reply.received
    version = attempt.candidate.version
    if ending.error_class is ErrorClass.KEY_DEAD:
        house.health.bench(version.key, version.version, house.clock.now_us())
        if not last and attempts.may_follow_class(ending.error_class):
            ending.final = False
            close(house, call, attempt, ending)
            return False
    headers, body = _scrubbed(house, call, attempt, reply, body, plain if whole else None)
    close(house, call, attempt, ending)
    call.exchange.respond(reply.status, headers, body)
    return True


def _scrubbed(
    house: House, call: Call, attempt: Attempt, reply: Incoming, body: bytes, plain: bytes | None
) -> tuple[Headers, bytes]:
    assert call.caller is not None
    headers = governed(call, attempt, reply)
    candidate = attempt.candidate
    if not candidate.endpoint.fidelity.scrub_errors:
        return headers, body
    lease = house.vault.lease(
        candidate.key, candidate.version, candidate.endpoint, mode=call.caller.token.mode
    )
    headers = scrub.headers(headers, lease.secret)
    cleaned = scrub.body(plain if plain is not None else body, lease.secret)
    if plain is None or cleaned == plain:
        return headers, body if plain is not None else cleaned
    return [field for field in headers if field[0].lower() != b"content-encoding"], cleaned
