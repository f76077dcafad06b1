"""Which path means what: the native prefixes, their aliases, the unified front, the gateway's own pages.

Law: paths stay raw (percent-escapes are kept); what is not listed here is not served. Pure functions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

from tokenone.call.house import Front
from tokenone.errors import UnknownPath
from tokenone.types import Dialect, Provider

NATIVE: Final[dict[bytes, tuple[Provider, Dialect]]] = {
    b"openai": (Provider.OPENAI, Dialect.OPENAI),
    b"anthropic": (Provider.ANTHROPIC, Dialect.ANTHROPIC),
    b"azure": (Provider.AZURE, Dialect.OPENAI),
    b"bedrock": (Provider.BEDROCK, Dialect.AWS),
    b"cohere": (Provider.COHERE, Dialect.OPENAI),
    b"google": (Provider.GEMINI, Dialect.GOOGLE),
    b"openrouter": (Provider.OPENROUTER, Dialect.OPENAI),
    b"vertex": (Provider.VERTEX, Dialect.GOOGLE),
}
CUSTOM: Final = b"custom"
"""`/custom/{name of an endpoint}/…`"""
ALIASES: Final[dict[bytes, tuple[Provider, Dialect]]] = {
    b"openai-proxy": NATIVE[b"openai"],
    b"anthropic-proxy": NATIVE[b"anthropic"],
    b"gemini-proxy": NATIVE[b"google"],
}
VERSIONS: Final[dict[Provider, tuple[bytes, ...]]] = {
    Provider.GEMINI: (b"v1beta/", b"v1/", b"v1alpha/", b"upload/", b"download/"),
}
"""How a provider's paths may begin where that is not `v1` alone; an alias called without any means the first."""
REMEMBERED_BYTES: Final = 64
"""Longer paths are worked out each time: nobody fills the memory with them, and queries are never kept."""


def split_target(target: bytes) -> tuple[bytes, bytes]:
    """Splits a raw target into path and query (without the question mark)."""
    path, _, query = target.partition(b"?")
    return path, query


def front_of(path: bytes) -> Front:
    """Returns the front that a path (without its query) names; raises UnknownPath for what is not served."""
    return _known_front(path) if len(path) <= REMEMBERED_BYTES else _front_of(path)


@lru_cache(maxsize=512)
def _known_front(path: bytes) -> Front:
    return _front_of(path)


def _front_of(path: bytes) -> Front:
    first, _, rest = path[1:].partition(b"/")
    if first == b"v1":
        alias, _, below = rest.partition(b"/")
        if alias in ALIASES:
            return _native(ALIASES[alias], _with_version(ALIASES[alias][0], below))
        return Front(Provider.OPENAI, path=path, dialect=_dialect_of(path), unified=True)
    if first in NATIVE:
        return _native(NATIVE[first], b"/" + rest)
    if first == CUSTOM:
        return _custom(rest)
    raise UnknownPath


def health_alias(path: bytes) -> Provider | None:
    """Returns the provider whose `/v1/{alias}/health` this is."""
    parts = path.split(b"/")
    if len(parts) == 4 and parts[1] == b"v1" and parts[3] == b"health" and parts[2] in ALIASES:
        return ALIASES[parts[2]][0]
    return None


def dialect_hint(path: bytes) -> Dialect:
    """Returns the dialect to answer in before the front is known."""
    first, _, rest = path[1:].partition(b"/")
    place = NATIVE.get(first) or ALIASES.get(rest.partition(b"/")[0])
    if place is not None:
        return place[1]
    return Dialect.ANTHROPIC if b"anthropic" in path[:20] else _dialect_of(path)


def _native(place: tuple[Provider, Dialect], path: bytes) -> Front:
    provider, dialect = place
    return Front(provider, path=path, dialect=dialect)


def _custom(rest: bytes) -> Front:
    """Only the endpoint's name is decoded; the path below it stays raw."""
    name, _, below = rest.partition(b"/")
    try:
        endpoint = unquote_to_bytes(name).decode()
    except UnicodeDecodeError:
        raise UnknownPath("the endpoint's name is not UTF-8") from None
    if not endpoint or not below:
        raise UnknownPath("name the endpoint and a path of its own: /custom/{endpoint}/v1/…")
    path = b"/" + below
    return Front(Provider.CUSTOM, path=path, dialect=_dialect_of(path), endpoint=endpoint)


def _with_version(provider: Provider, below: bytes) -> bytes:
    """An alias may be called with or without the provider's version."""
    versions = VERSIONS.get(provider, (b"v1/",))
    return b"/" + below if below.startswith(versions) else b"/" + versions[0] + below


def _dialect_of(path: bytes) -> Dialect:
    return Dialect.ANTHROPIC if path.startswith(b"/v1/messages") else Dialect.OPENAI
