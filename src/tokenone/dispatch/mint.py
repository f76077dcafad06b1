"""Trading a stored secret for a token that lives shorter: what to ask, and how to read the answer.

Law: pure; who asks, keeps and renews is `call/minted.py`. A token is asked for at one of the endpoint's own
origins, never elsewhere. Refusals say nothing of the secret.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tokenone.types import Headers


class MintRequest(NamedTuple):
    """The one request that brings a token; `origin` must be among the endpoint's."""

    origin: str
    method: bytes
    target: bytes
    headers: Headers
    body: bytes


class Minted(NamedTuple):
    """What to send in the secret's place, and for how many seconds it is good."""

    plaintext: bytes
    seconds: int


class Mint(NamedTuple):
    """`ask` returns None for a secret that is sent as it is; `read` raises UpstreamAuth on a refusal."""

    ask: Callable[[bytes, int], MintRequest | None]
    """(plaintext, now in microseconds) → the request."""
    read: Callable[[bytes, int, bytes], Minted]
    """(plaintext, status, body) → the token."""
