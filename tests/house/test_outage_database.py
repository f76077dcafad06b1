"""Law of the absent database: calls are served until the tenant's staleness bound, then refused, then served again.

What is decided stays decided meanwhile, nothing is edited, and nobody restarts anything.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from kit.battered import Battered, laid_out
from kit.installation import Installation
from kit.postgres import Postgres, server_of
from kit.processes import SECONDS, full_house
from kit.routes import Route, route_to
from kit.until import until

BOUND_US = 1_500_000
FILES = ("management.db", "management.db-wal", "management.db-shm")


@pytest.fixture(scope="module")
def brief(alone: Battered) -> Route:
    """A tenant that trusts an old directory for a second and a half only."""
    alone.whole()
    return route_to(alone.house, "brief", alone.upstream.origin, staleness_us=BOUND_US)


def outlives(alone: Battered, brief: Route, away: Callable[[], object], back: Callable[[], object]) -> None:
    """Takes the database away and gives it back, and watches what callers are told."""
    (pid,) = full_house(alone.house)
    assert alone.refusal(brief.place) is None
    began = time.monotonic()
    away()
    assert alone.refusal(brief.place) is None, "within the bound calls are served"
    until(lambda: alone.refusal(brief.place) == "directory_stale", "the bound", SECONDS)
    stale = time.monotonic() - began
    assert stale >= BOUND_US / 1e6 - 0.6, "not before the bound"
    assert alone.call(brief.place).status_code == 503
    sent = alone.sent
    assert alone.refusal(brief.place) == "directory_stale"
    assert alone.sent == sent
    assert alone.refusal() is None, "another tenant's bound is its own"
    began = time.monotonic()
    back()
    until(lambda: alone.refusal(brief.place) is None, "calls to be served again", SECONDS)
    recovered = time.monotonic() - began
    assert full_house(alone.house) == [pid]
    print(
        f"\nrefused {stale:.1f} s after it went (bound {BOUND_US / 1e6:.1f} s), served {recovered:.1f} s after it came"
    )


def move(source: Path, target: Path) -> None:
    for name in FILES:
        if (source / name).exists():
            (source / name).rename(target / name)


def test_a_database_file_that_is_moved_away(alone: Battered, brief: Route, tmp_path: Path) -> None:
    data = alone.whole().house.directory

    outlives(alone, brief, lambda: move(data, tmp_path), lambda: move(tmp_path, data))


@contextmanager
def locked_by_another(data: Path) -> Iterator[None]:
    """Holds every lock of SQLite's WAL index, as a process does that recovers or checkpoints for ever."""
    with (data / "management.db-shm").open("r+b") as shared:
        until(lambda: try_lock(shared.fileno()), "the locks", SECONDS)
        yield


def try_lock(descriptor: int) -> bool:
    """Bytes 120 to 127 are the locks; see https://www.sqlite.org/walformat.html, section 2.3."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 8, 120)
    except OSError:
        return False
    return True


def test_a_database_that_another_process_keeps_locked(alone: Battered, brief: Route) -> None:
    held = locked_by_another(alone.whole().house.directory)
    outlives(alone, brief, held.__enter__, lambda: held.__exit__(None, None, None))


def test_a_database_that_is_replaced_by_a_backup_is_followed_from_there(
    alone: Battered, tmp_path: Path
) -> None:
    house = alone.whole().house
    data, desk = house.directory, house.desk()
    kept = route_to(house, "kept", alone.upstream.origin)
    for name in FILES:
        shutil.copy(data / name, tmp_path / name)
    lost = route_to(house, "lost", alone.upstream.origin)
    assert alone.refusal(lost.place) is None
    desk.api("POST", f"/tokens/{kept.place.token_id}/revoke")
    until(lambda: alone.refusal(kept.place) == "token_revoked", "the revocation", SECONDS)
    for name in FILES:
        (data / name).unlink(missing_ok=True)
    for name in FILES:
        os.replace(tmp_path / name, data / name)
    until(lambda: alone.refusal(kept.place) is None, "the state of the backup", SECONDS)
    assert alone.refusal(lost.place) == "invalid_token"
    later = desk.tenant("made after the backup came back")
    house.until_current()
    assert later in {row["id"] for row in desk.api("GET", "/tenants?limit=200")["items"]}


def test_a_database_that_is_away_at_the_start_is_waited_for(alone: Battered, tmp_path: Path) -> None:
    house = alone.whole().house
    house.stop()
    move(house.directory, tmp_path)
    seen = len(house.lines)
    starting = threading.Thread(target=house.start)
    starting.start()
    until(lambda: any("gateway 0 ended with 1" in line for line in house.lines[seen:]), "a refusal", SECONDS)
    assert not any(line.startswith("ready") for line in house.lines[seen:])
    move(tmp_path, house.directory)
    starting.join(SECONDS)
    full_house(house)
    assert alone.refusal() is None


@pytest.fixture(scope="module")
def on_postgresql(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Battered, Route, Postgres]]:
    server = server_of(request)
    url = server.new_database()
    settings = {"TOKENONE_DATABASE__URL": url, "TOKENONE_DATABASE__INDEX_URL": url}
    house = Installation(tmp_path_factory.mktemp("outage") / "data", settings=settings)
    house.init()
    with laid_out(house) as alone:
        yield alone, route_to(house, "brief", alone.upstream.origin, staleness_us=BOUND_US), server


def test_a_postgresql_that_is_stopped(on_postgresql: tuple[Battered, Route, Postgres]) -> None:
    alone, brief, postgres = on_postgresql
    outlives(alone, brief, postgres.server.stop, postgres.server.ensure_postgres_running)


def test_a_postgresql_that_hangs(on_postgresql: tuple[Battered, Route, Postgres]) -> None:
    alone, brief, postgres = on_postgresql
    postmaster = psutil.Process(postgres.server.get_pid())
    frozen: list[psutil.Process] = []

    def freeze() -> None:
        for process in (postmaster, *postmaster.children()):
            process.suspend()
            frozen.append(process)

    def thaw() -> None:
        while frozen:
            frozen.pop().resume()

    try:
        outlives(alone, brief, freeze, thaw)
    finally:
        thaw()
