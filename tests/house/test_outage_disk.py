"""Law of the full disk: what cannot be recorded is not sent; calls under way end well; it comes back by itself."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from kit.battered import Battered, laid_out
from kit.houses import copy_of
from kit.log import assert_every_intent_has_one_outcome, assert_verified, read_log
from kit.processes import SECONDS, full_house
from kit.slowcall import slow_call
from kit.until import until

UNLIMITED = (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY)


@contextmanager
def no_room(pid: int) -> Iterator[None]:
    """Lets a process write no byte to any file, as a full disk does (EFBIG instead of ENOSPC)."""
    worker = psutil.Process(pid)
    worker.rlimit(psutil.RLIMIT_FSIZE, (0, psutil.RLIM_INFINITY))
    try:
        yield
    finally:
        worker.rlimit(psutil.RLIMIT_FSIZE, UNLIMITED)


def test_a_full_disk_refuses_before_dispatch_and_comes_back_by_itself(alone: Battered) -> None:
    house = alone.whole().house
    (pid,) = full_house(house)
    with slow_call(house, alone.slow.place) as running:
        alone.gate.let()
        running.read_event()
        sent = alone.sent
        with no_room(pid):
            codes = {alone.refusal() for _ in range(20)}
            assert codes == {"ledger_unavailable"}
            assert alone.call().status_code == 503
            assert not alone.ready()
            assert alone.sent == sent
            alone.gate.finish()
            assert b"data: [DONE]" in running.read_on()
            assert state_of(alone, running.call) == "open"  # nobody is told what is not recorded
        until(alone.ready, "room again", SECONDS)
    assert alone.refusal() is None
    assert alone.sent == sent + 1
    assert house.told(alone.slow.place, running.call)["attempts"][0]["cause"] == "complete"
    assert full_house(house) == [pid], "the same worker serves on"
    assert_recorded(alone, running.call)


def state_of(alone: Battered, call: str) -> str:
    headers = {"authorization": f"Bearer {alone.slow.place.token}"}
    answer = alone.house.http.get(f"{alone.house.gateway}/tokenone/calls/{call}", headers=headers)
    return str(answer.json()["state"])


def assert_recorded(alone: Battered, call: str) -> None:
    log = read_log(alone.house)
    assert_every_intent_has_one_outcome(log)
    assert log.outcomes[call, 1][0].fields["cause"] == "complete"
    back = log.kinds("note")[-1].fields
    assert back["event"] == "ledger-back"
    assert back["refused"] > 0
    assert_verified(alone.house)


@contextmanager
def small_disk(place: Path) -> Iterator[None]:
    """A file system of 3 MiB of its own; needs the right to mount."""
    place.mkdir(exist_ok=True)
    kept = [(path.name, path.read_bytes()) for path in place.iterdir()]
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "none", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no right to mount: {mounted.stderr.decode().strip()}")
    try:
        for name, content in kept:
            (place / name).write_bytes(content)
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.long
def test_a_file_system_without_a_free_byte_records_its_outage_and_comes_back(
    template: Path, tmp_path: Path
) -> None:
    house = copy_of(template, tmp_path)
    with small_disk(house.directory / "ledger"), laid_out(house) as alone:
        stuffing = house.directory / "ledger" / "stuffing"
        fill(stuffing)
        until(lambda: alone.refusal() == "ledger_unavailable", "the disk to be full", SECONDS)
        sent = alone.sent
        assert alone.refusal() == "ledger_unavailable"
        assert alone.sent == sent
        stuffing.unlink()
        until(alone.ready, "room again", SECONDS)
        assert alone.refusal() is None
        log = read_log(house)
        assert [note.fields["event"] for note in log.kinds("note")] == ["ledger-away", "ledger-back"]
        assert_every_intent_has_one_outcome(log)
        assert_verified(house)


def fill(path: Path) -> None:
    """Takes every free byte of a small file system."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(512)):
            pass
