"""Proves a key with the provider's cheapest request, by the same way as a call: recorded, then sent.

Law: a probe never costs money; it is a key access like any other, with an entry before a byte leaves.
"""

from __future__ import annotations

from typing import Any, Final

from tokenone.call.house import House
from tokenone.canonical import Canonical
from tokenone.dispatch.credential import Unsigned
from tokenone.dispatch.providers import PROVIDERS, Facts
from tokenone.errors import KeyUnusable, NotFound, ProviderError, UpstreamAuth
from tokenone.rows import Candidate
from tokenone.types import ErrorClass, parse_origin
from tokenone.vault.life import leasable, state_at
from tokenone.wire.client import Outgoing
from tokenone.wire.upstream import Incoming

ANSWER_BYTES = 1 << 20
_DETAILS: Final = {
    True: "the provider accepts the key",
    False: "the provider refused the key",
    None: "the answer does not say whether the provider accepts the key",
}
_REFUSED = (ErrorClass.KEY_DEAD, ErrorClass.BILLING)


async def probe(house: House, key_id: str) -> dict[str, Any]:
    """Returns whether the key works: `{usable, status, class, detail, elapsed_us}`."""
    subject = _subject(house, key_id)
    key, version, endpoint = subject.key, subject.version, subject.endpoint
    fields: dict[str, Canonical] = {
        "act": "probe", "tenant": key.tenant, "key": key.id, "ver": version.version, "origin": endpoint.origins[0],
    }  # fmt: skip
    await house.ledger.append("key", fields)
    started_us = house.clock.monotonic_us()
    answer = await _ask(house, subject)
    answer["elapsed_us"] = house.clock.monotonic_us() - started_us
    return answer


def _subject(house: House, key_id: str) -> Candidate:
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
    newest = max(versions, key=lambda version: version.version)
    return Candidate(key=key, version=newest, endpoint=endpoint, level="tenant", weight=0, priority=0)


async def _ask(house: House, subject: Candidate) -> dict[str, Any]:
    key, endpoint = subject.key, subject.endpoint
    facts = PROVIDERS[key.provider]
    asked = facts.probe
    house.credentials.forget(key.id)  # the secret is to be proven, not a token that it brought an hour ago
    try:
        usable = await house.credentials.of(subject, key.mode)
    except UpstreamAuth as error:
        return {"usable": False, "status": None, "class": ErrorClass.KEY_DEAD.value, "detail": error.detail}
    except ProviderError as error:
        return {"usable": None, "status": None, "class": error.code, "detail": error.detail}
    origin, target = parse_origin(endpoint.origins[0]), facts.place(endpoint, asked.target)
    authority = origin.authority.encode("ascii")
    unsigned = Unsigned(asked.method, authority, target, asked.headers, asked.body, house.clock.now_us())
    outgoing = Outgoing(
        origin=origin,
        pool=(key.tenant, key.id, subject.version.version),
        method=asked.method,
        target=target,
        headers=facts.credential(unsigned, usable.secret),
        body=asked.body,
        timeouts=house.timeouts,
        ca_pem=endpoint.ca_pem,
    )
    try:
        reply = await house.client.send(outgoing)
        body = await reply.read(ANSWER_BYTES)
    except ProviderError as error:
        return {"usable": None, "status": None, "class": error.code, "detail": error.detail}
    return _read(facts, reply, body)


def _read(facts: Facts, reply: Incoming, body: bytes) -> dict[str, Any]:
    """Returns what an answer says of the key; some providers deny it with a 200."""
    usable: bool | None = False
    found: ErrorClass | None
    if reply.status < 300:
        usable = facts.probe.proves(body)
        found = {True: None, False: ErrorClass.KEY_DEAD, None: ErrorClass.UNKNOWN}[usable]
    else:
        found = facts.error_class(reply.status, reply.headers, body)
    return {
        "usable": usable,
        "status": reply.status,
        "class": found and found.value,
        "detail": _DETAILS[usable],
    }
