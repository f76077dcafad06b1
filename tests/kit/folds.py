"""Puts streams together again: events of the unified form, and OpenAI's chunks as an SDK would."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tokenone.dispatch.translate.form import (
    CallDelta,
    Ended,
    Event,
    Failed,
    Opened,
    Stopped,
    TextDelta,
    ThoughtDelta,
)


@dataclass
class Folded:
    """What a stream said of its first choice."""

    id: str = ""
    model: str = ""
    text: str = ""
    thoughts: dict[int, list[str | None]] = field(default_factory=dict)
    """index → text, signature, sealed, format."""
    calls: dict[int, list[str | None]] = field(default_factory=dict)
    """index → id, name, arguments, signature."""
    stop: str | None = None
    failed: Failed | None = None
    ended: bool = False


def fold(events: list[Event]) -> Folded:
    """Adds the deltas up; checks that the stream opens once and nothing follows its end."""
    folded = Folded()
    for at, event in enumerate(events):
        if isinstance(event, Opened):
            assert at == 0
            folded.id, folded.model = event.id, event.model
        elif isinstance(event, TextDelta):
            folded.text += event.text
        elif isinstance(event, ThoughtDelta):
            thought = folded.thoughts.setdefault(event.index, ["", None, None, event.format])
            thought[0] = f"{thought[0]}{event.text}"
            thought[1] = event.signature or thought[1]
            thought[2] = event.sealed or thought[2]
        elif isinstance(event, CallDelta):
            call = folded.calls.setdefault(event.index, [event.id, event.name, "", None])
            call[2] = f"{call[2]}{event.arguments}"
            call[3] = event.signature or call[3]
        elif isinstance(event, Stopped):
            folded.stop = event.stop
        else:
            assert at == len(events) - 1, "something follows the end"
            folded.ended = isinstance(event, Ended)
            folded.failed = event if isinstance(event, Failed) else None
    return folded


def assembled(stream: bytes) -> dict[str, Any]:
    """Adds OpenAI's chunks up to a message, with `finish_reason`, `usage`, `done` and `error` beside it."""
    message: dict[str, Any] = {"content": "", "reasoning_content": "", "details": {}, "calls": {}}
    for event in stream.split(b"\n\n")[:-1]:
        data = event.removeprefix(b"data: ")
        if data == b"[DONE]":
            message["done"] = True
            continue
        chunk = json.loads(data)
        if "error" in chunk:
            message["error"] = chunk["error"]
            continue
        message |= {name: chunk[name] for name in ("id", "model")}
        if chunk.get("usage"):
            message["usage"] = chunk["usage"]
        for choice in chunk["choices"]:
            _add(message, choice["delta"])
            message["finish_reason"] = choice["finish_reason"]
    return message


def _add(message: dict[str, Any], delta: dict[str, Any]) -> None:
    message["content"] += delta.get("content") or ""
    message["reasoning_content"] += delta.get("reasoning_content") or ""
    for detail in delta.get("reasoning_details", ()):
        known = message["details"].setdefault(detail["index"], {"text": ""})
        known |= detail | {"text": known["text"] + detail.get("text", "")}
    for call in delta.get("tool_calls", ()):
        known = message["calls"].setdefault(call["index"], {"arguments": ""})
        function = call["function"]
        known |= {name: call[name] for name in ("id", "extra_content") if name in call}
        known |= {"name": function["name"]} if "name" in function else {}
        known["arguments"] += function["arguments"]
