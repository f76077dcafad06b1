"""The witness of egress sees what it must: otherwise a run that says `all loopback` would say nothing."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from kit.egress import Account, Lookout, account, foreign_rows, is_local, owners, python_with_notes
from kit.egress_hook import egress_witness
from kit.houses import Attacked

# No packet leaves: TCP to the broadcast address has no route, UDP to it needs a permission that is not asked
# for, and a numeric look-up asks nobody.
CONNECT = "import socket; socket.socket().connect_ex(('255.255.255.255', 9))"
DATAGRAM = """
import contextlib, socket
with contextlib.suppress(OSError):
    socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('255.255.255.255', 9))
"""
NAME = """
import contextlib, socket
with contextlib.suppress(OSError):
    socket.getaddrinfo('provider.example', 443, flags=socket.AI_NUMERICHOST)
"""
UVLOOP = """
import asyncio, contextlib, uvloop
async def dial():
    with contextlib.suppress(OSError):
        await asyncio.get_running_loop().create_connection(asyncio.Protocol, '255.255.255.255', 9)
uvloop.run(dial())
"""
GRANDCHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {UVLOOP!r}])"


def noted(tmp_path: Path, program: str) -> Account:
    notes = tmp_path / "notes"
    command, environment = python_with_notes(notes, "-c", program)
    subprocess.run(command, env=environment, check=True, timeout=60)
    return account(notes)


@pytest.mark.parametrize(
    ("program", "place"),
    [
        (CONNECT, "connect 255.255.255.255"),
        (DATAGRAM, "send 255.255.255.255"),
        (NAME, "name provider.example"),
        (UVLOOP, "uvloop 255.255.255.255"),
        (GRANDCHILD, "uvloop 255.255.255.255"),
    ],
    ids=["connect", "datagram", "name", "uvloop", "grandchild"],
)
def test_a_process_that_goes_elsewhere_is_found(tmp_path: Path, program: str, place: str) -> None:
    made = noted(tmp_path, program)
    assert place in made.foreign
    assert not made.clean
    assert "NOT loopback" in made.line()


def test_a_process_that_stays_here_is_counted_and_clean(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        dial = UVLOOP.replace("'255.255.255.255', 9", f"'127.0.0.1', {port}")
        made = noted(tmp_path, f"{dial}\nimport socket\nsocket.create_connection(('localhost', {port}))")
    assert made.clean
    assert made.connects == 2
    assert made.line() == "egress: 2 connects by 1 processes, all loopback or Unix sockets"


def test_the_notes_hold_addresses_and_no_more(tmp_path: Path) -> None:
    noted(tmp_path, CONNECT)
    (line,) = (tmp_path / "notes").read_text().splitlines()
    assert line.split(" ", 1)[1] == "connect 255.255.255.255"


@pytest.mark.parametrize(
    ("place", "local"),
    [
        ("127.0.0.1", True), ("127.8.9.10", True), ("::1", True), ("::ffff:127.0.0.1", True), ("unix", True),
        ("localhost", True), ("10.0.0.1", False), ("169.254.169.254", False), ("::ffff:10.0.0.1", False),
        ("api.openai.com", False), ("localhost.example", False), ("fe80::1%eth0", False),
    ],
)  # fmt: skip
def test_only_this_machine_is_local(place: str, local: bool) -> None:
    assert is_local(place) is local


TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2124 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 111 1 0 100 0 0 10 0
   1: 0100007F:2124 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 222 1 0 20 4 30 10 -1
   2: 0200000A:9C40 08080808:01BB 01 00000000:00000000 00:00000000 00000000  1000        0 333 1 0 20 4 30 10 -1
   3: 0200000A:9C41 08080808:01BB 06 00000000:00000000 03:000017A5 00000000     0        0 0 3 0
"""
TABLE_6 = """\
   0: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000100007F:D431 01 00000000:00000000 00:00000000 \
00000000  1000        0 444 1 0 20 4 30 10 -1
   1: B80D0120000000000000000001000000:1F90 B80D0120000000000000000002000000:01BB 01 00000000:00000000 00:00000000 \
00000000  1000        0 555 1 0 20 4 30 10 -1
"""


def test_the_kernels_table_shows_sockets_to_other_machines() -> None:
    assert list(foreign_rows(TABLE)) == [("8.8.8.8", 333)]
    assert list(foreign_rows(TABLE_6)) == [("2001:db8::2", 555)]


def test_a_socket_is_attributed_to_its_process() -> None:
    with socket.socket() as mine:
        inode = int(Path(f"/proc/self/fd/{mine.fileno()}").readlink().name[8:-1])
        assert list(owners({inode, 1}, b"NOBODY=HAS-THIS")) == [inode]


def test_what_a_gateway_dials_is_noted(attacked: Attacked) -> None:
    assert attacked.healthy()
    noted_lines = Path(os.environ[egress_witness.VARIABLE]).read_text().splitlines()
    assert f"{attacked.pid} uvloop 127.0.0.1" in noted_lines


def test_this_very_run_is_watched() -> None:
    notes = Path(os.environ[egress_witness.VARIABLE])
    before = account(notes).connects
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        socket.create_connection(listener.getsockname()).close()
    assert account(notes).connects == before + 1
    Lookout(notes).look()
    assert account(notes).clean
