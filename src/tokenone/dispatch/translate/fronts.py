"""The front doors for chat, by path.

Law: a front is four pure functions and one machine; adding one is its own files and one line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from tokenone.dispatch.translate import (
    front_chat,
    front_chat_replies,
    front_messages,
    front_messages_replies,
    front_responses,
    front_responses_replies,
)
from tokenone.dispatch.translate.form import ChatError, ChatReply, ChatRequest, Event, Stamp
from tokenone.types import Usage


class StreamWriter(Protocol):
    """Writes one stream: `write` returns the bytes of the events; `usage` is what the meter read until now."""

    def write(self, events: list[Event], usage: Usage | None = None) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatFront:
    """One callers' dialect of a chat call."""

    read: Callable[[bytes], ChatRequest]
    """Raises MalformedBody or BodyTooDeep."""
    reply: Callable[[ChatReply, Usage | None, Stamp], bytes]
    stream: Callable[[ChatRequest, Stamp], StreamWriter]
    error: Callable[[ChatError], tuple[int, bytes]]


FRONTS: Final[Mapping[bytes, ChatFront]] = MappingProxyType(
    {
        b"/v1/chat/completions": ChatFront(
            read=front_chat.read_chat,
            reply=front_chat_replies.write_reply,
            stream=lambda request, stamp: front_chat_replies.ChunkWriter(
                stamp, asked_usage=request.asked_usage
            ),
            error=front_chat_replies.write_error,
        ),
        b"/v1/messages": ChatFront(
            read=front_messages.read_messages,
            reply=front_messages_replies.write_reply,
            stream=lambda _request, stamp: front_messages_replies.MessageWriter(stamp),
            error=front_messages_replies.write_error,
        ),
        b"/v1/responses": ChatFront(
            read=front_responses.read_responses,
            reply=front_responses_replies.write_reply,
            stream=lambda _request, stamp: front_responses_replies.ResponseWriter(stamp),
            error=front_responses_replies.write_error,
        ),
    }
)
