"""What the stand-in reads out of a request and what it says to it: the same request, the same answer.

Law: no randomness, no clock. A user text that starts with `echo ` is answered by the rest of it, verbatim;
one that starts with `tool ` by a call of the first tool. Tokens are counted as pieces of five characters, in
answers one streamed delta each, so that the usage and the deltas agree.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any, Final

CREATED: Final = 1_790_000_000
PIECE: Final = 5


def all_text(value: object) -> str:
    """Joins every string under `text`, `content`, `input`, `system` and the like, in order."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(filter(None, (all_text(item) for item in value)))
    if isinstance(value, dict):
        parts = (
            all_text(value[key]) for key in ("system", "instructions", "content", "text") if key in value
        )
        return "\n".join(filter(None, parts))
    return ""


def last_user_text(messages: object) -> str:
    """Returns the text of the last message whose role is user (or the whole text of a plain string)."""
    if isinstance(messages, list):
        for message in reversed(messages):
            if isinstance(message, dict) and message.get("role") == "user":
                return all_text(message.get("content"))
    return all_text(messages)


def reply_to(text: str) -> str:
    """Returns what the stand-in says to a user's text."""
    if text.startswith("echo "):
        return text[5:]
    return f"The stand-in read {len(text.split())} words; their mark is {digest(text)[:8]}."


def wants_tool(request: dict[str, Any], text: str) -> dict[str, Any] | None:
    """Returns the first offered tool when the text asks for a tool call."""
    tools = request.get("tools")
    if text.startswith("tool ") and isinstance(tools, list) and tools and isinstance(tools[0], dict):
        return tools[0]
    return None


def tool_arguments(text: str) -> str:
    """Returns the arguments of a tool call as JSON text."""
    return json.dumps({"text": text[5:]})


def pieces(text: str) -> list[str]:
    """Cuts an answer into the deltas that a stream sends."""
    return [text[at : at + PIECE] for at in range(0, len(text), PIECE)]


def tokens(text: str) -> int:
    """Counts a text's tokens as the stand-in bills them."""
    return math.ceil(len(text) / PIECE)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def compact(value: object) -> bytes:
    """JSON as providers send it: no spaces, UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def sse(value: dict[str, Any], event: str | None = None) -> bytes:
    """One server-sent event."""
    name = f"event: {event}\n".encode() if event else b""
    return name + b"data: " + compact(value) + b"\n\n"
