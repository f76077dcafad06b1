"""Reads what a process cost (CPU, memory) and what the machine and its disk are.

Law: reads `/proc`, writes one scratch file for the disk's own figure; names no host and no user.
"""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import msgspec

from benchmarks.figures import percentile

_TICKS = os.sysconf("SC_CLK_TCK")
_STAT = Path("/proc/stat")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Reading(msgspec.Struct, frozen=True):
    """User plus system CPU time since the start, and resident memory, summed over processes."""

    cpu_seconds: float
    rss: int


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The facts that a figure depends on."""

    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    python: str


class Disk(msgspec.Struct, frozen=True):
    """What one fdatasync of a 4 KiB append costs on the disk that holds the ledger."""

    p50_us: float
    p99_us: float
    samples: int


def read(pids: tuple[int, ...]) -> Reading:
    """Sums CPU (all threads) and resident memory of the processes; one that ended counts as nothing."""
    cpu, rss = 0, 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            rss += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
        except (FileNotFoundError, ProcessLookupError):
            continue
        cpu += int(fields[11]) + int(fields[12])  # utime and stime, proc(5)
    return Reading(cpu / _TICKS, rss)


def descendants(pid: int) -> tuple[int, ...]:
    """Lists `pid` and every process below it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for known in found:
        found.extend(parents.get(known, ()))
    return tuple(found)


def stolen() -> tuple[int, int]:
    """Returns ticks that the hypervisor gave to others, and ticks that this machine wanted, since it started."""
    user, nice, system, _, _, irq, softirq, steal = map(int, _STAT.read_text().split(None, 9)[1:9])
    return steal, user + nice + system + irq + softirq + steal


def stolen_since(before: tuple[int, int]) -> float:
    """Returns the share in percent of what was wanted since `before` (an earlier `stolen`)."""
    steal, wanted = (now - then for now, then in zip(stolen(), before, strict=True))
    return 100 * steal / wanted if wanted > 0 else 0.0


def machine() -> Machine:
    """Names processor, cores, memory, kernel and Python; nothing that tells whose machine it is."""
    info = Path("/proc/cpuinfo").read_text()
    names = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PHYS_PAGES") * _PAGE / 2**30
    return Machine(
        cpu=names[0] if names else platform.machine(),
        cores=os.cpu_count() or 1,
        memory_gib=round(memory, 1),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
    )


def disk(directory: Path, *, samples: int = 400, seconds: float = 3.0) -> Disk:
    """Times fdatasync after 4 KiB appends in `directory`, at most `samples` times or for `seconds`."""
    scratch = directory / "fdatasync.scratch"
    descriptor = os.open(scratch, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    taken: list[int] = []
    deadline = time.monotonic() + seconds
    try:
        while len(taken) < samples and time.monotonic() < deadline:
            os.write(descriptor, bytes(4096))
            before = time.monotonic_ns()
            os.fdatasync(descriptor)
            taken.append((time.monotonic_ns() - before) // 1000)
    finally:
        os.close(descriptor)
        scratch.unlink()
    return Disk(percentile(taken, 50) or 0.0, percentile(taken, 99) or 0.0, len(taken))
