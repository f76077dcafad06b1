"""`tokenone doctor` against installations that are well, running, and broken in one way each."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kit.installation import Installation, free_port
from tokenone.assemble import at_rest
from tokenone.assemble.doctor import examine
from tokenone.assemble.finding import Finding, Level
from tokenone.store import Store
from tokenone.testing.authority import Authority


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation that has run once; its settings are in its file."""
    made = Installation(tmp_path_factory.mktemp("doctor") / "data")
    made.init()
    made.start()
    made.stop()
    (made.directory / "auditor.key").unlink()
    return made.directory


@pytest.fixture
def place(once: Path, tmp_path: Path) -> Path:
    """A copy of it, on ports of its own, to be broken."""
    copy = tmp_path / "data"
    shutil.copytree(once, copy)
    configure(copy)
    return copy


def configure(place: Path, gateway: str = "", console: str = "", top: str = "") -> None:
    """Writes the settings anew; `top` stands before the sections."""
    origin = json.loads((place / "ledger/log.json").read_text())["origin"]
    (place / "tokenone.toml").write_text(
        f'{top}\n[gateway]\n{gateway or listen()}\n[console]\n{console or listen()}\n[ledger]\norigin = "{origin}"\n'
    )


def listen(host: str = "127.0.0.1", port: int | None = None) -> str:
    return f'listen = "{host}:{port or free_port()}"'


def examined(place: Path) -> dict[str, Finding]:
    """The findings by name; whatever is not ok says what to do."""
    found = asyncio.run(examine(place))
    assert all(finding.do for finding in found if finding.level is not Level.OK)
    return {finding.check: finding for finding in found}


def ailing(place: Path) -> dict[str, Finding]:
    return {name: finding for name, finding in examined(place).items() if finding.level is not Level.OK}


def test_an_installation_at_rest_is_well(place: Path) -> None:
    found = examined(place)
    assert set(ailing(place)) == {"roots"}  # local roots without a passphrase: advice
    assert found["roots"].level is Level.ADVICE
    assert "signed up to seq" in found["ledger slot 0"].said
    assert found["gateway port"].said.endswith("free")


def test_looking_changes_nothing(place: Path) -> None:
    def state() -> dict[str, bytes]:
        files = (
            path for path in place.rglob("*") if path.is_file() and path.suffix not in (".db-shm", ".db-wal")
        )
        return {str(path): path.read_bytes() for path in files}

    before = state()
    examined(place)
    assert state() == before


