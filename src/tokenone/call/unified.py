"""Turns a unified call into the call of the provider that its model name means.

Law: only the name changes where the provider speaks the caller's dialect; everywhere else the whole call is
translated, once, before anything is inspected or recorded. What the provider cannot do is refused by name, or left
out where the caller allows it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final, TypeAlias

import msgspec

from tokenone.call.house import Call, Front
from tokenone.call.voice import Speaking, Voice
from tokenone.clock import SECOND_US
from tokenone.dispatch.providers import PROVIDERS, Facts
from tokenone.dispatch.rename import rename_model
from tokenone.dispatch.translate.embeddings import read_embeddings, write_embeddings
from tokenone.dispatch.translate.embeddings_backs import EMBEDDINGS
from tokenone.dispatch.translate.form import Stamp
from tokenone.dispatch.translate.front_chat_replies import write_error
from tokenone.dispatch.translate.fronts import FRONTS, ChatFront
from tokenone.dispatch.translate.rerank import RERANK, read_rerank, write_rerank
from tokenone.dispatch.translate.table import CHAT
from tokenone.errors import UnknownPath
from tokenone.route.catalog import Resolved
from tokenone.types import PathClass, Provider

DROP: Final = b"x-tokenone-drop-unsupported"
SPOKEN: Final = tuple(provider for provider in CHAT if provider in PROVIDERS)
"""The providers that the unified front speaks to; a bare model name is looked for in this order."""

_PREFIX: Final = {b"/v1/responses": "resp_"}
"""How ids of a front's replies begin."""

Translate: TypeAlias = Callable[[Provider, bytes, Stamp, bool], Voice]
"""(provider, the caller's body, what the reply says of itself, may drop) → the call's voice."""


def classify(front: Front, facts: Facts, method: bytes) -> PathClass:
    """Returns what a request's path is; what no provider and no translation knows is refused as admin paths are."""
    if front.unified and front.path == RERANK_PATH and method == b"POST":
        return PathClass.INFERENCE
    return facts.classify(method, front.path) or PathClass.ADMIN


def take_over(call: Call, resolved: Resolved) -> None:
    """Gives the call its provider and the body to send; raises UnsupportedParameter, or UnknownPath for a path
    that is not translated."""
    translate = TRANSLATED.get(call.front.path)
    if resolved.provider is call.front.provider and call.front.path != RERANK_PATH:
        call.body = call.body if resolved.model == call.model else rename_model(call.body, resolved.model)
        return
    if translate is None:
        raise UnknownPath("this path is not translated to other providers; use the provider's own")
    drop = (call.exchange.head.get(DROP) or b"").lower() == b"true"
    stamp = Stamp(
        _PREFIX.get(call.front.path, "chatcmpl-") + call.id, resolved.model, call.started_us // SECOND_US
    )
    voice = call.voice = translate(resolved.provider, call.body, stamp, drop)
    call.body = voice.body
    path = voice.path.partition(b"?")[0]
    call.front = dataclasses.replace(call.front, provider=resolved.provider, path=path)
    call.facts = PROVIDERS[resolved.provider]


def _chat(front: ChatFront, provider: Provider, body: bytes, stamp: Stamp, drop: bool) -> Voice:
    back = CHAT[provider]
    asked = msgspec.structs.replace(front.read(body), model=stamp.model)
    written, dropped = back.request(asked, drop)

    def streamed() -> Speaking:
        return Speaking(back.stream(), front.stream(asked, stamp))

    return Voice(
        body=written,
        path=back.path(asked.model, asked.stream),
        dropped=dropped,
        held=lambda plain, usage: front.reply(back.reply(plain), usage, stamp),
        error=back.error,
        tell_error=front.error,
        extra=back.headers,
        streamed=streamed if asked.stream else None,
    )


def _embeddings(provider: Provider, body: bytes, stamp: Stamp, drop: bool) -> Voice:
    back = EMBEDDINGS.get(provider)
    if back is None:
        raise UnknownPath(f"embeddings of {provider} are not served at the unified front")
    asked = msgspec.structs.replace(read_embeddings(body), model=stamp.model)
    written, dropped = back.request(asked, drop)
    return Voice(
        body=written,
        path=back.path(asked.model),
        dropped=dropped,
        held=lambda plain, usage: write_embeddings(back.reply(plain), usage, stamp, packed=asked.base64),
        error=back.error,
        tell_error=write_error,
        extra=[],
    )


def _rerank(provider: Provider, body: bytes, stamp: Stamp, drop: bool) -> Voice:
    back = RERANK.get(provider)
    if back is None:
        raise UnknownPath(f"{provider} does not rerank")
    asked = msgspec.structs.replace(read_rerank(body), model=stamp.model)
    written, dropped = back.request(asked, drop)
    return Voice(
        body=written,
        path=back.path(asked.model),
        dropped=dropped,
        held=lambda plain, _usage: write_rerank(back.reply(plain), asked, stamp),
        error=back.error,
        tell_error=write_error,
        extra=[],
    )


RERANK_PATH: Final = b"/v1/rerank"
TRANSLATED: Final[Mapping[bytes, Translate]] = MappingProxyType(
    {
        b"/v1/chat/completions": partial(_chat, FRONTS[b"/v1/chat/completions"]),
        b"/v1/responses": partial(_chat, FRONTS[b"/v1/responses"]),
        b"/v1/embeddings": _embeddings,
        RERANK_PATH: _rerank,
    }
)
