"""`tokenone init` at rest: cut off anywhere, it can be run again; what it writes is for its owner alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tokenone.assemble.files import AUDITOR_PRIVATE, AUDITOR_PUBLIC, read_auditor
from tokenone.assemble.install import FirstPerson, install, make_auditor_key
from tokenone.canonical import b64, unb64
from tokenone.config import CONFIG_NAME
from tokenone.secret import Secret

pytestmark = pytest.mark.anyio
PERSON = FirstPerson("ann", Secret(b"correct horse battery"))


def quiet(_: str) -> None:
    """Nobody listens."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_an_init_cut_off_behind_the_auditors_private_key_is_finished(tmp_path: Path) -> None:
    private = X25519PrivateKey.generate()
    (tmp_path / AUDITOR_PRIVATE).touch(mode=0o600)
    (tmp_path / AUDITOR_PRIVATE).write_text(b64(private.private_bytes_raw()) + "\n")
    await install(tmp_path, PERSON, quiet)
    assert read_auditor(tmp_path) == private.public_key().public_bytes_raw()
    assert unb64((tmp_path / AUDITOR_PRIVATE).read_text().strip()) == private.private_bytes_raw()


async def test_an_init_cut_off_in_the_auditors_public_key_is_finished(tmp_path: Path) -> None:
    await install(tmp_path, PERSON, quiet)
    whole = read_auditor(tmp_path)
    (tmp_path / AUDITOR_PUBLIC).unlink()
    make_auditor_key(tmp_path, quiet)
    assert read_auditor(tmp_path) == whole


async def test_the_configuration_is_for_its_owner_alone(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o755)
    await install(tmp_path, PERSON, quiet)
    assert stat.S_IMODE((tmp_path / CONFIG_NAME).stat().st_mode) == 0o600
