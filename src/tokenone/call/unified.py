"""Turns a unified call into the call of the provider that its model name means.

Law: only the name changes where the provider speaks the caller's dialect; everywhere else the whole call is
translated, once, before anything is inspected or recorded.
"""

from __future__ import annotations

import dataclasses
from typing import Final

import msgspec

from tokenone.call.house import Call
from tokenone.call.voice import Voice
from tokenone.clock import SECOND_US
from tokenone.dispatch.providers import PROVIDERS
from tokenone.dispatch.rename import rename_model
from tokenone.dispatch.translate.form import Stamp
from tokenone.dispatch.translate.front_chat import read_chat
from tokenone.dispatch.translate.table import CHAT as TRANSLATIONS
from tokenone.errors import UnknownPath
from tokenone.route.catalog import Resolved

CHAT_PATH: Final = b"/v1/chat/completions"
DROP: Final = b"x-tokenone-drop-unsupported"
SPOKEN: Final = tuple(provider for provider in TRANSLATIONS if provider in PROVIDERS)
"""The providers that the unified front speaks to; a bare model name is looked for in this order."""


def take_over(call: Call, resolved: Resolved) -> None:
    """Gives the call its provider and the body to send; raises UnsupportedParameter, or UnknownPath for a path
    that is not translated."""
    if resolved.provider is call.front.provider:
        call.body = call.body if resolved.model == call.model else rename_model(call.body, resolved.model)
        return
    if call.front.path != CHAT_PATH:
        raise UnknownPath("this path is not translated to other providers; use the provider's own")
    translation = TRANSLATIONS[resolved.provider]
    asked = msgspec.structs.replace(read_chat(call.body), model=resolved.model)
    drop = (call.exchange.head.get(DROP) or b"").lower() == b"true"
    call.body, dropped = translation.request(asked, drop)
    path, mark, query = translation.path(asked.model, asked.stream).partition(b"?")
    stamp = Stamp(f"chatcmpl-{call.id}", asked.model, call.started_us // SECOND_US)
    call.voice = Voice(translation, asked, stamp, mark + query, dropped)
    call.front = dataclasses.replace(call.front, provider=resolved.provider, path=path)
    call.facts = PROVIDERS[resolved.provider]
