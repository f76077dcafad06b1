"""Checks whether a pasted secret can be a provider's key, and says why not.

Law: the reason never contains the secret or a part of it. A shape that passes is not proof; the probe is.
"""

from __future__ import annotations

import re
from typing import Final

from tokenone.errors import BadSecret

SHORTEST: Final = 16
LONGEST: Final = 4096

# Prefixes that name their owner, longest first; the note becomes the reason.
_FOREIGN: Final = (
    (b"sk-ant-admin", "this is an Anthropic admin key; it manages an organisation and never serves calls"),
    (b"sk-admin-", "this is an OpenAI admin key; it manages an organisation and never serves calls"),
    (b"sk-ant-", "this is an Anthropic key"),
    (b"sk-or-", "this is an OpenRouter key"),
    (b"sk-proj-", "this is an OpenAI key"),
    (b"sk-svcacct-", "this is an OpenAI key"),
    (b"AIza", "this is a Google key"),
    (b"AKIA", "this is an AWS access-key id"),
    (b"ASIA", "this is an AWS access-key id"),
    (b"ABSK", "this is a Bedrock key"),
    (b"ya29.", "this is a Google access token"),
    (b"to_live_", "this is a caller token of the gateway, not a provider's key"),
    (b"to_dev_", "this is a caller token of the gateway, not a provider's key"),
    (b"sk-", "this looks like an OpenAI key"),
)
_VISIBLE: Final = re.compile(rb"[!-~]+")


def check_shape(secret: bytes, *, own: tuple[bytes, ...], provider: str) -> None:
    """Raises BadSecret unless `secret` begins as `provider`'s keys do (one of `own`) and is pasted whole."""
    if not secret:
        raise BadSecret("the key is empty")
    if secret != secret.strip() or re.search(rb"\s", secret):
        raise BadSecret("the key contains white space; paste it alone")
    if not _VISIBLE.fullmatch(secret):
        raise BadSecret("the key contains characters that no provider's key has")
    if secret[:1] in (b'"', b"'", b"`") or b"=" in secret[:24]:
        raise BadSecret("paste the key alone, without quotes or a variable's name")
    if b"..." in secret or b"***" in secret:
        raise BadSecret("this is a shortened form of a key, as shown in a list; paste the whole key")
    owner = next((note for prefix, note in _FOREIGN if secret.startswith(prefix) and prefix not in own), None)
    ours = any(secret.startswith(prefix) for prefix in own)
    longest_own = max((len(prefix) for prefix in own if secret.startswith(prefix)), default=0)
    longest_foreign = max((len(p) for p, _ in _FOREIGN if secret.startswith(p) and p not in own), default=0)
    if owner and longest_foreign > longest_own:
        raise BadSecret(f"{owner}; this place takes {provider} keys")
    if not ours:
        raise BadSecret(f"{provider} keys begin with {' or '.join(prefix.decode() for prefix in own)}")
    if not SHORTEST <= len(secret) <= LONGEST:
        raise BadSecret(f"a key has {SHORTEST} to {LONGEST} characters")
