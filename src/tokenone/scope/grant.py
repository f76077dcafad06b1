"""Who calls, and whether they may: a token is proven, the caller admitted, the call permitted.

Law: nothing is said about a token before its digest matches; every way of not matching raises the same
`Unidentified`. What a scope allows is the intersection of all restrictions over it. Reads rows only from the
directory; records nothing (whoever calls does, denials too).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Final

import msgspec

from tokenone.errors import (
    AddressRefused,
    BadToken,
    GrantMissing,
    ModelDenied,
    PathDenied,
    ProviderDenied,
    ScopeClosed,
    TokenExpired,
    TokenRevoked,
    Unidentified,
)
from tokenone.keyed import Keyed
from tokenone.rows import Project, Tenant, Token, Workload
from tokenone.scope import token as form
from tokenone.scope.bearer import Credential, credential
from tokenone.scope.tree import Directory
from tokenone.types import Headers, PathClass, Provider, Scope, address_in

_NOBODY: Final = bytes(32)
"""Compared with when there is no such token, so that the same work is done."""

# Constants, because reading a member off its enum costs 0.2 µs in Python 3.11.
_ADMIN: Final = PathClass.ADMIN
_FREE: Final = PathClass.FREE
_INFERENCE: Final = PathClass.INFERENCE


class Caller(msgspec.Struct, frozen=True):
    """A proven token with the rows it stands in; `region` comes from a SigV4 signature."""

    token: Token
    scope: Scope
    tenant: Tenant
    project: Project
    workload: Workload
    region: str | None = None


def identify(
    directory: Directory, pepper: Keyed, *, headers: Headers, target: bytes, peer: str, now_us: int
) -> Caller:
    """Returns who calls: `credential`, then `prove`, then `admit`."""
    caller = prove(directory, pepper, credential(headers, target))
    admit(caller, peer, now_us)
    return caller


def prove(directory: Directory, pepper: Keyed, presented: Credential | None) -> Caller:
    """Returns the token's holder; raises Unidentified, always the same, unless the digest matches."""
    if presented is None:
        raise Unidentified
    try:
        parsed = form.parse(presented.text)
    except BadToken:
        raise Unidentified from None
    row = directory.token(parsed.id)
    digest = form.digest(pepper, presented.text)
    matches = hmac.compare_digest(digest, _NOBODY if row is None else row.digest)
    if row is None or not matches or row.mode != parsed.mode:
        raise Unidentified
    return _standing(directory, row, presented.region)


def _standing(directory: Directory, token: Token, region: str | None) -> Caller:
    """Joins the rows that a token stands in; rows that do not fit together identify nobody."""
    workload = directory.workload(token.workload)
    if workload is None:
        raise Unidentified
    project = directory.project(workload.project)
    tenant = directory.tenant(workload.tenant)
    if project is None or tenant is None or project.tenant != tenant.id:
        raise Unidentified
    scope = Scope(tenant.id, project.id, workload.id)
    return Caller(token, scope, tenant, project, workload, region)


def admit(caller: Caller, peer: str, now_us: int) -> None:
    """Raises TokenRevoked, TokenExpired, AddressRefused or ScopeClosed: told to proven callers only."""
    token = caller.token
    if token.revoked_us is not None and token.revoked_us <= now_us:
        raise TokenRevoked
    if token.expires_us is not None and token.expires_us <= now_us:
        raise TokenExpired
    if token.addresses and not any(_lies_in(peer, block) for block in token.addresses):
        raise AddressRefused
    if caller.workload.closed or caller.project.closed or caller.tenant.closed:
        raise ScopeClosed


def _lies_in(peer: str, block: str) -> bool:
    """Says whether the peer's address lies in the block; what does not parse admits nobody."""
    try:
        return address_in(peer, (block,))
    except ValueError:
        return False


def permit(
    directory: Directory, caller: Caller, provider: Provider, model: str | None, path_class: PathClass
) -> None:
    """Raises PathDenied, GrantMissing, ProviderDenied or ModelDenied unless every scope allows the call.

    An inference call whose model is not known is refused where any scope has a model list.
    """
    if path_class is _ADMIN:
        raise PathDenied
    if path_class is not _FREE and path_class not in caller.token.grants:
        raise GrantMissing
    rules = directory.rules(caller.scope)
    if not rules.allow_provider(provider):
        raise ProviderDenied
    if model is not None:
        if not rules.allow_model(provider, model):
            raise ModelDenied
    elif rules.models and path_class is _INFERENCE:
        raise ModelDenied("Your scope has a list of models and the request names none.")


def allowed_models(
    directory: Directory, caller: Caller, provider: Provider, models: Iterable[str]
) -> tuple[str, ...]:
    """Returns those of `models` that `permit` lets the caller use for inference, in the same order."""
    rules = directory.rules(caller.scope)
    if _INFERENCE not in caller.token.grants or not rules.allow_provider(provider):
        return ()
    return tuple(model for model in models if rules.allow_model(provider, model))
