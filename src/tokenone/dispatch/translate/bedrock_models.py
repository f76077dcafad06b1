"""What the model families of Bedrock can do beyond Converse, and how each spells it.

Law: a family that is not known here is not asked for what is not known of it. Sources: docs.aws.amazon.com/bedrock
user guide, "Structured outputs" (its list of models), "Extended thinking", "Nova: Reasoning"; the effort of
gpt-oss and Qwen as they take it in `additionalModelRequestFields`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from tokenone.dispatch.translate import anthropic_models as claude
from tokenone.dispatch.translate.form import ChatRequest, Effort
from tokenone.dispatch.translate.leaving import Leaving

Json: TypeAlias = dict[str, Any]
DEFAULT_TOKENS_THINKING: Final = 16384
_STRUCTURED: Final = (
    "openai.",
    "qwen.",
    "deepseek.v3",
    "google.gemma",
    "mistral.",
    "minimax.",
    "moonshot",
    "zai.",
)
_THREE: Final[dict[Effort, str]] = {
    "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high",
}  # fmt: skip


def structures(model: str) -> bool:
    """Says whether the model takes an output format and strict tools."""
    if "anthropic." in model:
        return claude.structures(model)
    return any(family in model for family in _STRUCTURED)


def chooses(model: str) -> bool:
    """Says whether the model can be made to call one tool."""
    return "anthropic." in model or "amazon.nova" in model


def top_k(body: Json, request: ChatRequest, leaving: Leaving) -> None:
    """Asks for `top_k` as the family spells it."""
    fields = body.setdefault("additionalModelRequestFields", {})
    if "anthropic." in request.model:
        fields["top_k"] = request.top_k
    elif "amazon.nova" in request.model:
        fields["inferenceConfig"] = {"topK": request.top_k}
    else:
        leaving.cannot("top_k")
    if not fields:
        del body["additionalModelRequestFields"]


def think(body: Json, request: ChatRequest, leaving: Leaving) -> None:
    """Asks for an effort as the family spells it."""
    effort = request.effort
    if effort is None:
        return
    ask = next((ask for family, ask in _ASKS.items() if family in request.model), None)
    fields = None if ask is None else ask(body, request, effort)
    if fields is None:
        leaving.cannot("reasoning_effort")
    elif fields:
        body.setdefault("additionalModelRequestFields", {}).update(fields)


def _claude(body: Json, request: ChatRequest, effort: Effort) -> Json | None:
    model = request.model
    if not claude.thinks(model):
        return {} if effort == "none" else None
    if effort == "none":
        return {"thinking": {"type": "disabled"}}
    if claude.adapts(model):
        return {
            "thinking": claude.adaptive(model),
            "output_config": {"effort": claude.level(model, effort)},
        }
    most = request.max_tokens or DEFAULT_TOKENS_THINKING
    if most <= claude.LEAST_BUDGET or request.temperature not in (None, 1) or request.top_k is not None:
        return None  # a budget excludes sampling parameters
    body["inferenceConfig"] = {"maxTokens": most}
    return {"thinking": {"type": "enabled", "budget_tokens": claude.budget(effort, most)}}


def _gpt(_body: Json, _request: ChatRequest, effort: Effort) -> Json | None:
    return None if effort == "none" else {"reasoning_effort": _THREE[effort]}


def _qwen(_body: Json, _request: ChatRequest, effort: Effort) -> Json | None:
    return None if effort == "none" else {"reasoning_config": _THREE[effort]}


def _nova(_body: Json, _request: ChatRequest, effort: Effort) -> Json | None:
    if effort == "none":
        return {"reasoningConfig": {"type": "disabled"}}
    return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": _THREE[effort]}}


_ASKS: Final[dict[str, Callable[[Json, ChatRequest, Effort], Json | None]]] = {
    "anthropic.": _claude,
    "openai.gpt-oss": _gpt,
    "qwen.": _qwen,
    "amazon.nova-2": _nova,
}