def test_a_running_installation_is_well_and_its_ports_are_its_own(installation: Installation) -> None:
    done = installation.command("doctor", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    assert told["ok"] is True
    found = {finding["check"]: finding for finding in told["findings"]}
    assert "ledger ok" in found["worker 0"]["said"]
    assert "served by this installation" in found["gateway port"]["said"]
    assert "served by this installation" in found["console port"]["said"]


def test_people_get_a_line_per_finding_without_colour_in_a_pipe(installation: Installation) -> None:
    done = installation.command("doctor")
    *lines, counts = done.stdout.splitlines()
    assert all(line.split()[0] in ("ok", "advice", "wrong") for line in lines)
    assert "\x1b" not in done.stdout
    assert counts.endswith("0 wrong")


def test_a_port_of_another_installation_is_not_free(installation: Installation, place: Path) -> None:
    configure(place, gateway=listen(port=installation.gateway_port))
    assert "another installation" in ailing(place)["gateway port"].said


def test_a_port_of_another_program_is_not_free(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        configure(place, console=listen(port=other.getsockname()[1]))
        other.settimeout(0.1)
        assert "another program" in ailing(place)["console port"].said


def test_an_address_of_another_machine_cannot_be_taken(place: Path) -> None:
    files = Authority().issue(place)
    configure(
        place, gateway=f'{listen("192.0.2.1")}\ntls_cert = "{files.certificate}"\ntls_key = "{files.key}"'
    )
    assert ailing(place)["gateway port"].level is Level.WRONG


def test_where_there_is_no_installation_it_says_so_and_ends_with_one(tmp_path: Path) -> None:
    done = Installation(tmp_path / "nothing").command("doctor")
    assert done.returncode == 1
    assert "tokenone init" in done.stdout
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(
    "broken",
    [
        {"top": "surplus = 1"},
        {"top": "this is not TOML"},
        {"gateway": "workers = 0"},
        {"gateway": 'listen = "0.0.0.0:8484"'},
        {"gateway": 'listen = "8484"'},
        {"console": 'listen = "127.0.0.1:8485"\ntls_cert = "only.crt"'},
        {"console": 'listen = "127.0.0.1:8485"\n[egress]\nallow = ["10.0.0.300/8"]'},
        {"console": 'listen = "127.0.0.1:8485"\n[egress]\nallow = ["https://host/path"]'},
    ],
    ids=str,
)
def test_a_wrong_setting_is_named(place: Path, broken: dict[str, str]) -> None:
    configure(place, **broken)
    assert ailing(place)["configuration"].level is Level.WRONG


def swap(place: Path, one: str, other: str) -> None:
    (place / one).rename(place / "aside")
    (place / other).rename(place / one)
    (place / "aside").rename(place / other)


def edit_log(place: Path, name: str, value: str) -> None:
    file = place / "ledger/log.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {name: value}))


BREAKS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "a root is gone": ("root vault", lambda p: (p / "roots/vault.root").unlink()),
    "a root may be read by others": ("root signing", lambda p: (p / "roots/signing.root").chmod(0o644)),
    "roots are exchanged": ("root token", lambda p: swap(p, "roots/token.root", "roots/vault.root")),
    "a root is damaged": ("root token", lambda p: (p / "roots/token.root").write_text("{}")),
    "a working key is gone": ("working keys", lambda p: (p / "keys/token.wrapped").unlink()),
    "working keys are exchanged": (
        "working keys",
        lambda p: swap(p, "keys/token.wrapped", "keys/signing.wrapped"),
    ),
    "the auditor's public key is gone": ("auditor's key", lambda p: (p / "auditor.pub").unlink()),
    "the database is gone": ("database", lambda p: (p / "management.db").unlink()),
    "the database is empty": ("database", lambda p: (p / "management.db").write_bytes(b"")),
    "the database is no database": ("database", lambda p: (p / "management.db").write_bytes(b"x" * 8192)),
    "the index is gone": ("index", lambda p: (p / "index.db").unlink()),
    "the price book is gone": ("price book", lambda p: (p / "pricebook.json").unlink()),
    "the price book is damaged": ("price book", lambda p: (p / "pricebook.json").write_text("{}")),
    "log.json is gone": ("ledger", lambda p: (p / "ledger/log.json").unlink()),
    "log.json is no JSON": ("ledger", lambda p: (p / "ledger/log.json").write_text("[")),
    "log.json names another key": ("ledger", lambda p: edit_log(p, "signing", "A" * 43)),
    "log.json names another auditor": ("ledger", lambda p: edit_log(p, "auditor", "A" * 43)),
    "log.json names another log": ("ledger", lambda p: edit_log(p, "origin", "log.example/other")),
}


@pytest.mark.parametrize("what", BREAKS)
def test_what_is_broken_is_wrong_by_its_name(place: Path, what: str) -> None:
    name, break_it = BREAKS[what]
    if what == "the database is gone":
        for rest in place.glob("management.db-*"):
            rest.unlink()
    break_it(place)
    assert ailing(place)[name].level is Level.WRONG


def test_a_missing_database_is_not_made_by_looking(place: Path) -> None:
    (place / "management.db").unlink()
    examined(place)
    assert not (place / "management.db").exists()


def test_a_database_of_another_version_needs_the_upgrade(place: Path) -> None:
    with sqlite3.connect(place / "index.db") as index:
        index.execute("UPDATE alembic_version SET version_num = 'i0000'")
    assert "tokenone upgrade" in ailing(place)["index"].do


def test_an_installation_without_an_owner_was_cut_off(place: Path) -> None:
    with sqlite3.connect(place / "management.db") as database:
        for table in ("refresh_tokens", "sessions", "people"):
            database.execute(f"DELETE FROM {table}")
    assert "tokenone init" in ailing(place)["people"].do


def test_prices_older_than_the_installed_ones_are_advice(place: Path) -> None:
    file = place / "pricebook.json"
    book = json.loads(file.read_text())
    file.write_text(json.dumps(book | {"version": "genai-prices 0.0.1 000000000000"}))
    found = ailing(place)["price book"]
    assert (found.level, "tokenone upgrade" in found.do) == (Level.ADVICE, True)


def test_the_auditors_private_key_on_this_machine_is_advice(place: Path) -> None:
    (place / "auditor.key").write_text("x")
    assert ailing(place)["auditor's key"].level is Level.ADVICE


def test_a_directory_that_others_may_enter_is_advice(place: Path) -> None:
    place.chmod(0o755)
    assert ailing(place)["data directory"].level is Level.ADVICE


def test_the_production_profile_has_no_local_roots(place: Path) -> None:
    configure(place, top='profile = "production"')
    assert {"root vault", "root signing", "root token"} <= set(ailing(place))


def last_segment(place: Path) -> Path:
    return sorted((place / "ledger/0").glob("*.seg"))[-1]


def test_a_changed_byte_in_the_last_segment_is_wrong(place: Path) -> None:
    file = last_segment(place)
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)
    found = ailing(place)["ledger slot 0"]
    assert found.level is Level.WRONG
    assert file.name in found.said


