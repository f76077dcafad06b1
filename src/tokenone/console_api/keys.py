"""Routes of provider keys: the sealing key, challenges, taking in, and a key's states.

Law: what arrives is sealed and goes to a gateway as it came; the console cannot open it. Plain text is refused
unless the operator switched it on, and then it is sealed here before anything else is done with it.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tokenone.audit import Act
from tokenone.canonical import b64, unb64
from tokenone.console_api.answers import ChallengeOut, ContextOut, KeyOut, ProbeOut, SealingKeyOut
from tokenone.console_api.deps import ConsoleDeps, Desk, act_of, deps_of, desk_of
from tokenone.console_api.guard import GuardedRoute
from tokenone.console_api.pages import Cursor, Limit, Page, after_of, next_after
from tokenone.console_api.rows import tag
from tokenone.console_api.shapes import ChallengeIn, Id, KeyIn, KeyStateName, ProviderName, ReasonIn
from tokenone.errors import BadSecret, Conflict, IntegrityError, InvalidRequest, PlaintextIntakeOff
from tokenone.rows import Endpoint, Key, KeyVersion
from tokenone.store.keys import KeyView
from tokenone.types import KeyState, Provider, new_id
from tokenone.vault.envelope import origin_digest
from tokenone.vault.life import Event
from tokenone.vault.seal import SealContext, seal

FIRST: Final = 1
CHALLENGES_KEPT: Final = 10_000

router = APIRouter(route_class=GuardedRoute, tags=["keys"])


@router.get("/sealing-key", operation_id="sealing-key.get")
async def sealing_key(request: Request) -> SealingKeyOut:
    """Gives the public key that secrets are sealed to, with its fingerprint."""
    return SealingKeyOut.model_validate(await deps_of(request).control.ask("sealing-key"))


@router.post("/challenges", operation_id="challenge.create", status_code=201)
async def challenge(request: Request, body: ChallengeIn) -> ChallengeOut:
    """Gives a key id, a single-use challenge and everything that is sealed with the secret."""
    desk = desk_of(request)
    endpoint = await _usable_endpoint(desk.deps, body.tenant, body.endpoint)
    given = await _new_challenge(desk)
    context = _context(endpoint, body.tenant, new_id("key"), given)
    public = await desk.deps.control.ask("sealing-key")
    await desk.deps.store.trail.noted(act_of(request), context.key, body.tenant)
    return ChallengeOut(
        challenge=given,
        key_id=context.key,
        version=FIRST,
        context=ContextOut.model_validate(context, from_attributes=True),
        sealing_key=SealingKeyOut.model_validate(public),
    )


@router.post("/keys", operation_id="key.take-in", status_code=201)
async def add_key(request: Request, response: Response, body: KeyIn) -> KeyOut:
    """Takes a sealed secret in as a new key."""
    desk = desk_of(request)
    endpoint = await _usable_endpoint(desk.deps, body.tenant, body.endpoint)
    if endpoint.provider != body.provider:
        raise Conflict("the endpoint is of another provider")
    sealed, context = await _sealed(desk, endpoint, body)
    key = Key(
        id=context.key,
        tenant=body.tenant,
        provider=Provider(body.provider),
        endpoint=endpoint.id,
        name=body.name,
        mode=body.mode,
        expires_us=body.expires_us,
    )
    taken = await _take_in(desk, sealed, context, key, endpoint)
    view = await desk.deps.store.keys.add(
        act_of(request), key, _first_version(key, taken, desk.deps), str(taken["fingerprint"])
    )
    return _answer(response, view)


@router.get("/keys", operation_id="key.list")
async def list_keys(
    request: Request,
    tenant: Id | None = None,
    provider: ProviderName | None = None,
    state: KeyStateName | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[KeyOut]:
    keys = deps_of(request).store.keys
    found = await keys.page(
        tenant=tenant, provider=provider, state=state, after=after_of(cursor), limit=limit
    )
    return Page(
        items=[_shown(view) for view in found], next=next_after([view.key.id for view in found], limit)
    )


@router.get("/keys/{id}", operation_id="key.get")
async def get_key(request: Request, response: Response, id: Id) -> KeyOut:
    return _answer(response, await deps_of(request).store.keys.get(id))


@router.post("/keys/{id}/suspend", operation_id="key.suspend")
async def suspend(request: Request, response: Response, id: Id, body: ReasonIn | None = None) -> KeyOut:
    """Stops a key for now."""
    return await _advance(request, response, id, Event.SUSPEND, body)


@router.post("/keys/{id}/resume", operation_id="key.resume")
async def resume(request: Request, response: Response, id: Id, body: ReasonIn | None = None) -> KeyOut:
    """Takes a suspended key into use again."""
    return await _advance(request, response, id, Event.RESUME, body)


@router.post("/keys/{id}/compromise", operation_id="key.compromise")
async def compromise(request: Request, response: Response, id: Id, body: ReasonIn | None = None) -> KeyOut:
    """Somebody else may have it: refused everywhere within seconds, for good."""
    return await _advance(request, response, id, Event.COMPROMISE, body)


@router.post("/keys/{id}/destroy", operation_id="key.destroy")
async def destroy(request: Request, response: Response, id: Id, body: ReasonIn | None = None) -> KeyOut:
    """Drops the envelopes; a key in use is suspended first."""
    return await _advance(request, response, id, Event.DESTROY, body)


@router.post("/keys/{id}/test", operation_id="key.test")
async def probe(request: Request, id: Id) -> ProbeOut:
    """Has a gateway send the provider's cheapest authenticated request with this key."""
    deps = deps_of(request)
    key = (await deps.store.keys.get(id)).key
    found = await deps.control.ask("key.probe", key=id)
    await deps.store.trail.noted(act_of(request), id, key.tenant)
    return ProbeOut.model_validate(found)


