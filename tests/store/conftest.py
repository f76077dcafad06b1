"""A store of each kind with nothing in it: a PostgreSQL database and an SQLite file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kit.postgres import server_of
from tokenone.audit import Act
from tokenone.clock import FrozenClock
from tokenone.rows import Endpoint, Project, Tenant, TenantKek, Workload
from tokenone.store import Index, Store
from tokenone.types import Provider, new_id

ACT = Act("usr_1", "ann", "test.act", "127.0.0.1", "req_1")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each kind with nothing in it."""
    sqlite = f"sqlite:///{tmp_path}/management.db"
    return sqlite if request.param == "sqlite" else server_of(request).emptied_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each kind that was never migrated."""
    sqlite = f"sqlite:///{tmp_path}/new.db"
    return sqlite if request.param == "sqlite" else server_of(request).new_database()


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
async def store(url: str, clock: FrozenClock) -> AsyncIterator[Store]:
    opened = await Store.open(url, clock)
    await opened.migrate()
    yield opened
    await opened.close()


@pytest.fixture
async def index(url: str, clock: FrozenClock) -> AsyncIterator[Index]:
    """On PostgreSQL in a schema of the management database; on SQLite in a file of its own."""
    opened = await Index.open(url.replace("management.db", "index.db"), clock)
    await opened.migrate()
    yield opened
    await opened.close()


class Scope:
    """A tenant with a project, a workload and an endpoint."""

    def __init__(self) -> None:
        self.tenant = Tenant(new_id("ten"), f"tenant {new_id('n')}", commitment=b"\x00\xff")
        self.project = Project(new_id("prj"), self.tenant.id, "search")
        self.workload = Workload(new_id("wkl"), self.tenant.id, self.project.id, "indexer")
        self.endpoint = Endpoint(
            new_id("ep"), self.tenant.id, Provider.OPENAI, "eu", ("https://api.openai.com",)
        )

    async def put(self, store: Store) -> Scope:
        await store.scopes.add_tenant(ACT, self.tenant, TenantKek(self.tenant.id, 1, "local:v", b"kek"))
        await store.scopes.add_project(ACT, self.project)
        await store.scopes.add_workload(ACT, self.workload)
        await store.keys.add_endpoint(ACT, self.endpoint)
        return self


@pytest.fixture
async def scope(store: Store) -> Scope:
    return await Scope().put(store)
