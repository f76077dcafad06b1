"""What bodies look like on their way in: the field names of `tokenone.rows`, bounded and checked.

Law: unknown fields are refused; numbers are numbers (no "5", no true for 1). Decisions are elsewhere.
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


def printable(text: str) -> str:
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
Name = Annotated[StrictStr, Field(min_length=1, max_length=200), AfterValidator(printable)]
Text = Annotated[StrictStr, Field(max_length=500), AfterValidator(printable)]
Whole = Annotated[StrictInt, Field(ge=0, le=MAX_INTEGER)]
Positive = Annotated[StrictInt, Field(ge=1, le=MAX_INTEGER)]
OriginText = Annotated[StrictStr, Field(max_length=300), AfterValidator(_origin)]
Address = Annotated[StrictStr, Field(max_length=64), AfterValidator(_address)]
Model = Annotated[StrictStr, Field(min_length=1, max_length=200), AfterValidator(printable)]
B64 = Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=131_072)]


ABSENT: Any = None
"""Default of a PATCH's fields: absent is "leave it", and an explicit null is refused."""


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


# ── signing in ─────────────────────────────────────────────────────────────────────────────────────────────
class SignIn(Shape):
    name: Annotated[StrictStr, Field(min_length=1, max_length=200)]
    password: Annotated[StrictStr, Field(min_length=1, max_length=1024)]


class Refresh(Shape):
    refresh_token: Annotated[StrictStr, Field(min_length=1, max_length=200)]


# ── scopes ─────────────────────────────────────────────────────────────────────────────────────────────────
class RestrictionsBody(Shape):
    models: Annotated[list[Model], Field(max_length=1000)] | None = None
    providers: Annotated[list[ProviderName], Field(max_length=20)] | None = None
    requests_per_minute: Positive | None = None
    concurrent: Positive | None = None


class DetectBody(Shape):
    request: ACTIONS = "flag"
    response: ACTIONS = "flag"


class FeeBody(Shape):
    flat_nano: Whole = 0
    share_ppm: Annotated[StrictInt, Field(ge=0, le=1_000_000)] = 0


class RateBody(Shape):
    provider: ProviderName
    model: Model
    input: Whole | None = None
    output: Whole | None = None
    cache_read: Whole | None = None
    cache_write: Whole | None = None
    search_units: Whole | None = None
    image_tokens: Whole | None = None


Rates = Annotated[list[RateBody], Field(max_length=1000)]
Staleness = Annotated[StrictInt, Field(ge=1_000_000, le=7 * DAY_US)]


class TenantIn(Shape):
    name: Name
    restrictions: RestrictionsBody = RestrictionsBody()
    detect: DetectBody = DetectBody()
    fee: FeeBody = FeeBody()
    staleness_us: Staleness = 600_000_000
    rates: Rates = []


class TenantPatch(Shape):
    name: Name = ABSENT
    closed: StrictBool = ABSENT
    restrictions: RestrictionsBody = ABSENT
    detect: DetectBody = ABSENT
    fee: FeeBody = ABSENT
    staleness_us: Staleness = ABSENT
    rates: Rates = ABSENT


class ProjectIn(Shape):
    tenant: Id
    name: Name
    restrictions: RestrictionsBody = RestrictionsBody()


class WorkloadIn(Shape):
    project: Id
    name: Name
    restrictions: RestrictionsBody = RestrictionsBody()


class ScopePatch(Shape):
    name: Name = ABSENT
    closed: StrictBool = ABSENT
    restrictions: RestrictionsBody = ABSENT


# ── endpoints ──────────────────────────────────────────────────────────────────────────────────────────────
class FidelityBody(Shape):
    clamp_encoding: StrictBool = True
    splice_usage: StrictBool = True
    scrub_errors: StrictBool = True


class EndpointIn(Shape):
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


# ── keys ───────────────────────────────────────────────────────────────────────────────────────────────────
class ChallengeIn(Shape):
    tenant: Id
    endpoint: Id


class KeyIn(Shape):
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


class ReasonIn(Shape):
    reason: Text = ""


# ── assignments and tokens ─────────────────────────────────────────────────────────────────────────────────
Weight = Annotated[StrictInt, Field(ge=1, le=10_000)]
Priority = Annotated[StrictInt, Field(ge=0, le=10_000)]


class AssignmentIn(Shape):
    key: Id
    kind: Literal["tenant", "project", "workload"]
    scope: Id
    weight: Weight = 100
    priority: Priority = 0


class AssignmentPatch(Shape):
    weight: Weight = ABSENT
    priority: Priority = ABSENT


class TokenIn(Shape):
    workload: Id
    mode: ModeName = "live"
    expires_us: Positive | None = None
    addresses: Annotated[list[Address], Field(max_length=100)] = []
    grants: Annotated[list[Grant], Field(min_length=1, max_length=2)] = ["inference"]


class TokenRotateIn(Shape):
    grace_us: Annotated[StrictInt, Field(ge=0, le=30 * DAY_US)] = DAY_US
