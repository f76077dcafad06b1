"""What the fronts write is what the official SDKs' own types accept: replies, streams, events."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from kit.dialects import ANSWERS, DIALECTS
from tokenone.dispatch.translate.embeddings import EmbedReply, write_embeddings
from tokenone.dispatch.translate.form import Stamp
from tokenone.dispatch.translate.fronts import FRONTS
from tokenone.dispatch.translate.table import CHAT
from tokenone.types import Provider, Usage

STAMP = Stamp("call_9", "asked", 1)
USAGE = Usage(input=10, output=5, cache_read=4, cache_write=0, reasoning=2)
WHOLE: dict[bytes, TypeAdapter[Any]] = {
    b"/v1/chat/completions": TypeAdapter(ChatCompletion),
    b"/v1/messages": TypeAdapter(Message),
    b"/v1/responses": TypeAdapter(Response),
}
PIECES: dict[bytes, TypeAdapter[Any]] = {
    b"/v1/chat/completions": TypeAdapter(ChatCompletionChunk),
    b"/v1/messages": TypeAdapter(RawMessageStreamEvent),
    b"/v1/responses": TypeAdapter(ResponseStreamEvent),
}
BODIES: dict[bytes, dict[str, Any]] = {
    b"/v1/chat/completions": {"messages": [], "stream_options": {"include_usage": True}},
    b"/v1/messages": {"messages": [], "max_tokens": 9},
    b"/v1/responses": {"input": "x"},
}


@pytest.mark.parametrize("path", sorted(FRONTS), ids=bytes.decode)
@pytest.mark.parametrize("case", sorted(ANSWERS))
@pytest.mark.parametrize("provider", [Provider.ANTHROPIC, Provider.GEMINI, Provider.BEDROCK, Provider.CUSTOM])
def test_an_sdk_accepts_every_reply_and_every_event(path: bytes, case: str, provider: Provider) -> None:
    front, spoken, translation = FRONTS[path], DIALECTS[provider], CHAT[provider]
    reply = front.reply(translation.reply(spoken.reply(ANSWERS[case])), USAGE, STAMP)
    WHOLE[path].validate_json(reply)
    request = front.read(json.dumps({"model": "m", "stream": True, **BODIES[path]}).encode())
    reader, writer = translation.stream(), front.stream(request, STAMP)
    events = reader.feed(spoken.stream(ANSWERS[case])) + reader.finish()
    told = 0
    for event in writer.write(events, USAGE).split(b"\n\n")[:-1]:
        data = event[event.index(b"data: ") + 6 :]
        if data != b"[DONE]":
            PIECES[path].validate_json(data)
            told += 1
    assert told > 2


def test_an_sdk_accepts_embeddings() -> None:
    reply = EmbedReply("m", (msgspec.Raw(b"[0.5,1.0]"),))
    told = CreateEmbeddingResponse.model_validate_json(
        write_embeddings(reply, Usage(input=3), STAMP, packed=False)
    )
    assert told.data[0].embedding == [0.5, 1.0]
