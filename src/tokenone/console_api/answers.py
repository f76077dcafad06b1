"""What answers look like: the field names of `tokenone.rows`, and nothing that is not listed here.

Law: no shape has a place for bytes, so no envelope, digest or wrapped key can slip out; `text` of a token just
made and the tokens of a session are the only secrets that an answer can hold.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from tokenone.console_api.shapes import (
    DetectBody,
    FeeBody,
    FidelityBody,
    KeyStateName,
    ModeName,
    ProviderName,
    RateBody,
    RestrictionsBody,
)


class SessionOut(BaseModel):
    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the scheme's name
    expires_in: int


class PersonOut(BaseModel):
    id: str
    name: str
    role: str
    tenant: str | None
    session: str


class TenantOut(BaseModel):
    id: str
    name: str
    closed: bool
    restrictions: RestrictionsBody
    detect: DetectBody
    fee: FeeBody
    staleness_us: int
    rates: list[RateBody]
    revision: int


class ProjectOut(BaseModel):
    id: str
    tenant: str
    name: str
    closed: bool
    restrictions: RestrictionsBody
    revision: int


class WorkloadOut(ProjectOut):
    project: str


class EndpointOut(BaseModel):
    id: str
    tenant: str | None
    provider: ProviderName
    name: str
    origins: list[str]
    base_path: str
    ca_pem: str | None
    models: list[str]
    fidelity: FidelityBody
    revision: int


class SealingKeyOut(BaseModel):
    public: str
    fingerprint: str


class ContextOut(BaseModel):
    purpose: str
    tenant: str
    provider: str
    endpoint: str
    endpoint_digest: str
    key: str
    challenge: str


class ChallengeOut(BaseModel):
    challenge: str
    key_id: str
    version: int
    context: ContextOut
    sealing_key: SealingKeyOut


class VersionOut(BaseModel):
    version: int
    state: KeyStateName
    masked: str
    fingerprint: str
    created_us: int
    active_us: int | None
    retire_us: int | None


class KeyOut(BaseModel):
    id: str
    tenant: str
    provider: ProviderName
    endpoint: str
    name: str
    mode: ModeName
    state: KeyStateName
    expires_us: int | None
    versions: list[VersionOut]
    revision: int


class ProbeOut(BaseModel):
    """`usable` is null when the provider could not be asked."""

    usable: bool | None
    status: int | None
    error_class: Annotated[str | None, Field(alias="class")]
    detail: str
    elapsed_us: int


class AssignmentOut(BaseModel):
    id: str
    key: str
    kind: str
    scope: str
    weight: int
    priority: int
    revision: int


class TokenOut(BaseModel):
    id: str
    workload: str
    mode: ModeName
    expires_us: int | None
    revoked_us: int | None
    addresses: list[str]
    grants: list[str]
    revision: int


class MintedOut(TokenOut):
    """The one answer with a caller token's text; null when it is a replay."""

    text: str | None


class CallFacts(BaseModel):
    id: str
    at_us: int
    tenant: str
    project: str
    workload: str
    token: str
    path: str
    provider: str | None
    model: str | None
    key: str | None
    ver: int | None
    outcome: str
    status: int | None
    error_class: Annotated[str | None, Field(alias="class")]
    code: str | None
    cause: str | None
    usage: dict[str, Any] | None
    cost_nano: int | None
    cost_source: str | None
    fee_nano: int | None


class CallOut(CallFacts):
    attempts: int


class AttemptOut(BaseModel):
    attempt: int
    slot: int
    seq: int
    at_us: int
    key: str
    ver: int
    provider: str
    endpoint: str
    origin: str
    method: str
    path: str
    model: str | None
    verdict: str | None
    closed_us: int | None
    status: int | None
    error_class: Annotated[str | None, Field(alias="class")]
    cause: str | None
    sent: int | None
    received: int | None
    usage: dict[str, Any] | None
    cost: dict[str, Any] | None
    cost_nano: int | None
    cost_source: str | None
    fee_nano: int | None


class CallDetailOut(CallFacts):
    attempts: list[AttemptOut]


class CostsOut(BaseModel):
    items: list[dict[str, Any]]
    from_us: int | None
    to_us: int | None


class EventOut(BaseModel):
    id: str
    at_us: int
    actor: str
    actor_name: str
    action: str
    target: str
    tenant: str | None
    outcome: str
    reason: str
    source: str
    request_id: str


class StatusOut(BaseModel):
    version: str
    revision: int
    database_us: int
    index: dict[str, int]
    gateway: dict[str, Any] | None
