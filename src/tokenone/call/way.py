"""One governed call on one page.

    1 identify   the caller's token → workload, project, tenant; before the body, so that nobody unknown
                 fills memory
    0 receive    the body, bounded; model and stream peeked from it without re-serialising
    2 permit     lists, grants, limits; restrictions intersect
    3 inspect    detectors on the content
    4 plan       ordered attempts among the keys of this scope, never another's
    5 open       the signed intent is durable; it is the audited key access
    6 dispatch   lease the key (a reference is read, a token asked for), put the credential on, send
    7 close      the outcome, with the next commit
    8 settle     usage → cost at the provider's price; the fee as its own line
    9 hand back  the provider's own status, headers and body

Law: what cannot be recorded does not happen; every intent gets exactly one outcome. This page raises; the
door maps errors to the caller's dialect and records refusals.
"""

from __future__ import annotations

import asyncio

from tokenone.call import record
from tokenone.call.credentials import Usable
from tokenone.call.house import Attempt, Call, House
from tokenone.call.relay import LONG_BODY, inspected, relay
from tokenone.call.settle import Ending, close, why_ended
from tokenone.call.unified import take_over
from tokenone.dispatch import attempts, forward
from tokenone.dispatch.credential import Unsigned
from tokenone.errors import (
    ContentBlocked,
    DirectoryStale,
    KeyUnusable,
    MalformedBody,
    ModelMissing,
    NoKeyInScope,
    TokenOneError,
    UnknownPath,
)
from tokenone.rows import Candidate
from tokenone.scope import admit, credential, permit, prove
from tokenone.types import Action, PathClass, parse_origin
from tokenone.wire.client import Outgoing
from tokenone.wire.upstream import Incoming


async def govern(house: House, call: Call) -> None:
    """Takes one call from its token to its outcome."""
    call.task = asyncio.current_task()
    call.exchange.on_gone(lambda: _hang_up(call))
    _identify(house, call)  # 1
    call.mark("identify")
    await _receive(house, call)  # 0
    _permit(house, call)  # 2
    try:
        await _inspect(house, call)  # 3
        _plan(house, call)  # 4
        await _try_in_order(house, call)  # 5 to 9
    finally:
        if call.permit is not None:
            call.permit.release()


def _hang_up(call: Call) -> None:
    """The caller is gone: whatever the call waits for is given up; its outcome is still written."""
    if call.task is not None:
        call.task.cancel()


def _identify(house: House, call: Call) -> None:
    """Finds out who calls; asked anew after every wait that may take minutes, for tokens are revoked meanwhile."""
    head = call.exchange.head
    now_us = house.clock.now_us()
    presented = credential(head.headers, head.target)
    call.caller = prove(house.directory, house.pepper, presented)  # from here on refusals are entries
    admit(call.caller, call.exchange.peer, now_us)
    if house.directory.stale(call.caller.tenant, house.clock):
        raise DirectoryStale


async def _receive(house: House, call: Call) -> None:
    waits = not call.exchange.received
    call.body = await call.exchange.body()
    if waits:
        _identify(house, call)
    if call.path_class is PathClass.INFERENCE:
        _peek(call)
        if call.model is None and call.front.path not in call.facts.model_optional:
            raise ModelMissing
    if call.front.unified:
        _resolve(house, call)
    call.mark("receive")


def _peek(call: Call) -> None:
    head = call.exchange.head
    content_type = head.get(b"content-type")
    if content_type is not None and len(head.all(b"content-type")) > 1:
        raise MalformedBody("Content-Type stands more than once, and each may show another model")
    call.peek = call.facts.peek(call.body, content_type.decode("latin-1") if content_type else None)
    call.model = call.facts.model_in(call.front.path) or call.peek.model