# ── parts ──────────────────────────────────────────────────────────────────────────────────────────────────
async def _usable_endpoint(deps: ConsoleDeps, tenant: str, id: str) -> Endpoint:
    endpoint = (await deps.store.keys.endpoint(id)).row
    if endpoint.tenant not in (None, tenant):
        raise Conflict("the endpoint belongs to another tenant")
    return endpoint


def _context(endpoint: Endpoint, tenant: str, key: str, challenge: str) -> SealContext:
    return SealContext(
        tenant=tenant,
        provider=endpoint.provider.value,
        endpoint=endpoint.id,
        endpoint_digest=origin_digest(endpoint).hex(),
        key=key,
        challenge=challenge,
    )


async def _new_challenge(desk: Desk) -> str:
    given = await desk.deps.control.ask("challenge")
    if "slot" in given:
        desk.challenges[given["challenge"]] = given["slot"]
        if len(desk.challenges) > CHALLENGES_KEPT:
            desk.challenges.popitem(last=False)
    return str(given["challenge"])


async def _sealed(desk: Desk, endpoint: Endpoint, body: KeyIn) -> tuple[str, SealContext]:
    """Returns the sealed secret and its context; seals plain text here where that is allowed at all."""
    if body.secret is not None:
        if not desk.deps.allow_plaintext_intake:
            raise PlaintextIntakeOff
        public = await desk.deps.control.ask("sealing-key")
        context = _context(endpoint, body.tenant, new_id("key"), await _new_challenge(desk))
        return b64(seal(unb64(public["public"]), body.secret.encode("utf-8"), context)), context
    if body.sealed is None or body.challenge is None or body.key_id is None:
        raise InvalidRequest("send sealed, challenge and key_id; POST /challenges gives the latter two")
    return body.sealed, _context(endpoint, body.tenant, body.key_id, body.challenge)


async def _take_in(
    desk: Desk, sealed: str, context: SealContext, key: Key, endpoint: Endpoint
) -> dict[str, Any]:
    """Hands the sealed secret to the worker that gave its challenge; one that does not open is the caller's
    fault (another context, or a challenge that is used, old or unknown)."""
    try:
        return await desk.deps.control.ask(
            "key.take-in",
            slot=desk.challenges.pop(context.challenge, None),
            sealed=sealed,
            context=msgspec.to_builtins(context),
            key=msgspec.to_builtins(key),
            endpoint=msgspec.to_builtins(endpoint),
            version=FIRST,
        )
    except IntegrityError:
        raise BadSecret("the sealed secret does not open; take a new challenge and seal it again") from None


def _first_version(key: Key, taken: dict[str, Any], deps: ConsoleDeps) -> KeyVersion:
    now_us = deps.clock.now_us()
    return KeyVersion(
        key=key.id,
        version=FIRST,
        state=KeyState.ACTIVE,
        envelope=unb64(taken["envelope"]),
        masked=str(taken["masked"]),
        created_us=now_us,
        active_us=now_us,
    )


async def _advance(
    request: Request, response: Response, id: str, event: Event, body: ReasonIn | None
) -> KeyOut:
    act: Act = msgspec.structs.replace(act_of(request), reason=body.reason if body else "")
    return _answer(response, await deps_of(request).store.keys.advance(act, id, event))


def _shown(view: KeyView) -> KeyOut:
    content = msgspec.to_builtins(view.key) | {"versions": msgspec.to_builtins(view.versions)}
    return KeyOut.model_validate(content | {"revision": view.revision})


def _answer(response: Response, view: KeyView) -> KeyOut:
    tag(response, view.revision)
    return _shown(view)
