"""A console on a real SQLite store, and a stand-in for the gateway's answers alone.

The stand-in is faked only where a gateway would answer over its socket; sealing and minting are the real code.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tokenone.audit import Act
from tokenone.canonical import b64, unb64
from tokenone.clock import FrozenClock
from tokenone.console_api import ConsoleDeps, create_app
from tokenone.errors import ControlUnavailable, Unopenable
from tokenone.keyed import Keyed
from tokenone.scope.token import mint
from tokenone.store import Index, Store
from tokenone.vault.seal import SealContext, fingerprint, seal, unseal

NAME, PASSWORD = "ann", "correct horse battery staple"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class StandInGateway:
    """Answers as a gateway would; `away` makes it silent."""

    def __init__(self) -> None:
        self.private = X25519PrivateKey.generate()
        self.public = self.private.public_key().public_bytes_raw()
        self.pepper = Keyed(secrets.token_bytes(32))
        self.challenges: set[str] = set()
        self.taken: list[bytes] = []
        self.slots: list[int | None] = []
        self.away = False

    async def ask(self, op: str, *, slot: int | None = None, **fields: Any) -> dict[str, Any]:
        if self.away:
            raise ControlUnavailable
        msgspec.json.encode(fields)  # it crosses a socket as JSON
        self.slots.append(slot)
        answer: dict[str, Any] = getattr(self, op.replace(".", "_").replace("-", "_"))(**fields)
        return answer

    def status(self) -> dict[str, Any]:
        return {"slot": 0}

    def sealing_key(self) -> dict[str, Any]:
        return {"public": b64(self.public), "fingerprint": fingerprint(self.public)}

    def challenge(self) -> dict[str, Any]:
        given = b64(secrets.token_bytes(16))
        self.challenges.add(given)
        return {"challenge": given, "slot": 3}

    def tenant_new(self, tenant: str) -> dict[str, Any]:
        kek = {"version": 1, "root": "local:vault", "wrapped": b64(b"wrapped")}
        return {"kek": kek, "commitment": b64(b"commitment")}

    def key_take_in(
        self,
        sealed: str,
        context: dict[str, Any],
        key: dict[str, Any],
        endpoint: dict[str, Any],
        version: int,
    ) -> dict[str, Any]:
        opened = msgspec.convert(context, SealContext)
        if opened.challenge not in self.challenges:
            raise Unopenable
        self.challenges.remove(opened.challenge)
        secret = unseal(self.private, unb64(sealed), opened)
        self.taken.append(secret)
        return {
            "envelope": b64(b"TKE1" + secrets.token_bytes(40)),
            "masked": "sk-…a1b2",
            "fingerprint": "f" * 32,
        }

    def token_mint(self, mode: str) -> dict[str, Any]:
        minted = mint(self.pepper, "dev" if mode == "dev" else "live")
        return {"id": minted.id, "text": minted.text, "digest": b64(minted.digest)}

    def key_probe(self, key: str) -> dict[str, Any]:
        return {"usable": True, "status": 200, "class": None, "detail": "accepted", "elapsed_us": 1200}

    def route_explain(self, model: str, **question: Any) -> dict[str, Any]:
        plain = {"route": None, "rule": None, "strategy": None, "attempts": 2, "rules": [], "lines": []}
        return {"model": model, "refusal": "no key in this scope", **plain}


class Console:
    """A running console and its parts."""

    def __init__(self, deps: ConsoleDeps, gateway: StandInGateway, directory: Path) -> None:
        self.deps = deps
        self.gateway = gateway
        self.directory = directory
        self.app = create_app(deps)
        self.http = self.client()

    def client(self, address: str = "127.0.0.1") -> httpx2.AsyncClient:
        transport = httpx2.ASGITransport(app=self.app, client=(address, 40000), raise_app_exceptions=False)
        return httpx2.AsyncClient(transport=transport, base_url="http://console")

    async def sign_in(self) -> dict[str, Any]:
        answer = await self.http.post("/api/v1/session", json={"name": NAME, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        self.http.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        return tokens

    async def post(self, path: str, body: Any = None, *, status: int = 201, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self.http.post(f"/api/v1{path}", json=body, headers=named)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def get(self, path: str, *, status: int = 200, **query: Any) -> Any:
        answer = await self.http.get(f"/api/v1{path}", params=query)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def events(self, **query: Any) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.get("/audit", limit=200, **query))["items"]
        return items

    async def scope(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Makes a tenant, a project, a workload and an endpoint."""
        tenant = await self.post("/tenants", {"name": f"Acme {secrets.token_hex(4)}"})
        project = await self.post("/projects", {"tenant": tenant["id"], "name": "search"})
        workload = await self.post("/workloads", {"project": project["id"], "name": "indexer"})
        endpoint = await self.post(
            "/endpoints",
            {
                "tenant": tenant["id"],
                "provider": "openai",
                "name": "eu",
                "origins": ["https://api.openai.com"],
            },
        )
        return tenant, project, workload, endpoint

    async def key(self, tenant: dict[str, Any], endpoint: dict[str, Any], secret: bytes = b"sk-1") -> Any:
        """Takes in a sealed key."""
        given = await self.post("/challenges", {"tenant": tenant["id"], "endpoint": endpoint["id"]})
        sealed = seal(unb64(given["sealing_key"]["public"]), secret, SealContext(**given["context"]))
        body = {
            "key_id": given["key_id"], "challenge": given["challenge"], "tenant": tenant["id"],
            "provider": endpoint["provider"], "endpoint": endpoint["id"], "name": "main", "sealed": b64(sealed),
        }  # fmt: skip
        return await self.post("/keys", body)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrated databases with one owner, made once and copied for each test."""
    directory = tmp_path_factory.mktemp("template")
    asyncio.run(made(directory))
    return directory


async def made(directory: Path) -> None:
    store = await Store.open(f"sqlite:///{directory}/management.db", FrozenClock())
    index = await Index.open(f"sqlite:///{directory}/index.db", FrozenClock())
    await store.migrate()
    await index.migrate()
    await store.people.add(Act("operator", "operator", "person.create"), NAME, PASSWORD)
    await store.close()
    await index.close()


@pytest.fixture
def opened(template: Path) -> Callable[..., AbstractAsyncContextManager[Console]]:
    """Opens a console in a directory; more deps by keyword."""

    @asynccontextmanager
    async def opened_in(directory: Path, **more: Any) -> AsyncIterator[Console]:
        for name in ("management.db", "index.db"):
            shutil.copy(template / name, directory / name)
        clock = FrozenClock()
        store = await Store.open(f"sqlite:///{directory}/management.db", clock)
        index = await Index.open(f"sqlite:///{directory}/index.db", clock)
        gateway = StandInGateway()
        deps = ConsoleDeps(
            store=store, index=index, control=gateway, session_key=b"s" * 32, clock=clock, **more
        )  # fmt: skip
        yield Console(deps, gateway, directory)
        await index.close()
        await store.close()

    return opened_in


@pytest.fixture
async def console(tmp_path: Path, opened: Any) -> AsyncIterator[Console]:
    async with opened(tmp_path) as running:
        yield running