def _resolve(house: House, call: Call) -> None:
    """Finds out what the unified front's model name means, and puts the provider's own name in its place."""
    assert call.caller is not None
    if call.path_class is not PathClass.INFERENCE:
        raise UnknownPath("this path is not served at the unified front; use the provider's own for it")
    if call.model is None:
        return
    endpoints = house.directory.endpoints_for(call.caller.scope.tenant)
    resolved = house.catalog.resolve(call.model, endpoints)
    if (resolved.provider, resolved.model) != (call.front.provider, call.model):
        take_over(call, resolved)
        _peek(call)


def _permit(house: House, call: Call) -> None:
    assert call.caller is not None
    for model in (call.model, *(call.peek.also if call.peek is not None else ())):
        permit(house.directory, call.caller, call.front.provider, model, call.path_class)
    call.permit = house.limits.acquire(call.caller, house.clock.monotonic_us())
    call.mark("permit")


async def _inspect(house: House, call: Call) -> None:
    assert call.caller is not None
    action = call.caller.tenant.detect.request
    if action is Action.ALLOW or not call.body:
        return
    if action in (Action.REDACT, Action.BLOCK) and _is_encoded(call):
        raise ContentBlocked("the body's encoding hides what is in it; send it as it is")
    inspection = await inspected(call.body, house, action)
    call.verdict, call.findings = inspection.verdict, inspection.findings
    if inspection.verdict is Action.BLOCK:
        raise ContentBlocked(f"found: {', '.join(str(rule) for rule in record.rules(inspection.findings))}")
    if inspection.body is not call.body:
        call.body = inspection.body
        if call.peek is not None:
            _peek(call)
    call.mark("inspect")


def _is_encoded(call: Call) -> bool:
    codings = call.exchange.head.all(b"content-encoding")
    return any(coding.lower() not in (b"identity", b"") for coding in codings)


def _plan(house: House, call: Call) -> None:
    assert call.caller is not None
    now_us = house.clock.now_us()
    caller = call.caller
    candidates = house.directory.candidates(caller.scope, call.front.provider, now_us, caller.token.mode)
    if call.front.endpoint is not None:
        candidates = tuple(one for one in candidates if one.endpoint.name == call.front.endpoint)
        if not candidates:
            raise NoKeyInScope("no key in this scope belongs to an endpoint of that name")
    if call.front.unified and call.model is not None:
        candidates = house.catalog.serving(candidates, call.model)
        if not candidates:
            raise NoKeyInScope("no key in this scope belongs to an endpoint that serves the model")
    call.plan = house.planner.plan(
        candidates, seed=now_us, benched=lambda key, version: house.health.benched(key, version, now_us)
    )
    call.mark("plan")


async def _try_in_order(house: House, call: Call) -> None:
    assert call.plan is not None
    planned = call.plan.attempts
    for number, candidate in enumerate(planned, 1):
        attempt = call.attempt = Attempt(number, candidate)
        house.running.enter(candidate.key.id, call)
        try:
            if number > 1:
                attempt.candidate = _as_of_now(house, call, candidate)
            if await _attempt(house, call, attempt, last=number == len(planned)):
                return
        except BaseException as error:  # whatever ends it, its intent gets the outcome
            if attempt.owes_outcome:
                cut = isinstance(error, asyncio.CancelledError)
                close(house, call, attempt, Ending(cause=why_ended(call) if cut else TokenOneError.code))
            raise
        finally:
            house.running.leave(candidate.key.id, call)


def _as_of_now(house: House, call: Call, planned: Candidate) -> Candidate:
    """Returns a planned key as the scope has it now: the attempt before may have taken minutes."""
    _identify(house, call)
    assert call.caller is not None
    caller, now_us = call.caller, house.clock.now_us()
    for one in house.directory.candidates(caller.scope, call.front.provider, now_us, caller.token.mode):
        if one.key.id == planned.key.id:
            return one
    raise KeyUnusable("the next key was taken away while the call waited")


