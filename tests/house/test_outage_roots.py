"""Law of the wrong root: `tokenone serve` refuses to start, says which one and why, and nothing listens."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from kit.battered import Battered
from kit.houses import copy_of
from kit.installation import Installation
from kit.processes import SECONDS, full_house
from kit.until import until
from tokenone.vault.keks import create_local_root


def missing(data: Path) -> None:
    (data / "roots/token.root").unlink()


def swapped(data: Path) -> None:
    (data / "roots/vault.root").rename(data / "kept")
    (data / "roots/signing.root").rename(data / "roots/vault.root")
    (data / "kept").rename(data / "roots/signing.root")


def readable_by_the_group(data: Path) -> None:
    (data / "roots/signing.root").chmod(0o640)


def another_installations(data: Path) -> None:
    """Whole and of the right purpose, but not the one that the working keys were wrapped under."""
    (data / "roots/vault.root").unlink()
    create_local_root(data / "roots/vault.root", "vault")


def working_key_of_another(data: Path) -> None:
    shutil.copy(data / "keys/signing.wrapped", data / "keys/token.wrapped")


WRONG: dict[Callable[[Path], None], tuple[str, ...]] = {
    missing: ("token.root is missing",),
    swapped: ("the root `signing` (vault.root) stands in the place of `vault`",),
    readable_by_the_group: ("signing.root may be used by other users", "chmod 600"),
    another_installations: ("sealing.wrapped was wrapped by the root", "the root `vault` is"),
    working_key_of_another: ("token.wrapped is not the working key `token`",),
}


@pytest.mark.parametrize("spoil", WRONG, ids=lambda spoil: spoil.__name__)
def test_a_wrong_root_refuses_the_start_and_is_named(
    template: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    house = copy_of(template, tmp_path)
    spoil(house.directory)
    ended = house.command("serve")
    assert ended.returncode == 1
    assert "ready" not in ended.stdout
    for part in WRONG[spoil]:
        assert part in ended.stderr
    assert ended.stderr.count("\n") == 1, "one sentence, no traceback"
    assert not listens(house)


def listens(house: Installation) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", house.gateway_port)) == 0


def test_a_port_that_is_taken_refuses_the_start_and_is_named(template: Path, tmp_path: Path) -> None:
    house = copy_of(template, tmp_path)
    with socket.create_server(("127.0.0.1", house.gateway_port)):
        ended = house.command("serve")
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{house.gateway_port}: Address already in use" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_worker_that_loses_its_root_says_so_and_comes_back_with_it(alone: Battered, tmp_path: Path) -> None:
    house = alone.whole().house
    (pid,) = full_house(house)
    root = house.directory / "roots/vault.root"
    root.rename(tmp_path / root.name)
    psutil.Process(pid).kill()
    until(lambda: any("vault.root is missing" in line for line in house.lines), "a word about it", SECONDS)
    (tmp_path / root.name).rename(root)
    full_house(house, without=pid)
    assert alone.refusal() is None
