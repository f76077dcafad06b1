"""Which path means what: the native prefixes, their aliases, the unified front, the gateway's own pages.

Law: paths stay raw (percent-escapes are kept); what is not listed here is not served. Pure functions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from tokenone.call.house import Front
from tokenone.errors import UnknownPath
from tokenone.types import Dialect, Provider

NATIVE: Final[dict[bytes, tuple[Provider, Dialect]]] = {
    b"openai": (Provider.OPENAI, Dialect.OPENAI),
    b"anthropic": (Provider.ANTHROPIC, Dialect.ANTHROPIC),
}
ALIASES: Final[dict[bytes, tuple[Provider, Dialect]]] = {
    b"openai-proxy": NATIVE[b"openai"],
    b"anthropic-proxy": NATIVE[b"anthropic"],
}
PLANNED: Final = frozenset(
    {b"google", b"vertex", b"bedrock", b"azure", b"openrouter", b"cohere", b"custom", b"gemini-proxy"}
)
"""Prefixes that other providers will use; answered as not served, never forwarded."""
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
            return _native(ALIASES[alias], _with_version(below))
        return Front(Provider.OPENAI, path=path, dialect=_dialect_of(path), unified=True)
    if first in NATIVE:
        return _native(NATIVE[first], b"/" + rest)
    if first in PLANNED:
        raise UnknownPath("this provider is not served by this version")
    raise UnknownPath


def health_alias(path: bytes) -> Provider | None:
    """Returns the provider whose `/v1/{alias}/health` this is."""
    parts = path.split(b"/")
    if len(parts) == 4 and parts[1] == b"v1" and parts[3] == b"health" and parts[2] in ALIASES:
        return ALIASES[parts[2]][0]
    return None


def dialect_hint(path: bytes) -> Dialect:
    """Returns the dialect to answer in before the front is known."""
    return Dialect.ANTHROPIC if b"anthropic" in path[:20] else _dialect_of(path)


def _native(place: tuple[Provider, Dialect], path: bytes) -> Front:
    provider, dialect = place
    return Front(provider, path=path, dialect=dialect)


def _with_version(below: bytes) -> bytes:
    """An alias may be called with or without the provider's `v1`."""
    return b"/" + below if below.startswith(b"v1/") else b"/v1/" + below


def _dialect_of(path: bytes) -> Dialect:
    return Dialect.ANTHROPIC if path.startswith(b"/v1/messages") else Dialect.OPENAI