def test_a_torn_tail_is_advice_for_the_next_start_mends_it(place: Path) -> None:
    with last_segment(place).open("ab") as file:
        file.write(b"\x00\x00\x01")
    assert ailing(place)["ledger slot 0"].level is Level.ADVICE


def test_a_segment_of_another_slot_is_wrong(place: Path) -> None:
    shutil.copytree(place / "ledger/0", place / "ledger/7")
    assert "another log's" in ailing(place)["ledger slot 7"].said


@pytest.fixture
def certified(place: Path) -> Iterator[Callable[[timedelta], dict[str, Finding]]]:
    """Examines with a certificate that ends after so long."""

    def examine_with(lifetime: timedelta) -> dict[str, Finding]:
        files = Authority(lifetime=lifetime).issue(place)
        configure(place, gateway=f'{listen()}\ntls_cert = "{files.certificate}"\ntls_key = "{files.key}"')
        return examined(place)

    return examine_with


def test_a_certificate_that_ends_soon_is_advice_and_an_expired_one_wrong(
    certified: Callable[[timedelta], dict[str, Finding]],
) -> None:
    assert certified(timedelta(days=1))["gateway TLS"].level is Level.ADVICE
    assert certified(timedelta(seconds=-1))["gateway TLS"].level is Level.WRONG


def test_a_certificate_and_key_that_do_not_fit_are_wrong(place: Path) -> None:
    one, other = Authority().issue(place), Authority().issue(place, stem="other")
    configure(place, console=f'{listen()}\ntls_cert = "{one.certificate}"\ntls_key = "{other.key}"')
    assert ailing(place)["console TLS"].level is Level.WRONG


def test_a_disk_that_fills_up_is_told_before_it_is_full(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    for free, level in ((1 << 20, Level.WRONG), (500 << 20, Level.ADVICE), (5 << 30, Level.OK)):
        monkeypatch.setattr(at_rest.shutil, "disk_usage", lambda _, free=free: usage(1 << 40, 0, free))
        assert examined(place)["disk space"].level is level


def test_a_clock_that_differs_from_the_databases_is_told(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Store.ping
    for ahead_s, level in ((0, Level.OK), (5, Level.ADVICE), (3600, Level.WRONG)):

        async def ping(store: Store, ahead_s: int = ahead_s) -> int:
            return await honest(store) + ahead_s * 1_000_000

        monkeypatch.setattr(Store, "ping", ping)
        assert examined(place)["clock"].level is level


def test_no_finding_holds_what_the_secret_files_hold(place: Path) -> None:
    told = json.dumps([finding.said + finding.do for finding in examined(place).values()])
    for file in (*(place / "roots").iterdir(), *(place / "keys").iterdir()):
        content = json.loads(file.read_text())
        assert content.get("material", content.get("wrapped")) not in told
