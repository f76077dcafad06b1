"""The error branches of unified calls that are translated, as stories."""

from __future__ import annotations

from collections.abc import Callable

from kit.scripted import answer
from kit.walk import Walk

CLAUDE = "anthropic/claude-sonnet-4-5"
CHAT = "/v1/chat/completions"


def translated_calls(walk: Walk) -> None:
    """What cannot be translated: another path, a reply that is too long, of an unreadable encoding or shape."""
    place = walk.route(walk.scripted.origin, "translated")
    for path in ("/v1/completions", "/v1/embeddings", "/v1/rerank"):
        headers = {"authorization": f"Bearer {place.token}"}
        asked = {"model": CLAUDE, "input": "x", "query": "x", "documents": ["y"]}
        got = walk.http.post(walk.house.gateway + path, headers=headers, json=asked)
        assert walk.code(walk.watch.saw_answer(path, got)) == "unknown_path"
    brotli = b"content-encoding: br"
    cases: list[tuple[bytes, bool]] = [
        (answer(b'"' + b"a" * (17 << 20) + b'"'), False),
        (answer(b"{}", brotli), False),
        (answer(b"[]"), False),
        (answer(b"event: x\n\n", kind=b"text/event-stream"), False),
        (answer(b"event: x\n\n", brotli, kind=b"text/event-stream"), True),
    ]
    for reply, streamed in cases:
        walk.scripted.script = lambda _, reply=reply: reply
        got = walk.ask(place, path=CHAT, model=CLAUDE, stream=streamed)
        assert walk.code(got) == "upstream_broken", reply[:100]


STORIES_OF_UNIFIED: tuple[Callable[[Walk], None], ...] = (translated_calls,)
