"""`local:` roots: files that nobody else could have read, bound to their purpose, named when refused."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.canonical import b64, unb64
from tokenone.errors import RootRefused, Unopenable
from tokenone.secret import Secret
from tokenone.vault.box import derive, frame, unlock
from tokenone.vault.keks import SCHEMES, create_local_root, open_root
from tokenone.vault.keks.local import Cost, LocalRoot
from tokenone.vault.root import PURPOSES, Purpose

CHEAP = Cost(passes=1, memory_kib=64, lanes=1)
VAULT = LocalRoot("local:x", "vault", "local:x", bytes(range(32)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vault.root"


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes a root file as somebody who can write it would."""
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))


def test_a_new_root_is_a_private_file_and_opens(path: Path) -> None:
    create_local_root(path, "vault")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["vault.root"]
    root = open_root(f"local:{path}", "vault")
    assert root.unwrap(root.wrap(b"a key", b"context"), b"context") == b"a key"
    assert root.uri == f"local:{path}"
    assert root.describe() == f"root=local purpose=vault id={root.id}"


def test_the_permissions_do_not_depend_on_the_umask(path: Path) -> None:
    before = os.umask(0o777)
    try:
        create_local_root(path, "vault")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_existing_file_is_never_overwritten(path: Path) -> None:
    path.write_bytes(b"something")
    with pytest.raises(RootRefused, match=r"vault\.root exists"):
        create_local_root(path, "vault")
    assert path.read_bytes() == b"something"
    assert [entry.name for entry in path.parent.iterdir()] == ["vault.root"]


def test_a_dangling_link_is_not_written_through(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RootRefused):
        create_local_root(path, "vault")
    assert not (tmp_path / "elsewhere").exists()


def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(RootRefused, match="cannot be written"):
        create_local_root(tmp_path / "no" / "vault.root", "vault")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o666, 0o777])
def test_a_file_that_others_may_touch_is_refused(path: Path, mode: int) -> None:
    create_local_root(path, "vault")
    path.chmod(mode)
    with pytest.raises(RootRefused, match="chmod 600"):
        open_root(f"local:{path}", "vault")


def test_a_symbolic_link_is_refused(path: Path, tmp_path: Path) -> None:
    create_local_root(tmp_path / "real", "vault")
    path.symlink_to(tmp_path / "real")
    with pytest.raises(RootRefused, match="symbolic link"):
        open_root(f"local:{path}", "vault")


def test_a_file_with_two_names_is_refused(path: Path, tmp_path: Path) -> None:
    create_local_root(path, "vault")
    os.link(path, tmp_path / "second")
    with pytest.raises(RootRefused, match="second name"):
        open_root(f"local:{path}", "vault")


def test_another_users_file_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_local_root(path, "vault")
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(RootRefused, match="another user"):
        open_root(f"local:{path}", "vault")


def test_a_directory_a_pipe_and_a_missing_file_are_refused_at_once(path: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for place in (tmp_path, tmp_path / "pipe", path):
        with pytest.raises(RootRefused):
            open_root(f"local:{place}", "vault")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b"\xff", b"[" * 60_000, b"x" * 70_000])
def test_a_file_that_is_no_root_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(RootRefused, match=r"vault\.root"):
        open_root(f"local:{path}", "vault")


@pytest.mark.parametrize("uri", ["", "file:/x", "/x", "awskms:alias/x", "LOCAL:/x"])
def test_an_unknown_scheme_is_refused_and_the_purpose_named(uri: str) -> None:
    with pytest.raises(RootRefused, match="root `signing` has an unknown scheme"):
        open_root(uri, "signing")
    assert set(SCHEMES) == {"local"}


def test_an_unknown_purpose_is_refused(path: Path) -> None:
    with pytest.raises(RootRefused, match="no root `session`"):
        open_root(f"local:{path}", "session")
    with pytest.raises(RootRefused, match="no root `session`"):
        create_local_root(path, "session")  # type: ignore[arg-type]  # the wrong value is the test
    assert not path.exists()


# ── the purpose ────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("made", PURPOSES)
@pytest.mark.parametrize("asked", PURPOSES)
def test_a_root_opens_in_its_own_place_only(path: Path, made: Purpose, asked: Purpose) -> None:
    create_local_root(path, made)
    if made == asked:
        assert open_root(f"local:{path}", asked).purpose == made
        return
    with pytest.raises(RootRefused, match=f"root `{made}` .* stands in the place of `{asked}`"):
        open_root(f"local:{path}", asked)


def test_the_purpose_is_bound_by_cryptography_and_not_by_its_label(path: Path) -> None:
    create_local_root(path, "vault")
    wrapped = open_root(f"local:{path}", "vault").wrap(b"a key", b"context")
    edit(path, lambda content: content.update(purpose="signing"))
    relabelled = open_root(f"local:{path}", "signing")
    with pytest.raises(Unopenable):
        relabelled.unwrap(wrapped, b"context")


def test_one_material_has_one_id_whatever_its_purpose(path: Path) -> None:
    create_local_root(path, "vault")
    name = open_root(f"local:{path}", "vault").id
    edit(path, lambda content: content.update(purpose="token"))
    assert open_root(f"local:{path}", "token").id == name


