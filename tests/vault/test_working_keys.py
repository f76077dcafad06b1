"""Working keys: made once, opened whole, and only by the three roots in their own places."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tokenone.errors import RootRefused
from tokenone.secret import reveal
from tokenone.vault.box import derive
from tokenone.vault.keks import create_local_root, open_root
from tokenone.vault.root import PURPOSES, Purpose, Root
from tokenone.vault.working import WorkingKeys, create_working_keys, open_working_keys

Roots = dict[Purpose, Root]


def make_roots(directory: Path) -> Roots:
    directory.mkdir(exist_ok=True)
    for purpose in PURPOSES:
        create_local_root(directory / f"{purpose}.root", purpose)
    return open_roots(directory)


def open_roots(directory: Path) -> Roots:
    return {purpose: open_root(f"local:{directory}/{purpose}.root", purpose) for purpose in PURPOSES}


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return make_roots(tmp_path / "roots")


@pytest.fixture
def keys(tmp_path: Path, roots: Roots) -> Path:
    create_working_keys(roots, tmp_path / "keys")
    return tmp_path / "keys"


def facts(opened: WorkingKeys) -> tuple[bytes, ...]:
    own = (opened.signing.private_bytes_raw(), opened.sealing.private_bytes_raw())
    return (*own, reveal(opened.pepper), opened.session)


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))


def test_they_open_the_same_each_time_and_after_a_restart(tmp_path: Path, roots: Roots, keys: Path) -> None:
    first = facts(open_working_keys(roots, keys))
    assert first == facts(open_working_keys(open_roots(tmp_path / "roots"), keys))
    assert len(set(first)) == 4
    assert all(len(each) == 32 for each in first)


def test_their_files_are_private_and_hold_no_plaintext(roots: Roots, keys: Path) -> None:
    assert {path.name for path in keys.iterdir()} == {"sealing.wrapped", "signing.wrapped", "token.wrapped"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in keys.iterdir())
    assert set(json.loads((keys / "token.wrapped").read_bytes())) == {
        "format",
        "version",
        "name",
        "root",
        "wrapped",
    }


def test_pepper_and_session_key_come_from_one_working_key_and_do_not_tell_each_other(
    roots: Roots, keys: Path
) -> None:
    opened = open_working_keys(roots, keys)
    assert derive(opened.session, b"tokenone/pepper/1") != reveal(opened.pepper)
    assert reveal(opened.pepper) != opened.session


def test_making_them_again_keeps_what_is_there_and_adds_what_is_missing(roots: Roots, keys: Path) -> None:
    before = facts(open_working_keys(roots, keys))
    (keys / "token.wrapped").unlink()
    create_working_keys(roots, keys)
    after = facts(open_working_keys(roots, keys))
    assert after[:2] == before[:2]
    assert after[2:] != before[2:]


@pytest.mark.parametrize("name", ["sealing", "signing", "token"])
def test_a_missing_file_is_named(roots: Roots, keys: Path, name: str) -> None:
    (keys / f"{name}.wrapped").unlink()
    with pytest.raises(RootRefused, match=rf"{name}\.wrapped is missing"):
        open_working_keys(roots, keys)


@pytest.mark.parametrize(
    ("name", "purpose"), [("sealing", "vault"), ("signing", "signing"), ("token", "token")]
)
def test_a_new_root_in_an_old_ones_place_is_named(
    tmp_path: Path, roots: Roots, keys: Path, name: str, purpose: Purpose
) -> None:
    other = make_roots(tmp_path / "other")
    mixed = roots | {purpose: other[purpose]}
    old, new = roots[purpose].id, other[purpose].id
    with pytest.raises(
        RootRefused, match=rf"{name}\.wrapped was wrapped by .* {old}; .*`{purpose}` is {new}"
    ):
        open_working_keys(mixed, keys)


def test_swapped_roots_are_named(roots: Roots, keys: Path) -> None:
    swapped = roots | {"signing": roots["token"], "token": roots["signing"]}
    with pytest.raises(RootRefused, match="root `token` stands in the place of `signing`"):
        open_working_keys(swapped, keys)


def test_swapped_and_relabelled_root_files_are_found_by_the_working_keys(
    tmp_path: Path, roots: Roots, keys: Path
) -> None:
    folder = tmp_path / "roots"
    shutil.move(folder / "signing.root", folder / "kept")
    shutil.move(folder / "token.root", folder / "signing.root")
    shutil.move(folder / "kept", folder / "token.root")
    edit(folder / "signing.root", lambda content: content.update(purpose="signing"))
    edit(folder / "token.root", lambda content: content.update(purpose="token"))
    with pytest.raises(RootRefused, match=r"signing\.wrapped belongs to the root `token`, not to `signing`"):
        open_working_keys(open_roots(folder), keys)


@pytest.mark.parametrize(("one", "two"), [("vault", "signing"), ("vault", "token"), ("signing", "token")])
def test_one_material_in_two_places_is_refused(tmp_path: Path, one: Purpose, two: Purpose) -> None:
    folder = tmp_path / "roots"
    make_roots(folder)
    (folder / f"{two}.root").unlink()
    shutil.copy2(folder / f"{one}.root", folder / f"{two}.root")
    edit(folder / f"{two}.root", lambda content: content.update(purpose=two))
    with pytest.raises(RootRefused, match=f"roots `{one}` and `{two}` are one key"):
        create_working_keys(open_roots(folder), tmp_path / "keys")
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_missing_root_is_named(tmp_path: Path, roots: Roots, purpose: Purpose) -> None:
    del roots[purpose]
    with pytest.raises(RootRefused, match=f"root `{purpose}` is missing"):
        create_working_keys(roots, tmp_path / "keys")


def test_a_working_key_in_anothers_place_is_refused(roots: Roots, keys: Path) -> None:
    shutil.copy2(keys / "sealing.wrapped", keys / "token.wrapped")
    with pytest.raises(RootRefused, match=r"token\.wrapped is not the working key `token`"):
        open_working_keys(roots, keys)
    edit(keys / "token.wrapped", lambda content: content.update(name="token", root=roots["token"].id))
    with pytest.raises(RootRefused, match=r"token\.wrapped does not open"):
        open_working_keys(roots, keys)


@pytest.mark.parametrize("wrapped", ["", "AAAA", "!", None, 5, "A" * 170])
def test_a_damaged_file_is_named(roots: Roots, keys: Path, wrapped: Any) -> None:
    edit(keys / "signing.wrapped", lambda content: content.update(wrapped=wrapped))
    with pytest.raises(RootRefused, match=r"signing\.wrapped"):
        open_working_keys(roots, keys)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"null", b"\xff", b"[" * 60_000])
def test_a_file_that_is_no_working_key_is_named(roots: Roots, keys: Path, content: bytes) -> None:
    (keys / "signing.wrapped").write_bytes(content)
    with pytest.raises(RootRefused, match=r"signing\.wrapped is not a working key"):
        open_working_keys(roots, keys)


def test_a_file_that_others_may_read_is_refused(roots: Roots, keys: Path) -> None:
    (keys / "signing.wrapped").chmod(0o644)
    with pytest.raises(RootRefused, match="chmod 600"):
        open_working_keys(roots, keys)


def test_they_are_not_shown(roots: Roots, keys: Path) -> None:
    assert repr(open_working_keys(roots, keys)) == "WorkingKeys()"
