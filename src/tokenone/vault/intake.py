"""Taking a secret in: the challenge it was sealed for, what people may see of it, and where it came twice.

Law: a challenge is good once, for ten minutes, in this process; the first attempt that names it spends it.
What is shown of a secret is a provider's public prefix and the last four characters, or nothing. It stores
nothing.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from tokenone.canonical import b64
from tokenone.clock import MINUTE_US, Clock
from tokenone.errors import Conflict

CHALLENGE_US: Final = 10 * MINUTE_US
MOST_CHALLENGES: Final = 4_096

_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/=:-]{24,}")
_PREFIX: Final = re.compile(r"(?:[a-z][a-z0-9]*-)+")


@dataclass(frozen=True, slots=True)
class Intake:
    """What is stored of a secret that was taken in."""

    envelope: bytes
    masked: str
    fingerprint: str


class Challenges:
    """What this process gave and nobody used yet; the oldest gives way when there are too many."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._until)

    def new(self) -> str:
        """Returns 32 random bytes as text."""
        now = self._clock.monotonic_us()
        while self._until and (
            len(self._until) >= MOST_CHALLENGES or next(iter(self._until.values())) <= now
        ):
            self._until.popitem(last=False)
        challenge = b64(secrets.token_bytes(32))
        self._until[challenge] = now + CHALLENGE_US
        return challenge

    def spend(self, challenge: str) -> None:
        """Uses a challenge up; raises Conflict unless it is known, unused and in time."""
        if self._until.pop(challenge, 0) <= self._clock.monotonic_us():
            raise Conflict("the challenge is unknown, used or too old: seal again with a new one")


def mask(secret: bytes) -> str:
    """Shows `sk-ant-…a1b2`: a prefix within 8 characters and the last 4, of 24 or more; else `…`."""
    if not _TOKEN.fullmatch(secret):
        return "…"
    text = secret.decode("ascii")
    prefix = _PREFIX.match(text[:8])
    return (prefix.group() if prefix else "") + "…" + text[-4:]


def keyed_fingerprint(key: bytes, secret: bytes) -> str:
    """Names a secret without telling it, alike for every tenant of one installation."""
    return hmac.digest(key, secret, "sha256").hex()
