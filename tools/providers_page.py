"""Writes docs/providers.md: what the unified API can ask of each provider, found out by asking the translations.

It sends nothing: each row is one request, translated for every provider. Run it from the repository's root; a test
holds the file against it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenone.dispatch.translate.embeddings import read_embeddings
from tokenone.dispatch.translate.embeddings_backs import EMBEDDINGS
from tokenone.dispatch.translate.front_chat import read_chat
from tokenone.dispatch.translate.rerank import RERANK, read_rerank
from tokenone.dispatch.translate.table import CHAT
from tokenone.errors import UnsupportedParameter
from tokenone.types import Provider

MODELS = {
    Provider.OPENAI: "gpt-5.1",
    Provider.AZURE: "gpt-5.1",
    Provider.OPENROUTER: "anthropic/claude-sonnet-4.5",
    Provider.CUSTOM: "qwen3-32b",
    Provider.ANTHROPIC: "claude-sonnet-4-5",
    Provider.BEDROCK: "anthropic.claude-sonnet-4-5-20250929-v1:0",
    Provider.GEMINI: "gemini-3-flash",
    Provider.VERTEX: "gemini-3-flash",
    Provider.COHERE: "command-a-reasoning-08-2025",
}
EMBEDDERS = {Provider.BEDROCK: "cohere.embed-multilingual-v3"}
PIXEL = "data:image/png;base64,iVBORw0KGgo="
TOOL = {
    "type": "function",
    "function": {"name": "find", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}},
}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
USER = {"role": "user", "content": "hi"}


def said(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


def called(*ids: str) -> dict[str, Any]:
    calls = [{"id": id, "type": "function", "function": {"name": "find", "arguments": "{}"}} for id in ids]
    results = [{"role": "tool", "tool_call_id": id, "content": "found"} for id in ids]
    return {"messages": [USER, {"role": "assistant", "tool_calls": calls}, *results], "tools": [TOOL]}


CHATS: dict[str, dict[str, Any]] = {
    "plain": {},
    "stream": {"stream": True},
    "system message": {"messages": [{"role": "system", "content": "be brief"}, USER]},
    "system message later on": {"messages": [USER, {"role": "system", "content": "be brief"}]},
    "tools": {"tools": [TOOL]},
    "results of a call": called("a"),
    "results of parallel calls": called("a", "b"),
    "`tool_choice: none`": {"tools": [TOOL], "tool_choice": "none"},
    "`tool_choice: required`": {"tools": [TOOL], "tool_choice": "required"},
    "`tool_choice`: one tool of two": {
        "tools": [TOOL, {**TOOL, "function": {**TOOL["function"], "name": "other"}}],
        "tool_choice": {"type": "function", "function": {"name": "find"}},
    },
    "`parallel_tool_calls: false`": {"tools": [TOOL], "parallel_tool_calls": False},
    "image, inline": said({"type": "image_url", "image_url": {"url": PIXEL}}),
    "image by URL": said({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}),
    "document (PDF), inline": said(
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"}}
    ),
    "sound": said({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}),
    "structured output (JSON schema)": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}}
    },
    "any JSON (`json_object`)": {"response_format": {"type": "json_object"}},
    "`reasoning_effort: high`": {"reasoning_effort": "high"},
    "`reasoning_effort: none`": {"reasoning_effort": "none"},
    "`max_completion_tokens`": {"max_completion_tokens": 64},
    "`temperature`, `top_p`": {"temperature": 0.5, "top_p": 0.9},
    "`top_k`": {"top_k": 40},
    "`stop`": {"stop": ["END"]},
    "`frequency_penalty`, `presence_penalty`": {"frequency_penalty": 0.5, "presence_penalty": 0.5},
    "`seed`": {"seed": 7},
    "`n` above 1": {"n": 2},
    "`logprobs`": {"logprobs": True},
    "`top_logprobs`": {"logprobs": True, "top_logprobs": 3},
    "`user`": {"user": "u-1"},
    "`metadata`": {"metadata": {"team": "blue"}},
    "what the form does not know (`logit_bias`, …)": {"logit_bias": {"7": 1}},
}
EMBEDS: dict[str, dict[str, Any]] = {
    "one text": {"input": "a"},
    "several texts": {"input": ["a", "b"]},
    "tokens": {"input": [[1, 2]]},
    "`dimensions`": {"input": "a", "dimensions": 256},
    "`encoding_format: base64`": {"input": "a", "encoding_format": "base64"},
    "`input_type` (ours)": {"input": "a", "input_type": "search_query"},
    "`user`": {"input": "a", "user": "u-1"},
}
RERANKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "`top_n`": {"top_n": 1},
    "`return_documents`": {"return_documents": True},
    "`max_tokens_per_doc`": {"max_tokens_per_doc": 100},
}
OPENING = """\
# What the unified API can ask of each provider

Made by `tools/providers_page.py`, by asking the translations themselves ([what the form is](spec/unified.md)).

**yes**: sent. **no**: refused with the parameter's name (`unsupported_parameter`), or left out and named in \
`x-tokenone-dropped` where the caller sends `x-tokenone-drop-unsupported: true`. What a provider can do may depend on \
the model; the models asked about stand below each name.

A caller who speaks a provider's own dialect to that provider, below its prefix or at the unified front with an \
OpenAI-compatible endpoint, is not translated at all: there everything passes.
"""


def asked(provider: Provider, members: dict[str, Any]) -> str:
    body = {"model": MODELS[provider], "messages": [USER], **members}
    return _told(lambda: CHAT[provider].request(read_chat(json.dumps(body).encode()), False))


def asked_embeddings(provider: Provider, members: dict[str, Any]) -> str:
    body = {"model": EMBEDDERS.get(provider, "embedder"), **members}
    return _told(lambda: EMBEDDINGS[provider].request(read_embeddings(json.dumps(body).encode()), False))


def asked_rerank(provider: Provider, members: dict[str, Any]) -> str:
    body = {"model": "cohere.rerank-v3-5:0", "query": "q", "documents": ["a", "b"], **members}
    return _told(lambda: RERANK[provider].request(read_rerank(json.dumps(body).encode()), False))


def _told(ask: Any) -> str:
    try:
        ask()
    except UnsupportedParameter:
        return "no"
    return "yes"


def table(rows: dict[str, dict[str, Any]], providers: list[Provider], ask: Any, models: bool) -> str:
    lines = ["| | " + " | ".join(providers) + " |", "|---|" + "---|" * len(providers)]
    if models:
        lines.append("| *model* | " + " | ".join(f"`{MODELS[one]}`" for one in providers) + " |")
    for name, members in rows.items():
        lines.append(f"| {name} | " + " | ".join(ask(one, members) for one in providers) + " |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """Returns the page's text."""
    return "\n".join(
        (
            OPENING,
            "## Chat\n",
            table(CHATS, list(MODELS), asked, models=True),
            "## Embeddings\n",
            table(EMBEDS, list(EMBEDDINGS), asked_embeddings, models=False),
            "Bedrock is asked about Cohere's models; Titan's take one text a call.\n",
            "## Rerank\n",
            table(RERANKS, list(RERANK), asked_rerank, models=False),
        )
    )


if __name__ == "__main__":
    Path("docs/providers.md").write_text(page(), encoding="utf-8")
