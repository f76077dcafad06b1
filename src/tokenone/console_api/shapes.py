"""What bodies look like, in and out: the field names of `tokenone.rows`, bounded and checked.

Law: unknown fields are refused; numbers are numbers (no "5", no true for 1); no answer's shape has a place for
bytes, so no envelope, digest or wrapped key can slip out. Decisions are elsewhere.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from tokenone.canonical import MAX_INTEGER
from tokenone.clock import DAY_US
from tokenone.errors import ConfigRefused
from tokenone.types import parse_origin

ID_PATTERN = r"^[a-z0-9]{2,10}_[0-9a-z_-]{1,40}$"
ACTIONS = Literal["allow", "flag", "redact", "block"]
ProviderName = Literal[
    "openai", "anthropic", "bedrock", "azure", "gemini", "vertex", "openrouter", "cohere", "custom"
]
ModeName = Literal["live", "dev"]
KeyStateName = Literal["pending", "active", "retiring", "retired", "destroyed", "suspended", "compromised"]
Grant = Literal["inference", "stateful"]


def _printable(text: str) -> str:
    if any(ord(sign) < 0x20 or ord(sign) == 0x7F for sign in text):
        raise ValueError("no control characters")
    return text


def _origin(text: str) -> str:
    try:
        return str(parse_origin(text))
    except ConfigRefused as refused:
        raise ValueError(refused.detail) from None


def _address(text: str) -> str:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError("an address or CIDR block") from None
    return text


Id = Annotated[StrictStr, Field(pattern=ID_PATTERN)]
Name = Annotated[StrictStr, Field(min_length=1, max_length=200), AfterValidator(_printable)]
Text = Annotated[StrictStr, Field(max_length=500), AfterValidator(_printable)]
Whole = Annotated[StrictInt, Field(ge=0, le=MAX_INTEGER)]
Positive = Annotated[StrictInt, Field(ge=1, le=MAX_INTEGER)]
OriginText = Annotated[StrictStr, Field(max_length=300), AfterValidator(_origin)]
Address = Annotated[StrictStr, Field(max_length=64), AfterValidator(_address)]
Model = Annotated[StrictStr, Field(min_length=1, max_length=200), AfterValidator(_printable)]
B64 = Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=131_072)]


ABSENT: Any = None
"""Default of a PATCH's fields: absent is "leave it", and an explicit null is refused."""


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


# ── signing in ─────────────────────────────────────────────────────────────────────────────────────────────
class SignIn(_In):
    name: Annotated[StrictStr, Field(min_length=1, max_length=200)]
    password: Annotated[StrictStr, Field(min_length=1, max_length=1024)]


class Refresh(_In):
    refresh_token: Annotated[StrictStr, Field(min_length=1, max_length=200)]


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


# ── scopes ─────────────────────────────────────────────────────────────────────────────────────────────────
class RestrictionsBody(_In):
    models: Annotated[list[Model], Field(max_length=1000)] | None = None
    providers: Annotated[list[ProviderName], Field(max_length=20)] | None = None
    requests_per_minute: Positive | None = None
    concurrent: Positive | None = None


class DetectBody(_In):
    request: ACTIONS = "flag"
    response: ACTIONS = "flag"


class FeeBody(_In):
    flat_nano: Whole = 0
    share_ppm: Annotated[StrictInt, Field(ge=0, le=1_000_000)] = 0


class RateBody(_In):
    provider: ProviderName
    model: Model
    input: Whole | None = None
    output: Whole | None = None
    cache_read: Whole | None = None
    cache_write: Whole | None = None


Rates = Annotated[list[RateBody], Field(max_length=1000)]
Staleness = Annotated[StrictInt, Field(ge=1_000_000, le=7 * DAY_US)]


class TenantIn(_In):
    name: Name
    restrictions: RestrictionsBody = RestrictionsBody()
    detect: DetectBody = DetectBody()
    fee: FeeBody = FeeBody()
    staleness_us: Staleness = 600_000_000
    rates: Rates = []


class TenantPatch(_In):
    name: Name = ABSENT
    closed: StrictBool = ABSENT
    restrictions: RestrictionsBody = ABSENT
    detect: DetectBody = ABSENT
    fee: FeeBody = ABSENT
    staleness_us: Staleness = ABSENT
    rates: Rates = ABSENT


class ProjectIn(_In):
    tenant: Id
    name: Name
    restrictions: RestrictionsBody = RestrictionsBody()


class WorkloadIn(_In):
    project: Id
    name: Name
    restrictions: RestrictionsBody = RestrictionsBody()


