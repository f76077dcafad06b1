"""Every kind of place that a caller can stand in, laid out by the verbs of a management desk.

Law: the same lay-out for a real installation (its REST API) and for the house in this process; each place has
keys of both providers unless its name says otherwise.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from kit.fronts import FRONTS, Front
from kit.installation import free_port
from tokenone.testing.authority import Authority
from tokenone.testing.desk import Workplace
from tokenone.testing.standin import StandIn, ThreadedListener


class Management(Protocol):
    """What `Desk` and `InProcess` have in common."""

    def tenant(self, name: str, **fields: Any) -> str: ...
    def place(self, tenant: str, name: str, **token: Any) -> Workplace: ...
    def token(self, workload: str, **fields: Any) -> dict[str, Any]: ...
    def endpoint(self, provider: str, origin: str, *, tenant: str | None = None, **fields: Any) -> str: ...
    def key(self, tenant: str, provider: str, endpoint: str, secret: str, **fields: Any) -> str: ...
    def assign(self, key: str, kind: str, scope: str, **fields: Any) -> str: ...
    def api(self, method: str, path: str, body: Any = None) -> Any: ...


@dataclass
class Outside:
    """What lies outside the gateway: a provider's stand-in, plain and over TLS, and providers that fail."""

    standin: StandIn
    plain: str
    tls: str
    ca_pem: str
    other_ca_pem: str
    nowhere: str
    silent: str


@contextlib.contextmanager
def outside(folder: Path, standin: StandIn | None = None) -> Iterator[Outside]:
    """Opens them all on loopback."""
    authority, other = Authority(), Authority(name="another authority")
    context: ssl.SSLContext = authority.server_context(folder)
    standin = standin or StandIn()
    with (
        ThreadedListener(standin) as plain,
        ThreadedListener(standin, tls=context) as tls,
        socket.create_server(("127.0.0.1", 0)) as mute,  # takes connections and says nothing: no TLS hello
    ):
        yield Outside(
            standin=standin,
            plain=plain.origin,
            tls=tls.origin,
            ca_pem=authority.ca_pem,
            other_ca_pem=other.ca_pem,
            nowhere=f"http://127.0.0.1:{free_port()}",
            silent=f"https://127.0.0.1:{mute.getsockname()[1]}",
        )


@dataclass
class Grounds:
    """The places by name, and the keys by place and front."""

    places: dict[str, Workplace]
    keys: dict[tuple[str, str], str]
    outside: Outside


GRANTS = ["inference", "stateful"]
NOT_HERE = ["192.0.2.0/24"]


def lay_out(desk: Management, world: Outside, secrets: dict[str, str], name: str = "grounds") -> Grounds:
    """Makes every place; `secrets` holds the provider key of each front."""
    open_tenant = desk.tenant(f"{name} open", detect={"request": "flag", "response": "flag"})
    strict_tenant = desk.tenant(f"{name} strict", detect={"request": "block", "response": "block"})
    made = Grounds({}, {}, world)
    maker = _Maker(desk, made, secrets)
    usual = maker.endpoints(open_tenant, world.plain)
    for place in ("good", "fenced", "foreign", "closed", "limited", "suspended"):
        maker.keyed(open_tenant, place, usual, grants=GRANTS)
    maker.keyed(open_tenant, "no grant", usual)
    maker.keyed(open_tenant, "elsewhere", usual, addresses=NOT_HERE)
    maker.keyed(open_tenant, "expired", usual, expires_us=1)
    maker.keyed(open_tenant, "revoked", usual)
    made.places["bare"] = desk.place(open_tenant, "bare")
    maker.keyed(strict_tenant, "strict", maker.endpoints(strict_tenant, world.plain))
    maker.keyed(open_tenant, "nowhere", maker.endpoints(open_tenant, world.nowhere))
    maker.keyed(open_tenant, "forbidden", maker.endpoints(open_tenant, "https://10.11.12.13"))
    maker.keyed(open_tenant, "silent", maker.endpoints(open_tenant, world.silent))
    maker.keyed(open_tenant, "trusted", maker.endpoints(open_tenant, world.tls, ca_pem=world.ca_pem))
    maker.keyed(open_tenant, "untrusted", maker.endpoints(open_tenant, world.tls, ca_pem=world.other_ca_pem))
    maker.restrict()
    return made


@dataclass
class _Maker:
    desk: Management
    made: Grounds
    secrets: dict[str, str]

    count: Iterator[int] = field(default_factory=itertools.count)

    def endpoints(self, tenant: str, origin: str, **fields: Any) -> dict[str, str]:
        name = f"endpoint {next(self.count)}"
        return {
            front: self.desk.endpoint(
                front, origin, tenant=tenant, name=f"{name} {front}", base_path=f"/{front}", **fields
            )
            for front in FRONTS
        }

    def keyed(self, tenant: str, name: str, endpoints: dict[str, str], **token: Any) -> None:
        place = self.made.places[name] = self.desk.place(tenant, name, **token)
        for front, endpoint in endpoints.items():
            key = self.desk.key(tenant, front, endpoint, self.secrets[front])
            self.made.keys[name, front] = key
            self.desk.assign(key, "workload", place.workload)

    def restrict(self) -> None:
        """Edits what differs from an open place."""
        places, api = self.made.places, self.desk.api
        _limit(api, places["fenced"], {"models": ["gpt-4o", "claude-opus-4-5"]})
        _limit(api, places["foreign"], {"providers": ["cohere"]})
        _limit(api, places["limited"], {"requests_per_minute": 1})
        api("PATCH", f"/workloads/{places['closed'].workload}", {"closed": True})
        api("POST", f"/tokens/{places['revoked'].token_id}/revoke")
        for front in FRONTS:
            api("POST", f"/keys/{self.made.keys['suspended', front]}/suspend")


def _limit(api: Any, place: Workplace, restrictions: dict[str, Any]) -> None:
    api("PATCH", f"/workloads/{place.workload}", {"restrictions": restrictions})


def secret_of(front: Front, filling: str) -> str:
    """A key in the provider's form."""
    return front.secret_prefix + filling
