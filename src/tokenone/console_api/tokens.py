"""Routes of caller tokens.

Law: a token's text is in one answer, the one that makes it, and stored nowhere.
"""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tokenone.canonical import unb64
from tokenone.console_api.answers import MintedOut, TokenOut
from tokenone.console_api.deps import ConsoleDeps, act_of, deps_of
from tokenone.console_api.guard import GuardedRoute
from tokenone.console_api.pages import Cursor, Limit, Page, after_of, next_after
from tokenone.console_api.rows import shown, tag
from tokenone.console_api.shapes import Id, ReasonIn, TokenIn, TokenRotateIn
from tokenone.rows import Token
from tokenone.types import Mode

router = APIRouter(route_class=GuardedRoute, tags=["tokens"])


@router.post("/tokens", operation_id="token.create", status_code=201)
async def add_token(request: Request, response: Response, body: TokenIn) -> MintedOut:
    """Mints a caller token; its text is in this answer alone."""
    deps = deps_of(request)
    minted = await _mint(deps, body.mode)
    token = Token(
        id=minted["id"],
        workload=body.workload,
        digest=unb64(minted["digest"]),
        mode=body.mode,
        expires_us=body.expires_us,
        addresses=tuple(body.addresses),
        grants=tuple(body.grants),
    )
    stored = await deps.store.tokens.add(act_of(request), token)
    tag(response, stored.revision)
    return shown(MintedOut, stored.row, revision=stored.revision, text=minted["text"])


@router.get("/tokens", operation_id="token.list")
async def list_tokens(
    request: Request,
    tenant: Id | None = None,
    workload: Id | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[TokenOut]:
    tokens = deps_of(request).store.tokens
    found = await tokens.page(tenant=tenant, workload=workload, after=after_of(cursor), limit=limit)
    items = [shown(TokenOut, stored.row, revision=stored.revision) for stored in found]
    return Page(items=items, next=next_after([item.id for item in items], limit))


@router.get("/tokens/{id}", operation_id="token.get")
async def get_token(request: Request, response: Response, id: Id) -> TokenOut:
    stored = await deps_of(request).store.tokens.get(id)
    tag(response, stored.revision)
    return shown(TokenOut, stored.row, revision=stored.revision)


@router.post("/tokens/{id}/rotate", operation_id="token.rotate", status_code=201)
async def rotate(
    request: Request, response: Response, id: Id, body: TokenRotateIn | None = None
) -> MintedOut:
    """Mints a successor with the same rights; the old token expires after the grace."""
    deps = deps_of(request)
    old = (await deps.store.tokens.get(id)).row
    minted = await _mint(deps, old.mode)
    new = msgspec.structs.replace(old, id=minted["id"], digest=unb64(minted["digest"]))
    grace_us = (body or TokenRotateIn()).grace_us
    stored = await deps.store.tokens.rotate(act_of(request), id, new, grace_us)
    tag(response, stored.revision)
    return shown(MintedOut, stored.row, revision=stored.revision, text=minted["text"])


@router.post("/tokens/{id}/revoke", operation_id="token.revoke")
async def revoke(request: Request, response: Response, id: Id, body: ReasonIn | None = None) -> TokenOut:
    """Ends a token now; refused everywhere within two seconds."""
    act = msgspec.structs.replace(act_of(request), reason=body.reason if body else "")
    stored = await deps_of(request).store.tokens.revoke(act, id)
    tag(response, stored.revision)
    return shown(TokenOut, stored.row, revision=stored.revision)


async def _mint(deps: ConsoleDeps, mode: Mode) -> dict[str, Any]:
    return await deps.control.ask("token.mint", mode=mode)
