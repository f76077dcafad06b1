"""The translations of chat calls, by provider.

Law: adding a provider is its own file and one line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tokenone.dispatch.translate.anthropic import ANTHROPIC
from tokenone.dispatch.translate.bedrock import BEDROCK
from tokenone.dispatch.translate.cohere import COHERE
from tokenone.dispatch.translate.gemini import GEMINI
from tokenone.dispatch.translate.openai import AZURE, CUSTOM, OPENAI, OPENROUTER
from tokenone.dispatch.translate.translation import Translation
from tokenone.dispatch.translate.vertex import VERTEX
from tokenone.types import Provider

CHAT: Final[Mapping[Provider, Translation]] = MappingProxyType(
    {
        Provider.OPENAI: OPENAI,
        Provider.ANTHROPIC: ANTHROPIC,
        Provider.BEDROCK: BEDROCK,
        Provider.AZURE: AZURE,
        Provider.GEMINI: GEMINI,
        Provider.VERTEX: VERTEX,
        Provider.OPENROUTER: OPENROUTER,
        Provider.COHERE: COHERE,
        Provider.CUSTOM: CUSTOM,
    }
)
