"""The rows that decide: what people edit, as the gateway reads it. Frozen; the store makes them.

Law: a row carries everything a duty needs to decide without asking a database; ids are unique over all
tenants; absent restrictions are None, and None restricts nothing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec

from tokenone.types import Action, ErrorClass, KeyState, Mode, Provider, ScopeKind


class Restrictions(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a scope allows; over the scopes they intersect. Model patterns know `*` and match `provider/model`
    or `model`, whole and case-sensitive. Rates and concurrency are per scope over all workers."""

    models: tuple[str, ...] | None = None
    providers: tuple[str, ...] | None = None
    requests_per_minute: int | None = None
    concurrent: int | None = None


class DetectPolicy(msgspec.Struct, frozen=True, omit_defaults=True):
    """What happens to a finding, by direction."""

    request: Action = Action.FLAG
    response: Action = Action.FLAG


class FeeSchedule(msgspec.Struct, frozen=True, omit_defaults=True):
    """The routing-and-governance fee: flat nano-USD per call and a share of the cost in parts per million."""

    flat_nano: int = 0
    share_ppm: int = 0


class TenantRate(msgspec.Struct, frozen=True):
    """A tenant's own price: nano-USD per million tokens, or search units, by usage class; `model` may end in
    `*`."""

    provider: str
    model: str
    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    search_units: int | None = None
    image_tokens: int | None = None
    """Of embeddings that are billed by them, beside `input`."""


class Tenant(msgspec.Struct, frozen=True):
    id: str
    name: str
    closed: bool = False
    restrictions: Restrictions = Restrictions()
    detect: DetectPolicy = DetectPolicy()
    fee: FeeSchedule = FeeSchedule()
    staleness_us: int = 600_000_000
    commitment: bytes = b""
    """TKE1 envelope of the tenant's content-commitment key (purpose `commitment`)."""
    rates: tuple[TenantRate, ...] = ()


class TenantKek(msgspec.Struct, frozen=True, gc=False):
    """A tenant's key-encryption key, wrapped by the vault root."""

    tenant: str
    version: int
    root: str
    wrapped: bytes


class Project(msgspec.Struct, frozen=True):
    id: str
    tenant: str
    name: str
    closed: bool = False
    restrictions: Restrictions = Restrictions()


class Workload(msgspec.Struct, frozen=True):
    id: str
    tenant: str
    project: str
    name: str
    closed: bool = False
    restrictions: Restrictions = Restrictions()


class Fidelity(msgspec.Struct, frozen=True, omit_defaults=True):
    """The documented differences of the native path; each can be switched off."""

    clamp_encoding: bool = True
    splice_usage: bool = True
    scrub_errors: bool = True


class Endpoint(msgspec.Struct, frozen=True):
    """An immutable set of origins of one provider. `tenant` None means preset for everybody."""

    id: str
    tenant: str | None
    provider: Provider
    name: str
    origins: tuple[str, ...]
    """`https://host[:port]`; the first is the API."""
    base_path: str = ""
    ca_pem: str | None = None
    models: tuple[str, ...] = ()
    """Models beyond the price book that the endpoint is known to serve."""
    fidelity: Fidelity = Fidelity()


class Key(msgspec.Struct, frozen=True):
    """A provider key's immutable identity; the secrets are in its versions."""

    id: str
    tenant: str
    provider: Provider
    endpoint: str
    name: str
    mode: Mode = "live"
    state: KeyState = KeyState.ACTIVE
    """active, suspended or compromised: set for the key as a whole."""
    expires_us: int | None = None


class KeyVersion(msgspec.Struct, frozen=True):
    """One secret of a key. Its state at a time follows from `state` and the deadlines."""

    key: str
    version: int
    state: KeyState
    envelope: bytes
    """TKE1, empty once destroyed."""
    masked: str
    """What people may see of it, e.g. `sk-…a1b2`."""
    created_us: int
    active_us: int | None = None
    retire_us: int | None = None
    """End of the overlap: from then on it is retired whatever `state` says."""


class Assignment(msgspec.Struct, frozen=True, gc=False):
    """A grant: this key may be used from this scope. Lower `priority` first; equal ones share by `weight`."""

    id: str
    key: str
    kind: ScopeKind
    scope: str
    weight: int = 100
    priority: int = 0


class Token(msgspec.Struct, frozen=True):
    """A caller token at rest: `digest` is the HMAC under the token root's pepper."""

    id: str
    workload: str
    digest: bytes
    mode: Mode = "live"
    expires_us: int | None = None
    revoked_us: int | None = None
    addresses: tuple[str, ...] = ()
    grants: tuple[str, ...] = ("inference",)


class Strategy(StrEnum):
    """How a rule orders its targets."""

    PRIORITY = "priority"
    WEIGHTED = "weighted"
    CHEAPEST = "cheapest"
    FASTEST = "fastest"


class Capability(StrEnum):
    """What a call asks of a model beyond plain text; a rule may depend on it."""

    TOOLS = "tools"
    IMAGES = "images"
    DOCUMENTS = "documents"
    AUDIO = "audio"
    JSON = "json"
    REASONING = "reasoning"
    LOGPROBS = "logprobs"


class When(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The calls that a rule is for; every condition that is given has to hold, None asks for nothing."""

    min_bytes: int | None = None
    max_bytes: int | None = None
    """Length of the request's body, both ends included."""
    needs: tuple[Capability, ...] = ()
    """The call asks for every one of these."""
    stream: bool | None = None
    jurisdictions: tuple[str, ...] | None = None
    """The tenant demands that the call stays within these."""


class Target(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A model at a provider; without `model` the one that the caller named, without `endpoint` any of them."""

    provider: Provider
    model: str | None = None
    endpoint: str | None = None
    weight: int = 100


class RouteRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where calls that fit go: targets in the order in which `strategy` puts them."""

    targets: tuple[Target, ...]
    when: When = When()
    strategy: Strategy = Strategy.PRIORITY
    within: tuple[str, ...] | None = None
    """Endpoints of other jurisdictions, or of none that is known, are left out."""
    attempts: int = 2
    sticky_s: int = 0
    """How long a session stays where it was answered last; 0 is not at all."""
    cross_on_key_dead: bool = False
    """After a refusal of the key itself, or of its account, another provider may be tried."""
    fall_over: tuple[ErrorClass, ...] = (ErrorClass.KEY_DEAD,)
    """The provider's refusals after which the next target is tried."""


class Route(msgspec.Struct, frozen=True):
    """What a model's name means in a scope: an alias, or a pattern that ends in `*`. The first rule that fits
    decides."""

    id: str
    tenant: str
    kind: ScopeKind
    scope: str
    model: str
    rules: tuple[RouteRule, ...]


Row: TypeAlias = (
    Tenant | TenantKek | Project | Workload | Endpoint | Key | KeyVersion | Assignment | Token | Route
)


class Removed(msgspec.Struct, frozen=True, gc=False):
    """A row that is gone: its table's row class by name (`Assignment`) and its id."""

    table: str
    id: str


class Delta(msgspec.Struct, frozen=True):
    """What changed between two revisions; the first delta (since revision 0) is everything."""

    revision: int
    database_us: int
    rows: tuple[Row, ...] = ()
    removed: tuple[Removed, ...] = ()


class Candidate(msgspec.Struct, frozen=True):
    """A key that a scope may use, with the version that serves new calls and where it is assigned."""

    key: Key
    version: KeyVersion
    endpoint: Endpoint
    level: ScopeKind
    weight: int
    priority: int
