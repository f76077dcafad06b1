"""What bodies and answers about routes look like: the field names of `tokenone.rows`, bounded and checked.

Law: as for all shapes: unknown fields are refused, numbers are numbers; decisions are elsewhere. The bounds are
those of docs/spec/routes.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, StrictBool, StrictInt, StrictStr

from tokenone.canonical import MAX_INTEGER
from tokenone.clock import DAY_US, SECOND_US
from tokenone.console_api.shapes import Id, Model, ModeName, ProviderName, Shape, printable
from tokenone.route.router import MOST_ATTEMPTS

MOST_RULES = 20
MOST_TARGETS = 16

StrategyName = Literal["priority", "weighted", "cheapest", "fastest"]
CapabilityName = Literal["tools", "images", "documents", "audio", "json", "reasoning", "logprobs"]
FallOver = Literal["key-dead", "billing", "rate", "model-denied", "upstream"]
ScopeName = Literal["tenant", "project", "workload"]


def _alias(text: str) -> str:
    if text != text.strip():
        raise ValueError("no white space around a name")
    return text


def _key_dead() -> list[str]:
    return ["key-dead"]


Alias = Annotated[
    StrictStr, Field(min_length=1, max_length=200), AfterValidator(printable), AfterValidator(_alias)
]
Bytes = Annotated[StrictInt, Field(ge=0, le=MAX_INTEGER)]
Jurisdiction = Annotated[StrictStr, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Jurisdictions = Annotated[list[Jurisdiction], Field(min_length=1, max_length=50)]
Session = Annotated[StrictStr, Field(min_length=1, max_length=200), AfterValidator(printable)]


class WhenBody(Shape):
    min_bytes: Bytes | None = None
    max_bytes: Bytes | None = None
    needs: Annotated[list[CapabilityName], Field(max_length=7, default_factory=list)]
    stream: StrictBool | None = None
    jurisdictions: Jurisdictions | None = None


class TargetBody(Shape):
    provider: ProviderName
    model: Model | None = None
    endpoint: Id | None = None
    weight: Annotated[StrictInt, Field(ge=0, le=10_000)] = 100


class RouteRuleBody(Shape):
    targets: Annotated[list[TargetBody], Field(min_length=1, max_length=MOST_TARGETS)]
    when: WhenBody = WhenBody(needs=[])
    strategy: StrategyName = "priority"
    within: Jurisdictions | None = None
    attempts: Annotated[StrictInt, Field(ge=1, le=MOST_ATTEMPTS)] = 2
    sticky_s: Annotated[StrictInt, Field(ge=0, le=DAY_US // SECOND_US)] = 0
    cross_on_key_dead: StrictBool = False
    fall_over: Annotated[list[FallOver], Field(max_length=5, default_factory=_key_dead)]


class RouteIn(Shape):
    kind: ScopeName
    scope: Id
    model: Alias
    rules: Annotated[list[RouteRuleBody], Field(min_length=1, max_length=MOST_RULES)]


class RouteOut(BaseModel):
    id: str
    tenant: str
    kind: ScopeName
    scope: str
    model: str
    rules: list[RouteRuleBody]
    revision: int


class ExplainIn(Shape):
    workload: Id
    model: Annotated[StrictStr, Field(max_length=200), AfterValidator(printable)]
    mode: ModeName = "live"
    provider: ProviderName | None = None
    body_bytes: Bytes = 0
    stream: StrictBool = False
    needs: Annotated[list[CapabilityName], Field(max_length=7, default_factory=list)]
    session: Session | None = None


class AskedOut(BaseModel):
    """A rule that was looked at, and what it said to the call."""

    route: str
    number: int
    verdict: str


class LineOut(BaseModel):
    """A key, or a target without one: its place in the plan from 1, or null and why."""

    order: int | None
    provider: str
    model: str
    key: str | None
    version: int | None
    endpoint: str | None
    level: str | None
    priority: int | None
    weight: int | None
    price_nano: int | None
    first_byte_us: int | None
    why: str


class ExplanationOut(BaseModel):
    model: str
    route: str | None
    rule: int | None
    strategy: str | None
    attempts: int | None
    refusal: str | None
    rules: list[AskedOut]
    lines: list[LineOut]