def test_a_relabelled_root_under_a_passphrase_does_not_open(path: Path) -> None:
    create_local_root(path, "vault", Secret(b"correct horse"), cost=CHEAP)
    edit(path, lambda content: content.update(purpose="signing"))
    with pytest.raises(RootRefused, match=r"root `signing` .* does not open with this passphrase"):
        open_root(f"local:{path}", "signing", Secret(b"correct horse"))


@pytest.mark.parametrize(
    "change", [{"material": b64(bytes(32))}, {"id": "local:00"}, {"material": "!"}, {"id": 1}]
)
def test_a_damaged_root_is_refused(path: Path, change: dict[str, Any]) -> None:
    create_local_root(path, "vault")
    edit(path, lambda content: content.update(change))
    with pytest.raises(RootRefused, match="damaged"):
        open_root(f"local:{path}", "vault")


# ── the passphrase ─────────────────────────────────────────────────────────────────────────────────────
def test_a_root_under_a_passphrase_holds_its_parameters_and_no_material(path: Path) -> None:
    create_local_root(path, "vault", Secret(b"correct horse"))
    content = json.loads(path.read_bytes())
    assert "material" not in content
    kdf = content["kdf"]
    assert (kdf["name"], kdf["passes"], kdf["memory_kib"], kdf["lanes"]) == ("argon2id", 3, 65_536, 4)
    root = open_root(f"local:{path}", "vault", Secret(b"correct horse"))
    assert root.unwrap(root.wrap(b"a key", b""), b"") == b"a key"


def test_a_wrong_a_missing_and_a_surplus_passphrase_are_told_apart(path: Path, tmp_path: Path) -> None:
    create_local_root(path, "vault", Secret(b"correct horse"), cost=CHEAP)
    create_local_root(tmp_path / "plain", "vault")
    for uri, given_one, message in (
        (path, Secret(b"wrong"), "does not open with this passphrase"),
        (path, None, "needs its passphrase"),
        (tmp_path / "plain", Secret(b"x"), "has no passphrase"),
    ):
        with pytest.raises(RootRefused, match=message):
            open_root(f"local:{uri}", "vault", given_one)


@pytest.mark.parametrize(
    "change",
    [
        {"memory_kib": 2**31},
        {"passes": 10_000},
        {"lanes": 1_000},
        {"passes": 0},
        {"passes": True},
        {"memory_kib": 8, "lanes": 2},
        {"passes": "3"},
        {"lanes": None},
    ],
)
def test_an_argon2id_cost_out_of_bounds_is_not_even_tried(path: Path, change: dict[str, Any]) -> None:
    create_local_root(path, "vault", Secret(b"x"), cost=CHEAP)
    edit(path, lambda content: content["kdf"].update(change))
    with pytest.raises(RootRefused, match="out of bounds"):
        open_root(f"local:{path}", "vault", Secret(b"x"))


@pytest.mark.parametrize("field", ["salt", "passes", "memory_kib"])
def test_a_changed_parameter_makes_another_key(path: Path, field: str) -> None:
    create_local_root(path, "vault", Secret(b"x"), cost=CHEAP)
    other = {"salt": b64(bytes(32)), "passes": 2, "memory_kib": 72}[field]
    edit(path, lambda content: content["kdf"].update({field: other}))
    with pytest.raises(RootRefused, match="does not open with this passphrase"):
        open_root(f"local:{path}", "vault", Secret(b"x"))


@pytest.mark.parametrize("kdf", [None, "argon2id", {}, {"name": "scrypt"}])
def test_an_unknown_way_to_the_key_is_refused(path: Path, kdf: Any) -> None:
    create_local_root(path, "vault", Secret(b"x"), cost=CHEAP)
    edit(path, lambda content: content.update(kdf=kdf))
    with pytest.raises(RootRefused, match="unknown way"):
        open_root(f"local:{path}", "vault", Secret(b"x"))


# ── what it wraps ──────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_wrapped_key_is_as_the_specification_says(purpose: Purpose) -> None:
    material, info = bytes(range(32)), b"tokenone/root/1/" + purpose.encode()
    blob = LocalRoot("local:x", purpose, "local:x", material).wrap(b"a key", b"context")
    assert blob[:5] == b"TKR1\x01"
    assert blob[37:69] == derive(material, info, salt=blob[5:37], length=64)[32:]
    assert unlock(material, info, frame(purpose.encode(), b"context"), blob[5:]) == b"a key"


@given(context=st.binary(max_size=20))
def test_another_context_does_not_unwrap(context: bytes) -> None:
    blob = VAULT.wrap(b"a key", b"the context")
    if context != b"the context":
        with pytest.raises(Unopenable):
            VAULT.unwrap(blob, context)


def test_every_flipped_bit_and_truncation_of_a_wrapped_key_is_refused() -> None:
    blob = VAULT.wrap(b"a key", b"context")
    spoilt = [blob[:end] for end in range(len(blob))]
    for bit in range(len(blob) * 8):
        flipped = bytearray(blob)
        flipped[bit // 8] ^= 1 << bit % 8
        spoilt.append(bytes(flipped))
    for one in spoilt:
        with pytest.raises(Unopenable):
            VAULT.unwrap(one, b"context")


def test_a_root_does_not_show_its_material(path: Path) -> None:
    create_local_root(path, "vault")
    material = json.loads(path.read_bytes())["material"]
    root = open_root(f"local:{path}", "vault")
    shown = repr(root) + root.describe() + root.id
    assert material not in shown
    assert unb64(material).hex() not in shown
    assert repr(unb64(material)) not in shown
