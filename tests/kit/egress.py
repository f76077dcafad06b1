"""Where the test run connected to: every process's own notes, and the kernel's table as a second witness.

Law: anything but loopback and Unix sockets fails the run, names that would have to be asked for included.
Processes that are not Python are seen by the kernel's table alone, twice a second.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kit.egress_hook import egress_witness

HOOK = Path(egress_witness.__file__).parent
TABLES = ("tcp", "tcp6", "udp", "udp6")
LOOK_SECONDS = 0.5
_ROW = re.compile(
    r"^\s*\d+: [0-9A-F]+:[0-9A-F]+ ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) (?:\S+ +){6}(\d+)", re.M
)
_LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost"})


@dataclass
class Account:
    """What was contacted: how many connects, by how many processes, and whatever was not loopback."""

    connects: int = 0
    processes: set[int] = field(default_factory=set)
    foreign: Counter[str] = field(default_factory=Counter)

    @property
    def clean(self) -> bool:
        return not self.foreign

    def line(self) -> str:
        """The summary's line."""
        told = f"egress: {self.connects} connects by {len(self.processes)} processes, "
        if self.clean:
            return told + "all loopback or Unix sockets"
        return (
            told
            + "NOT loopback: "
            + ", ".join(f"{place} ({n} times)" for place, n in self.foreign.most_common())
        )


def account(notes: Path) -> Account:
    """Reads the notes of all processes."""
    made = Account()
    if not notes.exists():
        return made
    for line in notes.read_text("utf-8").splitlines():
        pid, kind, place = line.split(" ", 2)
        made.processes.add(int(pid))
        made.connects += kind != "name"
        if not (is_local(place) or (kind == "name" and _is_address(place))):
            made.foreign[f"{kind} {place}"] += 1
    return made


def is_local(place: str) -> bool:
    """Says whether a noted place is this machine: a Unix socket, loopback, or a name that means it."""
    if place in ("unix", "other") or place.lower().rstrip(".") in _LOCAL_NAMES:
        return True
    try:
        address = ipaddress.ip_address(place.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback or (mapped or address).is_unspecified


def _is_address(place: str) -> bool:
    """Says whether a name is an address already, so that resolving it asks nobody."""
    try:
        ipaddress.ip_address(place.partition("%")[0])
    except ValueError:
        return False
    return True


# ── the kernel's table ─────────────────────────────────────────────────────────────────────────────────────
def foreign_rows(table: str) -> Iterator[tuple[str, int]]:
    """Yields peer address and inode of every socket in a /proc/net table whose peer is another machine."""
    for raw, port, inode in _ROW.findall(table):
        if raw.endswith("7F") and len(raw) == 8:
            continue  # 127.0.0.0/8, the usual case
        address = _address(raw)
        if int(port, 16) and inode != "0" and not is_local(address):
            yield address, int(inode)


def _address(raw: str) -> str:
    words = [bytes.fromhex(raw[at : at + 8])[::-1] for at in range(0, len(raw), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


def owners(inodes: set[int], marker: bytes) -> dict[int, int]:
    """Returns inode → process id, for those sockets whose process carries `marker` in its environment."""
    found: dict[int, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if process.name != str(os.getpid()) and marker not in (process / "environ").read_bytes():
                continue
            for entry in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    link = os.readlink(entry)
                    if link.startswith("socket:[") and int(link[8:-1]) in inodes:
                        found[int(link[8:-1])] = int(process.name)
    return found


class Lookout(threading.Thread):
    """Looks at the kernel's tables and notes what the run's own processes hold open to other machines."""

    def __init__(self, notes: Path) -> None:
        super().__init__(name="egress lookout", daemon=True)
        self._notes = notes
        self._marker = f"{egress_witness.VARIABLE}={notes}".encode()
        self._over = threading.Event()
        self._judged: set[int] = set()

    def run(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self.look()

    def look(self) -> None:
        """Looks once."""
        rows: dict[int, str] = {}
        for name in TABLES:
            with contextlib.suppress(OSError):
                table = Path("/proc/net", name).read_text("ascii")
                rows |= {inode: address for address, inode in foreign_rows(table)}
        fresh = rows.keys() - self._judged
        self._judged = set(rows)
        if not fresh:
            return
        ours = owners(set(fresh), self._marker)
        with self._notes.open("a", encoding="utf-8") as file:
            file.writelines(f"{pid} kernel {rows[inode]}\n" for inode, pid in ours.items())

    def end(self) -> None:
        self._over.set()
        self.join(5)


class Recorder:
    """Watches the whole run from this process on."""

    def __init__(self) -> None:
        inherited = os.environ.get(egress_witness.VARIABLE)
        self._chief = inherited is None
        self._folder = tempfile.TemporaryDirectory(prefix="egress-") if self._chief else None
        self.notes = Path(inherited) if inherited else Path(self._folder.name, "connects")  # type: ignore[union-attr]
        self._lookout = Lookout(self.notes)

    def start(self) -> None:
        """Watches this process and all that it starts; a worker of a parallel run is watched already."""
        if not self._chief:
            return
        os.environ[egress_witness.VARIABLE] = str(self.notes)
        others = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(HOOK), *([others] if others else [])])
        egress_witness.watch(str(self.notes))
        self._lookout.start()

    def finish(self) -> Account | None:
        """Ends the watch and returns the account; None in a worker, whose chief accounts for it."""
        if not self._chief:
            return None
        self._lookout.end()
        self._lookout.look()
        return account(self.notes)


def python_with_notes(notes: Path, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """Returns command and environment of a Python process that notes into a file of its own."""
    environment = {**os.environ, egress_witness.VARIABLE: str(notes), "PYTHONPATH": str(HOOK)}
    return [sys.executable, *arguments], environment
