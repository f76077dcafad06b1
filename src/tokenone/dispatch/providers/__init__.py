"""The providers that native calls can go to, by name.

Law: adding a provider is one file with one `Facts` value, and one line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tokenone.dispatch.providers.anthropic import ANTHROPIC
from tokenone.dispatch.providers.azure import AZURE
from tokenone.dispatch.providers.bedrock import BEDROCK
from tokenone.dispatch.providers.cohere import COHERE
from tokenone.dispatch.providers.custom import CUSTOM
from tokenone.dispatch.providers.facts import Facts, Probe, Reading
from tokenone.dispatch.providers.gemini import GEMINI
from tokenone.dispatch.providers.openai import OPENAI
from tokenone.dispatch.providers.openrouter import OPENROUTER
from tokenone.dispatch.providers.vertex import VERTEX
from tokenone.types import Provider

PROVIDERS: Final[Mapping[Provider, Facts]] = MappingProxyType(
    {
        Provider.OPENAI: OPENAI,
        Provider.ANTHROPIC: ANTHROPIC,
        Provider.AZURE: AZURE,
        Provider.BEDROCK: BEDROCK,
        Provider.COHERE: COHERE,
        Provider.GEMINI: GEMINI,
        Provider.VERTEX: VERTEX,
        Provider.OPENROUTER: OPENROUTER,
        Provider.CUSTOM: CUSTOM,
    }
)

__all__ = ["PROVIDERS", "Facts", "Probe", "Reading"]
