"""Keeps account of what a provider cannot do: refused by the parameter's name, or left out where that is allowed.

Law: nothing is left out silently. `cannot` refuses unless the caller allowed dropping; `noted` is for what could
never be sent and yet may not end a conversation (another provider's signatures): left out and named, always.
Names may be the caller's own members: they are told in harmless letters, for they end in a header.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from tokenone.dispatch.translate.form import ChatRequest
from tokenone.errors import UnsupportedParameter

_NAMED: Final = 8
_LONGEST: Final = 120
_MOST_IN_HEADER: Final = 32
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.$\[\]-]")
_ASKED: Final[dict[str, Callable[[ChatRequest], bool]]] = {
    "frequency_penalty": lambda request: bool(request.frequency_penalty),
    "logprobs": lambda request: request.logprobs,
    "metadata": lambda request: bool(request.metadata),
    "n": lambda request: (request.choices or 1) > 1,
    "parallel_tool_calls": lambda request: request.parallel_tools is False,
    "presence_penalty": lambda request: bool(request.presence_penalty),
    "reasoning_effort": lambda request: request.effort is not None,
    "response_format": lambda request: request.output is not None,
    "seed": lambda request: request.seed is not None,
    "stop": lambda request: bool(request.stop),
    "temperature": lambda request: request.temperature is not None,
    "tool_choice": lambda request: request.tool_choice is not None and request.tool_choice.mode != "auto",
    "tools": lambda request: bool(request.tools),
    "top_k": lambda request: request.top_k is not None,
    "top_logprobs": lambda request: bool(request.top_logprobs),
    "top_p": lambda request: request.top_p is not None,
    "user": lambda request: request.user is not None,
}
"""Which parameters a request asks something of: a value that says what holds anyway asks nothing."""


class Leaving:
    """One request's account."""

    __slots__ = ("_drop", "_left", "_provider", "_refused", "_spelled")

    def __init__(self, provider: str, *, drop: bool) -> None:
        self._provider = provider
        self._drop = drop
        self._spelled: Mapping[str, str] = {}
        self._left: list[str] = []
        self._refused: list[str] = []

    def cannot(self, name: str) -> None:
        """The provider cannot do what `name` asks."""
        (self._left if self._drop else self._refused).append(self._told(name))

    def noted(self, name: str) -> None:
        """Leaves `name` out whatever the caller allows."""
        self._left.append(self._told(name))

    def parameters(self, request: ChatRequest, lacks: tuple[str, ...]) -> None:
        """Accounts for the parameters a provider `lacks`, and for those the form has no place for."""
        self._spelled = request.spelled
        for name in lacks:
            if _ASKED[name](request):
                self.cannot(name)
        for name in request.unknown:
            self.cannot(name)
        for name in request.hints:
            self.noted(name)

    def _told(self, name: str) -> str:
        return _UNSAFE.sub("?", self._spelled.get(name, name)[:_LONGEST])

    def settled(self) -> tuple[str, ...]:
        """Returns the names left out; raises UnsupportedParameter with those that may not be."""
        if self._refused:
            names = ", ".join(f"`{name}`" for name in self._refused[:_NAMED])
            more = len(self._refused) - _NAMED
            rest = f" and {more} more" if more > 0 else ""
            raise UnsupportedParameter(f"{self._provider} cannot do {names}{rest}")
        return tuple(dict.fromkeys(self._left))


def dropped_header(names: tuple[str, ...]) -> bytes:
    """Returns the value of `x-tokenone-dropped`."""
    told = list(names[:_MOST_IN_HEADER])
    if len(names) > len(told):
        told.append(f"and-{len(names) - len(told)}-more")
    return ", ".join(told).encode("ascii")