async def _attempt(house: House, call: Call, attempt: Attempt, *, last: bool) -> bool:
    """Opens, dispatches, relays; False when nothing reached the caller and the next key may be tried."""
    await _open(house, call, attempt)
    try:
        reply = await _dispatch(house, call, attempt)
    except TokenOneError as error:
        version = attempt.candidate.version
        if attempts.benches_key(error):
            house.health.bench(version.key, version.version, house.clock.now_us())
        again = not last and attempts.may_try_again(error, answered=False, sent=attempt.sent)
        close(house, call, attempt, Ending.failed(error, final=not again))
        if again:
            return False
        raise
    return await relay(house, call, attempt, reply, last=last)


async def _open(house: House, call: Call, attempt: Attempt) -> None:
    """Splices what this endpoint needs, then makes the intent durable."""
    assert call.caller is not None
    endpoint = attempt.candidate.endpoint
    if call.peek is not None and endpoint.fidelity.splice_usage and not call.spliced:
        spliced = call.facts.splice(call.body, call.peek, call.front.path)
        call.spliced = spliced is not call.body
        call.body = spliced
    commitment = await _committed_to(house, call)
    fields = record.intent(call, attempt, commitment)
    attempt.intent = house.ledger.append("intent", fields)
    house.recent.expect(call.id, "intent", fields, attempt.intent)
    committed = await attempt.intent
    call.receipt = committed.receipt()
    house.recent.note(call.id, "receipt", {"attempt": attempt.number, "receipt": call.receipt})
    call.mark("intent")


async def _committed_to(house: House, call: Call) -> str:
    """Returns the keyed commitment to the body; a long one is hashed beside the loop."""
    assert call.caller is not None
    keyed = house.vault.content_key(call.caller.tenant)
    if len(call.body) < LONG_BODY:
        return keyed.mac(call.body).hex()
    return (await asyncio.to_thread(keyed.mac, call.body)).hex()


async def _dispatch(house: House, call: Call, attempt: Attempt) -> Incoming:
    """Leases the key and sends; returns once the reply's head is here."""
    assert call.caller is not None
    candidate, head = attempt.candidate, call.exchange.head
    endpoint = candidate.endpoint
    attempt.usable = await _usable(house, call, candidate)
    origin = parse_origin(endpoint.origins[0])
    target = call.facts.place(endpoint, call.front.path)
    if call.voice is None:
        clamp, identity = endpoint.fidelity.clamp_encoding, _must_read(call)
        headers = forward.request_headers(head.headers, clamp=clamp, identity=identity)
        target += forward.request_query(head.target)
    else:
        headers, target = call.voice.headers(), target + call.voice.query
    unsigned = Unsigned(
        head.method, origin.authority.encode("ascii"), target, headers, call.body, house.clock.now_us()
    )
    outgoing = Outgoing(
        origin=origin,
        pool=(call.caller.scope.tenant, candidate.key.id, candidate.version.version),
        method=head.method,
        target=target,
        headers=call.facts.credential(unsigned, attempt.usable.secret),
        body=call.body,
        timeouts=house.timeouts,
        ca_pem=endpoint.ca_pem,
    )
    reply = await house.client.send(outgoing, attempt.written)
    call.mark("head")
    return reply


async def _usable(house: House, call: Call, candidate: Candidate) -> Usable:
    """Returns what stands for the key; where it was waited for, everything that allows it is asked anew."""
    assert call.caller is not None
    mode = call.caller.token.mode
    usable = await house.credentials.of(candidate, mode)
    if not usable.waited:
        return usable
    call.mark("lease")
    now = _as_of_now(house, call, candidate)
    versions = {version.version: version for version in house.directory.versions(now.key.id)}
    house.vault.lease(now.key, versions[candidate.version.version], now.endpoint, mode=mode)
    return usable


def _must_read(call: Call) -> bool:
    """Says whether the reply must come uncompressed: a usage chunk is withheld or content may be changed."""
    assert call.caller is not None
    return call.spliced or call.caller.tenant.detect.response in (Action.REDACT, Action.BLOCK)
