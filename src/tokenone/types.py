"""The words that rooms share: ids, providers, scopes, origins, usage, verdicts.

Law: values only, frozen; nothing here does I/O or imports a duty. Times are integer microseconds since 1970.
"""

from __future__ import annotations

import ipaddress
import secrets
from enum import StrEnum
from functools import lru_cache
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

from tokenone.errors import ConfigRefused

Headers: TypeAlias = list[tuple[bytes, bytes]]
"""Header fields in arrival order, names as received (any case), values without surrounding white space."""

ScopeKind: TypeAlias = Literal["tenant", "project", "workload"]
Mode: TypeAlias = Literal["live", "dev"]

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str) -> str:
    """Returns `prefix_` and 100 random bits in Crockford's base32 (20 characters)."""
    number = secrets.randbits(100)
    return f"{prefix}_" + "".join(_ALPHABET[(number >> shift) & 31] for shift in range(95, -1, -5))


class Ids:
    """Makes ids of one kind fast: `prefix_` and 80 random bits in hex, the system's randomness drawn in blocks."""

    __slots__ = ("_block", "_prefix")

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._block: list[str] = []

    def new(self) -> str:
        """Returns a new id."""
        if not self._block:
            drawn = secrets.token_bytes(10 * 256).hex()
            self._block = [drawn[at : at + 20] for at in range(0, len(drawn), 20)]
        return f"{self._prefix}_{self._block.pop()}"


class Provider(StrEnum):
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    BEDROCK = "bedrock"
    AZURE = "azure"
    GEMINI = "gemini"
    VERTEX = "vertex"
    OPENROUTER = "openrouter"
    COHERE = "cohere"
    CUSTOM = "custom"


class Dialect(StrEnum):
    """Whose error shapes a caller expects."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GOOGLE = "google"
    AWS = "aws"


class PathClass(StrEnum):
    """inference: the default grant; free: costs nothing (GET models); stateful: own grant; admin: refused."""

    INFERENCE = "inference"
    FREE = "free"
    STATEFUL = "stateful"
    ADMIN = "admin"


class KeyState(StrEnum):
    PENDING = "pending"
    ACTIVE = "active"
    RETIRING = "retiring"
    RETIRED = "retired"
    DESTROYED = "destroyed"
    SUSPENDED = "suspended"
    COMPROMISED = "compromised"


class Action(StrEnum):
    """What a tenant lets a detector do; the order is the order of severity."""

    ALLOW = "allow"
    FLAG = "flag"
    REDACT = "redact"
    BLOCK = "block"


class ErrorClass(StrEnum):
    """What an upstream's refusal means for the key and for the caller."""

    KEY_DEAD = "key-dead"
    BILLING = "billing"
    RATE = "rate"
    MODEL_DENIED = "model-denied"
    CALLER = "caller"
    UPSTREAM = "upstream"
    UNKNOWN = "unknown"


class CostSource(StrEnum):
    PROVIDER_REPORTED = "provider-reported"
    PRICE_BOOK = "price-book"
    TENANT_RATE = "tenant-rate"
    UNPRICED = "unpriced"


class Scope(msgspec.Struct, frozen=True, gc=False):
    """Where a caller stands: a workload in a project in a tenant."""

    tenant: str
    project: str
    workload: str


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Scheme, host (lower case, brackets off) and port of a server that the gateway may dial."""

    scheme: Literal["https", "http"]
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        return f"{self.scheme}://{host}" + ("" if self.port == default else f":{self.port}")

    @property
    def authority(self) -> str:
        """The Host header's value."""
        return str(self).split("://", 1)[1]


@lru_cache(maxsize=1024)
def parse_origin(text: str) -> Origin:
    """Parses `https://host[:port]`; refuses paths, credentials, queries and other schemes."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ConfigRefused("an origin is https://host or https://host:port") from None
    surplus = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in ("https", "http") or not parts.hostname or surplus:
        raise ConfigRefused("an origin is https://host or https://host:port")
    scheme: Literal["https", "http"] = "https" if parts.scheme == "https" else "http"
    return Origin(scheme, parts.hostname.lower(), port or (443 if scheme == "https" else 80))


def is_loopback(host: str) -> bool:
    """Says whether a host to listen on is reachable from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def address_in(address: str, blocks: tuple[str, ...]) -> bool:
    """Says whether an IP address lies in one of the CIDR blocks (IPv4-mapped IPv6 counts as IPv4)."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    networks = (ipaddress.ip_network(block, strict=False) for block in blocks)
    return any(parsed.version == network.version and parsed in network for network in networks)


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Normalised token counts; None is *not reported*, 0 is *reported as zero*.

    `input` and `output` are totals: `input` includes cache reads, cache writes (`cache_write_1h` is part of
    `cache_write`), audio, images and video; `output` includes reasoning, audio, images and video. Providers
    that count otherwise are converted where their bodies are read (OpenAI includes cache in input, Anthropic
    does not).
    """

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    input_audio: int | None = None
    output_audio: int | None = None
    cache_read_audio: int | None = None
    input_image: int | None = None
    output_image: int | None = None
    input_video: int | None = None
    output_video: int | None = None
    audio_seconds: int | None = None
    """Seconds of audio, where the provider bills time instead of tokens."""
    server_tools: dict[str, int] | None = None
    tier: str | None = None
    speed: str | None = None
    geo: str | None = None
    """Tier, speed and place of inference as reported: they move the price."""
    estimated: bool = False


class Finding(msgspec.Struct, frozen=True, gc=False):
    """One thing a detector found: which rule, how sure (0 to 1000), and where in the inspected text."""

    rule: str
    score: int
    start: int
    end: int
