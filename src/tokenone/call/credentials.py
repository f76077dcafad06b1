"""What is put on a request for a key: leased, looked up where it is a reference, traded where a token is needed.

Law: the one way from a candidate to a secret on the way of a call; it is asked once the intent is durable. What
stood for the key is told with it, so that a refusal can be searched for all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tokenone.call.minted import Minter, Name, Trade
from tokenone.call.referenced import References
from tokenone.dispatch.credential import referred
from tokenone.dispatch.providers import PROVIDERS
from tokenone.dispatch.reference import Reference
from tokenone.errors import BadSecret, ReferenceUnresolved
from tokenone.rows import Candidate
from tokenone.secret import Secret
from tokenone.types import Mode
from tokenone.vault.vault import Vault


class Usable(NamedTuple):
    """A key's secret for one attempt; drop it with the attempt."""

    secret: Secret
    """What is put on the request."""
    traces: tuple[Secret, ...]
    """Everything that a refusal must not show."""
    name: Name
    minted: bool
    waited: bool
    """Something was waited for: what allowed the call may have changed meanwhile."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The three steps, and what is forgotten with a key."""

    vault: Vault
    references: References
    minter: Minter

    async def of(self, candidate: Candidate, mode: Mode) -> Usable:
        """Returns what to send for a key version, by its own provider's facts, whatever front was called.

        Raises as `Vault.lease`, `References.resolve` and `Minter.trade` do.
        """
        key, version, endpoint = candidate.key, candidate.version, candidate.endpoint
        facts = PROVIDERS[key.provider]
        secret = self.vault.lease(key, version, endpoint, mode=mode).secret
        content: tuple[int, ...] = ()
        waited = False
        reference = _reference(secret)
        if reference is not None:
            secret, content, waited = await self.references.resolve(
                reference, key.tenant, endpoint, facts.check_secret
            )
        name = Name(key.id, version.version, content)
        if facts.mint is None:
            return Usable(secret, (secret,), name, False, waited)
        trade = Trade(name, key.tenant, endpoint, facts.mint, secret)
        token, asked = await self.minter.trade(trade)
        if token is None:
            return Usable(secret, (secret,), name, False, waited or asked)
        return Usable(token, (secret, token), name, True, waited or asked)

    def refused(self, usable: Usable) -> None:
        """The provider does not take what was sent: a token is not sent again."""
        if usable.minted:
            self.minter.refused(usable.name, usable.secret)

    def forget(self, key_id: str) -> None:
        """Drops what is held of a key in plain form; called when a row of it changed."""
        self.vault.forget(key_id)
        self.minter.forget(key_id)

    def lapse(self) -> None:
        """Drops what is over."""
        self.vault.lapse()
        self.minter.lapse()
        self.references.lapse()


def _reference(secret: Secret) -> Reference | None:
    try:
        return referred(secret)
    except BadSecret as error:
        raise ReferenceUnresolved(error.detail) from None
