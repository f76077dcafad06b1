"""What a gateway does when asked: seal keys in, mint tokens, make tenants, probe keys, tell of a call.

Law: every use of a key is an entry before it happens; no reply carries a provider secret, and a caller token's
text appears once, in the reply that mints it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from tokenone.call.house import House
from tokenone.call.probe import probe
from tokenone.call.routing import Routing, explained
from tokenone.canonical import b64, unb64
from tokenone.dispatch.providers import PROVIDERS
from tokenone.dispatch.reference import intake_check
from tokenone.errors import CallerError
from tokenone.route import Router
from tokenone.rows import Endpoint, Key
from tokenone.scope import mint
from tokenone.types import Mode
from tokenone.vault.seal import SealContext


@dataclass(frozen=True, slots=True)
class Ops:
    """The operations of one worker, by name."""

    house: House
    status: Callable[[], dict[str, Any]]
    catch_up: Callable[[], Awaitable[None]]
    """Brings the directory up to the database: what was just made there may be asked for here."""
    routing: Routing | None = None
    """What calls are planned with here; without it explanations know the bench alone."""

    def by_name(self) -> dict[str, Any]:
        """Returns the table that the control server serves."""
        return {
            "status": self.tell_status,
            "sealing-key": self.sealing_key,
            "challenge": self.challenge,
            "tenant.new": self.new_tenant,
            "key.take-in": self.take_in,
            "key.probe": self.probe,
            "token.mint": self.mint,
            "route.explain": self.explain,
            "call": self.call,
        }

    async def tell_status(self, _: dict[str, Any]) -> dict[str, Any]:
        return self.status()

    async def sealing_key(self, _: dict[str, Any]) -> dict[str, Any]:
        key = self.house.vault.sealing_key()
        return {"public": key.public, "fingerprint": key.fingerprint}

    async def challenge(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"challenge": self.house.vault.challenge(), "slot": self.house.slot}

    async def new_tenant(self, request: dict[str, Any]) -> dict[str, Any]:
        """Makes a tenant's key-encryption key and content-commitment key, both wrapped."""
        made = self.house.vault.new_tenant(_text(request, "tenant"))
        kek = {"version": made.kek.version, "root": made.kek.root, "wrapped": b64(made.kek.wrapped)}
        return {"kek": kek, "commitment": b64(made.commitment)}

    async def take_in(self, request: dict[str, Any]) -> dict[str, Any]:
        """Opens a sealed secret, checks its shape and returns it as an envelope."""
        key = _row(request, "key", Key)
        endpoint = _row(request, "endpoint", Endpoint)
        context = _row(request, "context", SealContext)
        await self.catch_up()
        await self.house.ledger.append(
            "key",
            {
                "act": "take-in",
                "tenant": key.tenant,
                "key": key.id,
                "endpoint": endpoint.id,
                "ver": request["version"],
            },
        )
        rules, shape = self.house.credentials.references.rules, PROVIDERS[key.provider].check_secret
        taken = self.house.vault.take_in(
            unb64(_text(request, "sealed")), context, key=key, version=int(request["version"]),
            endpoint=endpoint, check=intake_check(rules, key.tenant, endpoint, shape),
        )  # fmt: skip
        return {"envelope": b64(taken.envelope), "masked": taken.masked, "fingerprint": taken.fingerprint}

    async def probe(self, request: dict[str, Any]) -> dict[str, Any]:
        """Sends the provider's cheapest request with a key; never one that costs money."""
        await self.catch_up()
        return await probe(self.house, _text(request, "key"))

    async def mint(self, request: dict[str, Any]) -> dict[str, Any]:
        """Mints a caller token; its text is in this reply alone."""
        mode: Mode = "dev" if request.get("mode") == "dev" else "live"
        minted = mint(self.house.pepper, mode)
        return {"id": minted.id, "text": minted.text, "digest": b64(minted.digest)}

    async def explain(self, request: dict[str, Any]) -> dict[str, Any]:
        """Tells where a call would go, and why; no provider is asked."""
        await self.catch_up()
        question = {name: value for name, value in request.items() if name != "op"}
        routing = self.routing or Routing(Router(self.house.catalog), self.house.health)
        return explained(self.house, routing, question)

    async def call(self, request: dict[str, Any]) -> dict[str, Any]:
        """Returns the entries of a recent call of this worker."""
        return {"entries": await self.house.recent.told(_text(request, "call"))}


def _text(request: dict[str, Any], name: str) -> str:
    value = request.get(name)
    if not isinstance(value, str) or not value:
        raise CallerError(f"the control request lacks {name}")
    return value


def _row(request: dict[str, Any], name: str, kind: type[Any]) -> Any:
    try:
        return msgspec.convert(request.get(name), kind)
    except msgspec.ValidationError:
        raise CallerError(f"the control request's {name} is not of its form") from None
