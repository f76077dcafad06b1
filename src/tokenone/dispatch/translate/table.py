"""The providers that unified calls are translated to, by name. What is not here speaks the caller's dialect itself,
or is reachable natively alone."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tokenone.dispatch.translate.anthropic import ANTHROPIC
from tokenone.dispatch.translate.translation import Translation
from tokenone.types import Provider

TRANSLATIONS: Final[Mapping[Provider, Translation]] = MappingProxyType({Provider.ANTHROPIC: ANTHROPIC})