class ScopePatch(_In):
    name: Name = ABSENT
    closed: StrictBool = ABSENT
    restrictions: RestrictionsBody = ABSENT


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


# ── endpoints ──────────────────────────────────────────────────────────────────────────────────────────────
class FidelityBody(_In):
    clamp_encoding: StrictBool = True
    splice_usage: StrictBool = True
    scrub_errors: StrictBool = True


class EndpointIn(_In):
    tenant: Id | None = None
    provider: ProviderName
    name: Name
    origins: Annotated[list[OriginText], Field(min_length=1, max_length=10)]
    base_path: Annotated[StrictStr, Field(max_length=200, pattern=r"^(/[A-Za-z0-9._~-]+)*$")] = ""
    ca_pem: (
        Annotated[
            StrictStr, Field(max_length=100_000, pattern=r"^-----BEGIN CERTIFICATE-----[\sA-Za-z0-9+/=-]+$")
        ]
        | None
    ) = None
    models: Annotated[list[Model], Field(max_length=1000)] = []
    fidelity: FidelityBody = FidelityBody()


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


# ── keys ───────────────────────────────────────────────────────────────────────────────────────────────────
class SealingKeyOut(BaseModel):
    public: str
    fingerprint: str


class ChallengeIn(_In):
    tenant: Id
    endpoint: Id


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


class KeyIn(_In):
    key_id: Annotated[StrictStr, Field(pattern=r"^key_[0-9a-hjkmnp-tv-z]{20}$")] | None = None
    challenge: Annotated[StrictStr, Field(min_length=1, max_length=200)] | None = None
    tenant: Id
    provider: ProviderName
    endpoint: Id
    name: Name
    mode: ModeName = "live"
    expires_us: Positive | None = None
    sealed: B64 | None = None
    secret: Annotated[StrictStr, Field(min_length=1, max_length=65_536)] | None = None


class ReasonIn(_In):
    reason: Text = ""


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


# ── assignments and tokens ─────────────────────────────────────────────────────────────────────────────────
Weight = Annotated[StrictInt, Field(ge=1, le=10_000)]
Priority = Annotated[StrictInt, Field(ge=0, le=10_000)]


class AssignmentIn(_In):
    key: Id
    kind: Literal["tenant", "project", "workload"]
    scope: Id
    weight: Weight = 100
    priority: Priority = 0


class AssignmentPatch(_In):
    weight: Weight = ABSENT
    priority: Priority = ABSENT


class AssignmentOut(BaseModel):
    id: str
    key: str
    kind: str
    scope: str
    weight: int
    priority: int
    revision: int


class TokenIn(_In):
    workload: Id
    mode: ModeName = "live"
    expires_us: Positive | None = None
    addresses: Annotated[list[Address], Field(max_length=100)] = []
    grants: Annotated[list[Grant], Field(min_length=1, max_length=2)] = ["inference"]


class TokenRotateIn(_In):
    grace_us: Annotated[StrictInt, Field(ge=0, le=30 * DAY_US)] = DAY_US


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


# ── records ────────────────────────────────────────────────────────────────────────────────────────────────
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


# ── queries ────────────────────────────────────────────────────────────────────────────────────────────────
Moment = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
Word = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
GROUPS = ("tenant", "project", "workload", "key", "provider", "model", "day")


class _Window(_In):
    from_us: Moment | None = None
    to_us: Moment | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, Field(max_length=256, pattern=r"^[A-Za-z0-9_-]+$")] | None = None

    def columns(self) -> dict[str, str | None]:
        """Returns the filters by column."""
        return self.model_dump(exclude={"from_us", "to_us", "limit", "cursor"})


class CallFilter(_Window):
    tenant: Id | None = None
    project: Id | None = None
    workload: Id | None = None
    token: Id | None = None
    key: Id | None = None
    provider: ProviderName | None = None
    model: Word | None = None
    outcome: Literal["open", "ok", "failed", "refused", "unknown"] | None = None


class EventFilter(_Window):
    actor: Word | None = None
    action: Word | None = None
    target: Word | None = None
    tenant: Id | None = None
    outcome: Literal["ok", "refused"] | None = None


def _groups(text: str) -> str:
    names = text.split(",")
    if len(set(names)) != len(names) or not set(names) <= set(GROUPS):
        raise ValueError("a comma list of " + ", ".join(GROUPS))
    return text


class CostsQuery(_In):
    group_by: Annotated[str, Field(max_length=100), AfterValidator(_groups)] = "tenant"
    tenant: Id | None = None
    from_us: Moment | None = None
    to_us: Moment | None = None

    def groups(self) -> list[str]:
        return self.group_by.split(",")
