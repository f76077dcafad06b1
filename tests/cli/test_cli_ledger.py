"""Ledgers and receipts checked offline by the command, on logs that the real writer wrote."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from cli.console_stub import Tokenone
from tokenone.canonical import b64
from tokenone.clock import FrozenClock
from tokenone.ledger.writer import Ledger, LedgerKeys


@dataclass(frozen=True)
class Written:
    """A ledger on disk, its keys, and one entry's receipt."""

    directory: Path
    public: str
    auditor: Path
    receipt: str


@pytest.fixture
def written(tmp_path: Path) -> Written:
    signing, auditor = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
    directory = tmp_path / "data" / "ledger"
    directory.mkdir(parents=True)

    async def write() -> str:
        keys = LedgerKeys(signing, auditor.public_key(), "log.example/cli")
        ledger = Ledger.open(directory, 0, keys, FrozenClock())
        await ledger.start()
        committed = [await ledger.append("note", {"n": number}) for number in range(5)]
        await ledger.close()
        return committed[2].receipt()

    receipt = asyncio.run(write())
    (tmp_path / "auditor.key").write_text(b64(auditor.private_bytes_raw()) + "\n")
    public = b64(signing.public_key().public_bytes_raw())
    return Written(directory, public, tmp_path / "auditor.key", receipt)


def flip_a_byte(directory: Path) -> None:
    """Changes one byte in the middle of the log."""
    (segment,) = directory.glob("0/*.seg")
    raw = bytearray(segment.read_bytes())
    raw[len(raw) // 2] ^= 1
    segment.write_bytes(raw)


def test_a_whole_ledger_verifies_without_a_console(tokenone: Tokenone, written: Written) -> None:
    ended = tokenone("ledger", "verify", str(written.directory), "--public-key", written.public)
    assert ended.code == 0
    assert "Verified." in ended.err
    assert "log.json" not in ended.err


def test_the_data_directorys_ledger_is_the_usual_one(tokenone: Tokenone, written: Written) -> None:
    assert tokenone("ledger", "verify").code == 0
    assert written.directory.is_dir()


def test_a_key_from_the_log_itself_is_told_to_prove_less(tokenone: Tokenone, written: Written) -> None:
    ended = tokenone("ledger", "verify", str(written.directory))
    assert ended.code == 0
    assert "log.json" in ended.err


def test_with_the_auditors_key_every_mac_is_checked(tokenone: Tokenone, written: Written) -> None:
    ended = tokenone("ledger", "verify", "--auditor-key", str(written.auditor), "--json")
    assert ended.code == 0
    assert ended.json["macs"] >= 5


def test_a_flipped_byte_ends_with_7_and_is_named(tokenone: Tokenone, written: Written) -> None:
    flip_a_byte(written.directory)
    ended = tokenone("ledger", "verify", str(written.directory))
    assert ended.code == 7
    assert "offset" in ended.err
    told = tokenone("ledger", "verify", str(written.directory), "--json")
    assert told.json["ok"] is False
    assert json.loads(told.err)["code"] == "verification_failed"


def test_another_key_ends_with_7(tokenone: Tokenone, written: Written) -> None:
    other = b64(Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    assert tokenone("ledger", "verify", str(written.directory), "--public-key", other).code == 7


def test_a_receipt_verifies_from_the_argument_or_a_file(
    tokenone: Tokenone, written: Written, tmp_path: Path
) -> None:
    (tmp_path / "receipt").write_text(written.receipt + "\n")
    for given in (written.receipt, str(tmp_path / "receipt")):
        ended = tokenone("ledger", "receipt", given, "--public-key", written.public, "--json")
        assert ended.code == 0
        assert ended.json["origin"] == "log.example/cli"


def test_a_receipt_for_a_log_that_was_cut_is_found(
    tokenone: Tokenone, written: Written, tmp_path: Path
) -> None:
    (tmp_path / "receipt").write_text(written.receipt)
    held = tokenone("ledger", "verify", "--receipt", str(tmp_path / "receipt"), "--json")
    assert (held.code, held.json["witnesses"]) == (0, 1)
    flip_a_byte(written.directory)
    assert tokenone("ledger", "verify", "--receipt", str(tmp_path / "receipt")).code == 7


@pytest.mark.parametrize("change", ["AAAA", "!!", ""])
def test_a_changed_receipt_ends_with_7(tokenone: Tokenone, written: Written, change: str) -> None:
    ended = tokenone("ledger", "receipt", written.receipt[:-4] + change, "--public-key", written.public)
    assert ended.code == 7


@pytest.mark.parametrize("key", ["short", "", "!" * 43])
def test_a_key_that_is_none_ends_with_2(tokenone: Tokenone, written: Written, key: str) -> None:
    assert tokenone("ledger", "verify", str(written.directory), "--public-key", key).code == 2


def test_a_directory_that_is_not_there_ends_with_4(tokenone: Tokenone, tmp_path: Path) -> None:
    assert tokenone("ledger", "verify", str(tmp_path / "nowhere")).code == 4


def test_a_directory_without_a_log_ends_with_7(tokenone: Tokenone, tmp_path: Path) -> None:
    assert tokenone("ledger", "verify", str(tmp_path)).code == 7


def test_without_a_key_a_receipt_asks_for_one(tokenone: Tokenone) -> None:
    ended = tokenone("ledger", "receipt", "AAAA")
    assert ended.code == 2
    assert "--public-key" in ended.err
