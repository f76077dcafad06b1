"""Recorded replies of real providers: each is read, told in OpenAI's shape, and the same however it is cut."""

from __future__ import annotations

import json

import pytest

from kit.folds import assembled, fold
from kit.shared import Exchange, exchanges, require_exchanges
from tokenone.dispatch.translate.embeddings import write_embeddings
from tokenone.dispatch.translate.embeddings_backs import EMBEDDINGS
from tokenone.dispatch.translate.form import Stamp
from tokenone.dispatch.translate.front_chat_replies import ChunkWriter, write_error, write_reply
from tokenone.dispatch.translate.rerank import RERANK
from tokenone.dispatch.translate.table import CHAT
from tokenone.types import Provider

STAMP = Stamp("call_9", "asked", 1)
FOLDERS = {
    "anthropic": Provider.ANTHROPIC, "azure": Provider.AZURE, "bedrock": Provider.BEDROCK,
    "cohere": Provider.COHERE, "gemini": Provider.GEMINI, "ollama": Provider.CUSTOM, "openai": Provider.OPENAI,
    "openai-compat": Provider.CUSTOM, "openrouter": Provider.OPENROUTER, "vertex": Provider.VERTEX,
}  # fmt: skip
OPENAI_CHAT = "/chat/completions"
PLACES = {
    "anthropic": "/v1/messages", "bedrock": "/converse", "cohere": "/v2/chat", "gemini": "enerateContent",
    "vertex": "enerateContent",
}  # fmt: skip


def chats(folder: str) -> list[Exchange]:
    """Returns the exchanges the translations make; a JSON array is Google's other way to stream."""
    place = PLACES.get(folder, OPENAI_CHAT)
    return [
        one
        for one in exchanges(folder)
        if place in one.path and "count" not in one.path and one.reply[:1] != b"["
    ]


def is_stream(one: Exchange) -> bool:
    return "stream" in one.reply_headers.get("content-type", "")


@pytest.mark.parametrize("folder", sorted(FOLDERS))
def test_recorded_answers_are_read_and_told(folder: str) -> None:
    require_exchanges()
    translation = CHAT[FOLDERS[folder]]
    read = 0
    for one in chats(folder):
        if one.status >= 400:
            status, body = write_error(translation.error(one.status, one.reply))
            assert 400 <= status < 600
            assert json.loads(body)["error"]["message"]
        elif not is_stream(one):
            told = json.loads(write_reply(translation.reply(one.reply), None, STAMP))
            message = told["choices"][0]["message"]
            assert (
                message["content"]
                or message.get("tool_calls")
                or message.get("reasoning_content")
                or (told["choices"][0]["finish_reason"] == "content_filter")
            ), one.id
        read += 1
    assert read


@pytest.mark.parametrize("folder", sorted(FOLDERS))
def test_recorded_streams_end_as_they_did_however_they_are_cut(folder: str) -> None:
    require_exchanges()
    translation = CHAT[FOLDERS[folder]]
    for one in (one for one in chats(folder) if one.status < 400 and is_stream(one)):
        reader = translation.stream()
        events = reader.feed(one.reply) + reader.finish()
        folded = fold(events)
        assert folded.failed is not None if "midstream" in one.id else folded.ended, one.id
        cut = translation.stream()
        again = [event for at in range(0, len(one.reply), 7) for event in cut.feed(one.reply[at : at + 7])]
        assert again + cut.finish() == events, one.id
        told = assembled(ChunkWriter(STAMP, asked_usage=False).write(events))
        assert told["content"] == folded.text
        assert [call["arguments"] for call in told["calls"].values()] == [
            call[2] for call in folded.calls.values()
        ]


def test_recorded_embeddings_and_rankings_are_read() -> None:
    require_exchanges()
    for folder, ends in (
        ("openai", "/embeddings"),
        ("azure", "/embeddings"),
        ("cohere", "/embed"),
        ("gemini", "EmbedContents"),
        ("vertex", "embedding-001:predict"),
        ("bedrock", "/invoke"),
    ):
        for one in exchanges(folder):
            if (
                not one.path.endswith(ends)
                or one.status >= 400
                or (folder == "bedrock" and "embed" not in one.path)
            ):
                continue
            reply = EMBEDDINGS[FOLDERS[folder]].reply(one.reply)
            told = json.loads(write_embeddings(reply, None, STAMP, packed=False))
            assert len(told["data"]) >= 1, one.id
    ranked = [one for one in exchanges("cohere") if one.path.endswith("/rerank")]
    assert ranked
    for one in ranked:
        reply_ = RERANK[Provider.COHERE].reply(one.reply)
        assert reply_.results
        assert reply_.searches == 1
