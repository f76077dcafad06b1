"""What Claude models of which generation can do, read off their names.

Law: a name that tells no generation (an alias, a later spelling) is taken for the newest. Sources:
platform.claude.com/docs, "Structured outputs" (general for 4.5 and later), "Extended thinking" (budgets, 3.7 and
later), "Adaptive thinking" and "Effort" (4.6 and later; `xhigh` from 4.7).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from tokenone.dispatch.translate.form import Effort

LEAST_BUDGET: Final = 1024
_MOST_BUDGET: Final = 32_000
_NEWEST: Final = (99, 0)
_FAMILY_FIRST: Final = re.compile(r"claude-[a-z]+-(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_NUMBER_FIRST: Final = re.compile(r"claude-(?:instant-)?v?(\d)(?:[-.](\d))?(?!\d)")
_SHARES: Final[dict[Effort, float]] = {
    "minimal": 0.1, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.95, "max": 0.95,
}  # fmt: skip
"""Of max_tokens, as OpenRouter documents its own efforts (openrouter.ai/docs, "Reasoning tokens")."""


@lru_cache(maxsize=256)
def generation(model: str) -> tuple[int, int]:
    """Returns major and minor of the generation a name tells."""
    found = _FAMILY_FIRST.search(model) or _NUMBER_FIRST.search(model)
    return _NEWEST if found is None else (int(found[1]), int(found[2] or 0))


def structures(model: str) -> bool:
    """Says whether the model takes an output format and strict tools."""
    return generation(model) >= (4, 5)


def thinks(model: str) -> bool:
    """Says whether the model can be asked to think at all."""
    return generation(model) >= (3, 7)


def adapts(model: str) -> bool:
    """Says whether the model takes an effort instead of a budget."""
    return generation(model) >= (4, 6)


def adaptive(model: str) -> dict[str, str]:
    """Returns how thinking is switched on; from 4.7 on it is shown only when asked for."""
    shown = {"type": "adaptive", "display": "summarized"}
    return shown if generation(model) >= (4, 7) else {"type": "adaptive"}


def level(model: str, effort: Effort) -> str:
    """Returns an effort as the model spells it."""
    if effort == "minimal":
        return "low"
    return "high" if effort == "xhigh" and generation(model) < (4, 7) else effort


def budget(effort: Effort, most: int) -> int:
    """Returns how many of `most` tokens may be thought with; always less than all."""
    return max(LEAST_BUDGET, min(int(most * _SHARES[effort]), _MOST_BUDGET, most - 1))
