"""What a workload may use once the restrictions of tenant, project and workload are laid over each other.

Law: restrictions intersect; no scope loosens its parent; None restricts nothing, an empty list allows
nothing. Patterns know `*` alone, compare whole and case-sensitive, and cost no backtracking.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from tokenone.rows import Restrictions
from tokenone.types import Provider

_PROVIDERS: Final = frozenset(str(provider) for provider in Provider)


class Patterns:
    """A model allow-list, made ready for matching.

    A pattern that begins with a provider's name and a slash means that provider (`openai/gpt-*` does not
    allow OpenRouter's `openai/gpt-4o`; `openrouter/openai/gpt-*` does). Any other pattern matches the bare
    model of whatever provider, or `provider/model`.
    """

    __slots__ = ("_exact", "_globs", "_prefixes")

    def __init__(self, patterns: Iterable[str]) -> None:
        exact: set[str] = set()
        prefixes: list[str] = []
        globs: list[tuple[str, ...]] = []
        for pattern in patterns:
            for full in _spellings(pattern):
                head, star, tail = full.partition("*")
                if not star:
                    exact.add(full)
                elif not tail:
                    prefixes.append(head)
                else:
                    globs.append(tuple(full.split("*")))
        self._exact = frozenset(exact)
        self._prefixes = tuple(prefixes)
        self._globs = tuple(globs)

    def allow(self, provider: Provider, model: str) -> bool:
        """Says whether one of the patterns matches."""
        return self._match(f"={provider.value}/{model}") or self._match(f":{model}")

    def _match(self, name: str) -> bool:
        if name in self._exact or name.startswith(self._prefixes):
            return True
        return any(_glob(parts, name) for parts in self._globs)


def _spellings(pattern: str) -> tuple[str, ...]:
    """Marks what a pattern is compared with: `=` and `provider/model`, or `:` and the bare model."""
    if "/" in pattern and pattern.partition("/")[0] in _PROVIDERS:
        return ("=" + pattern,)
    return ("=" + pattern, ":" + pattern)


def _glob(parts: tuple[str, ...], name: str) -> bool:
    """Matches the parts between the stars from left to right, each at its first place: linear in `name`."""
    first, *middle, last = parts
    if len(name) < len(first) + len(last) or not name.startswith(first) or not name.endswith(last):
        return False
    at, end = len(first), len(name) - len(last)
    for part in middle:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


class Rules(msgspec.Struct, frozen=True):
    """The intersection of the restrictions over a workload's scopes."""

    providers: frozenset[str] | None
    models: tuple[Patterns, ...]

    def allow_provider(self, provider: Provider) -> bool:
        """Says whether every scope allows the provider."""
        return self.providers is None or provider in self.providers

    def allow_model(self, provider: Provider, model: str) -> bool:
        """Says whether every scope's list allows the model."""
        return all(patterns.allow(provider, model) for patterns in self.models)


def intersect(levels: Iterable[Restrictions]) -> Rules:
    """Lays restrictions over each other."""
    providers: frozenset[str] | None = None
    models: list[Patterns] = []
    for level in levels:
        if level.providers is not None:
            here = frozenset(str(provider) for provider in level.providers)
            providers = here if providers is None else providers & here
        if level.models is not None:
            models.append(Patterns(level.models))
    return Rules(providers, tuple(models))
