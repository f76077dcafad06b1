"""Says what a refusal of an OpenAI-compatible service or of Ollama means: many shapes, one class.

Law: a service's own code decides before its status, its status before its words; words count only where the
status leaves more than one meaning, for a message may quote what the caller wrote.
Sources: the services' pages on errors (vLLM, Ollama, Mistral, Groq, DeepSeek, xAI, Z.ai, Fireworks, Perplexity,
DashScope) and what they were seen to answer.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote

import msgspec

from tokenone.dispatch.providers.counts import lenient
from tokenone.types import ErrorClass, Headers

_LONGEST: Final = 2048
_refusal: Final = msgspec.json.Decoder(dict[str, object])

_SPENT_CODES: Final = frozenset(
    ("insufficient_quota", "insufficient_balance", "payment_required", "billing_error", "1113", "Arrearage")
)
_KEY_CODES: Final = frozenset(
    ("invalid_api_key", "InvalidApiKey", "api_key_invalid", "organization_restricted")
)
_MODEL_CODES: Final = frozenset(
    ("model_not_found", "invalid_model", "model_not_available", "model_decommissioned", "1211")
)
# Statuses that stand for a spent budget and for something else as well.
_SPENT_STATUSES: Final = frozenset((403, 412, 429))
_SPENT: Final = re.compile(
    r"insufficient (?:balance|credit|quota|fund)|exceeded your current quota|out of credits"
    r"|used all available credits|(?:doesn't|does not) have any credits|spending limit|please recharge"
    r"|account (?:is )?suspended",
    re.IGNORECASE,
)
_WRONG_KEY: Final = re.compile(
    r"(?:incorrect|invalid) api[ -]?key|api key (?:is )?(?:not valid|invalid)", re.I
)
_NO_MODEL: Final = re.compile(
    r"model\b.{0,200}?(?:not found|not exist|not available|decommissioned)|(?:invalid|unknown) model",
    re.IGNORECASE | re.DOTALL,
)
_NO_RIGHT: Final = re.compile(r"permission|access to the .{1,80} is denied|insufficient scope", re.IGNORECASE)


class _Told(NamedTuple):
    """What a refusal says: its code and its type (whichever there are) and its words."""

    codes: frozenset[str]
    words: str


def error_class(status: int, _headers: Headers, body: bytes) -> ErrorClass:
    """Returns the class of a refusal."""
    if status < 400:
        return ErrorClass.UNKNOWN
    told = _told(body)
    if status >= 500 or status in (408, 409):
        return ErrorClass.UPSTREAM
    if (
        status == 402
        or told.codes & _SPENT_CODES
        or (status in _SPENT_STATUSES and _SPENT.search(told.words))
    ):
        return ErrorClass.BILLING
    if status == 429:
        return ErrorClass.RATE
    if status == 401 or told.codes & _KEY_CODES or (status in (400, 403) and _WRONG_KEY.match(told.words)):
        return ErrorClass.KEY_DEAD
    if told.codes & _MODEL_CODES or (status in (400, 403, 404) and _NO_MODEL.search(told.words)):
        return ErrorClass.MODEL_DENIED
    if status == 403 and _NO_RIGHT.search(told.words):
        return ErrorClass.MODEL_DENIED
    return ErrorClass.CALLER


def _told(body: bytes) -> _Told:
    """Reads `{"error":{…}}`, `{"error":"…"}`, flat objects and FastAPI's `{"detail":…}` alike."""
    outer = lenient(_refusal, body) or {}
    error = outer.get("error")
    inner = error if isinstance(error, dict) else outer
    codes = frozenset(
        str(value)
        for holder in (outer, inner)
        for name in ("code", "type")
        if isinstance(value := holder.get(name), (str, int))
    )
    candidates = (error, inner.get("message"), outer.get("detail"), outer.get("message"))
    words = next((value for value in candidates if isinstance(value, str)), "")
    return _Told(codes, unquote(words[:_LONGEST]))
