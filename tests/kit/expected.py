"""What a recorded exchange must come to, computed without our own code: genai-prices' reading and pricing."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from typing import Any

import genai_prices

from kit.shared import Exchange

FLAVOURS = {
    "/v1/messages": "default",
    "/v1/chat/completions": "chat",
    "/v1/completions": "chat",
    "/v1/responses": "responses",
    "/v1/responses/compact": "responses",
    "/v1/embeddings": "embeddings",
}


def final_reply(exchange: Exchange) -> dict[str, Any] | None:
    """Assembles what a reply reports at its end, with the standard library alone."""
    if not exchange.event_stream:
        reply: dict[str, Any] | None = json.loads(exchange.reply or b"null")
        return reply
    usage: dict[str, Any] = {}
    model = None
    for line in exchange.reply.decode().splitlines():
        if line.startswith("data:") and line.strip() != "data: [DONE]":
            event = json.loads(line[5:])
            if (event.get("response") or {}).get("usage"):
                whole: dict[str, Any] = event["response"]
                return whole
            for holder in (event, event.get("response") or {}, event.get("message") or {}):
                model = holder.get("model") or model
                told = holder.get("usage") or {}
                usage |= {name: value for name, value in told.items() if value is not None}
    return {"model": model, "usage": usage} if usage else None


def publishers_cost(exchange: Exchange, at: datetime.datetime) -> Decimal | None:
    """Returns genai-prices' own total in USD for a recorded reply, None where it reports no usage."""
    reply = final_reply(exchange)
    if exchange.status >= 400 or reply is None or not reply.get("usage"):
        return None
    asked = json.loads(exchange.body).get("model")
    for model in filter(None, (reply.get("model"), asked)):
        try:
            extracted = genai_prices.extract_usage(
                reply | {"model": model}, provider_id=exchange.provider, api_flavor=FLAVOURS[exchange.path]
            )
            searches = sum(item.get("type") == "web_search_call" for item in reply.get("output") or ())
            if searches:  # the publisher's reading leaves OpenAI's searches out, its prices do not
                extracted.usage.web_searches = searches
            return extracted.calc_price(genai_request_timestamp=at).total_price
        except LookupError:
            continue
    return None


def without_usage_chunk(stream: bytes) -> bytes:
    """Returns a chat stream without the events whose `choices` are empty and that carry usage."""
    kept = [event for event in stream.split(b"\n\n") if not _is_usage_chunk(event)]
    return b"\n\n".join(kept)


def _is_usage_chunk(event: bytes) -> bool:
    if not event.startswith(b"data: {"):
        return False
    told = json.loads(event[6:])
    return told.get("choices") == [] and bool(told.get("usage"))
