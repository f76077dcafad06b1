"""Law of the absent database: calls are served until the tenant's staleness bound, then refused, then served again.

What is decided stays decided meanwhile, nothing is edited, and nobody restarts anything.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kit.battered import Battered
from kit.processes import SECONDS, full_house
from kit.routes import Route, route_to
from kit.until import until

BOUND_US = 2_000_000
FILES = ("management.db", "management.db-wal", "management.db-shm")


@pytest.fixture(scope="module")
def brief(alone: Battered) -> Route:
    """A tenant that trusts an old directory for two seconds only."""
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
        f"\nrefused {stale:.1f} s after it went (bound {BOUND_US / 1e6:.0f} s), served {recovered:.1f} s after it came"
    )


def test_a_database_file_that_is_moved_away(alone: Battered, brief: Route, tmp_path: Path) -> None:
    data = alone.whole().house.directory

    def move(source: Path, target: Path) -> None:
        for name in FILES:
            if (source / name).exists():
                (source / name).rename(target / name)

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
