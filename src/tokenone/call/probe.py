"""Proves a key with the provider's cheapest request, by the same way as a call: recorded, then sent.

Law: a probe never costs money; it is a key access like any other, with an entry before a byte leaves.
"""

from __future__ import annotations

from typing import Any

from tokenone.call.house import House
from tokenone.canonical import Canonical
from tokenone.dispatch.credential import Unsigned
from tokenone.dispatch.providers import PROVIDERS
from tokenone.errors import KeyUnusable, NotFound, ProviderError
from tokenone.rows import Endpoint, Key, KeyVersion
from tokenone.types import parse_origin
from tokenone.vault.life import leasable, state_at
from tokenone.wire.client import Outgoing

ANSWER_BYTES = 1 << 20


async def probe(house: House, key_id: str) -> dict[str, Any]:
    """Returns whether the key works: `{usable, status, class, detail, elapsed_us}`."""
    key, version, endpoint = _subject(house, key_id)
    fields: dict[str, Canonical] = {
        "act": "probe", "tenant": key.tenant, "key": key.id, "ver": version.version, "origin": endpoint.origins[0],
    }  # fmt: skip
    await house.ledger.append("key", fields)
    started_us = house.clock.monotonic_us()
    answer = await _ask(house, key, version, endpoint)
    answer["elapsed_us"] = house.clock.monotonic_us() - started_us
    return answer


def _subject(house: House, key_id: str) -> tuple[Key, KeyVersion, Endpoint]:
    key = house.directory.key(key_id)
    if key is None:
        raise NotFound("no such key in this gateway yet; try again in a second")
    now_us = house.clock.now_us()
    versions = [
        version for version in house.directory.versions(key_id) if leasable(state_at(key, version, now_us))
    ]
    endpoint = house.directory.endpoint(key.endpoint)
    if not versions or endpoint is None:
        raise KeyUnusable("no version of this key may be used now")
    return key, max(versions, key=lambda version: version.version), endpoint


async def _ask(house: House, key: Key, version: KeyVersion, endpoint: Endpoint) -> dict[str, Any]:
    facts = PROVIDERS[key.provider]
    method, path, headers = facts.probe
    lease = house.vault.lease(key, version, endpoint, mode=key.mode)
    origin, target = parse_origin(endpoint.origins[0]), facts.place(endpoint, path)
    unsigned = Unsigned(method, origin.authority.encode("ascii"), target, headers, b"", house.clock.now_us())
    outgoing = Outgoing(
        origin=origin,
        pool=(key.tenant, key.id, version.version),
        method=method,
        target=target,
        headers=facts.credential(unsigned, lease.secret),
        body=b"",
        timeouts=house.timeouts,
        ca_pem=endpoint.ca_pem,
    )
    try:
        reply = await house.client.send(outgoing)
        body = await reply.read(ANSWER_BYTES)
    except ProviderError as error:
        return {"usable": None, "status": None, "class": error.code, "detail": error.detail}
    if reply.status < 300:
        return {
            "usable": True,
            "status": reply.status,
            "class": None,
            "detail": "the provider accepts the key",
        }
    found = facts.error_class(reply.status, reply.headers, body)
    return {
        "usable": False,
        "status": reply.status,
        "class": found.value,
        "detail": "the provider refused the key",
    }
