"""The shared vectors hold: good logs, trees and receipts verify, each bad one is found by the check that it names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tokenone.errors import IntegrityError, VerificationFailed
from tokenone.ledger import chain, entry, merkle
from tokenone.ledger.receipt import verify_receipt
from tokenone.ledger.verify import verify

VECTORS = Path(__file__).parents[2] / "vectors"
LEDGER = json.loads((VECTORS / "ledger.json").read_text())
MERKLE = json.loads((VECTORS / "merkle.json").read_text())
RECEIPT = json.loads((VECTORS / "receipt.json").read_text())


def checked(case: dict[str, Any], directory: Path) -> Any:
    place = directory / str(case["slot"])
    place.mkdir()
    for name, data in case["files"].items():
        (place / name).write_bytes(bytes.fromhex(data))
    public, auditor = bytes.fromhex(LEDGER["public"]), bytes.fromhex(LEDGER["auditor_private"])
    return verify(directory, public, auditor, origin=LEDGER["origin"])


@pytest.mark.parametrize("case", LEDGER["good"], ids=lambda case: case["name"])
def test_a_good_log_verifies_to_the_head_it_states(case: dict[str, Any], tmp_path: Path) -> None:
    report = checked(case, tmp_path)
    assert report.ok, report.first
    assert (report.heads[0].seq, report.heads[0].link) == (case["seq"], case["link"])
    assert report.macs == report.entries - report.erased


@pytest.mark.parametrize("case", LEDGER["bad"], ids=lambda case: case["name"])
def test_a_bad_log_is_found_by_the_check_that_the_vector_names(case: dict[str, Any], tmp_path: Path) -> None:
    report = checked(case, tmp_path)
    assert report.first is not None
    assert report.first.check == case["check"], report.problems


def test_the_records_of_the_vectors_have_the_stated_leaves() -> None:
    for each in LEDGER["good_records"]:
        record = bytes.fromhex(each["record"])
        assert chain.leaf_of(record).hex() == each["leaf"]
        assert entry.parse(record).record == record


def test_rfc_6962_roots_are_the_published_ones() -> None:
    for case in MERKLE["roots"]:
        leaves = [chain.leaf_of(bytes.fromhex(leaf)) for leaf in case["leaves"]]
        assert merkle.root(leaves).hex() == case["root"]


def test_the_published_inclusion_path_is_ours() -> None:
    leaves = [chain.leaf_of(bytes.fromhex(leaf)) for leaf in MERKLE["roots"][7]["leaves"]]
    assert [step.hex() for step in merkle.Tree(leaves).path(0)] == MERKLE["classic_path"]


def fold(case: dict[str, Any]) -> str:
    path = [bytes.fromhex(step) for step in case["path"]]
    return merkle.fold(bytes.fromhex(case["leaf"]), index=case["place"], count=case["size"], path=path).hex()


@pytest.mark.parametrize("case", MERKLE["good"])
def test_a_good_path_gives_the_root(case: dict[str, Any]) -> None:
    assert fold(case) == case["root"]


@pytest.mark.parametrize("case", MERKLE["bad"], ids=lambda case: case["why"])
def test_a_bad_path_gives_no_or_another_root(case: dict[str, Any]) -> None:
    try:
        root = fold(case)
    except IntegrityError:
        root = "refused"
    assert root != case["root"]


@pytest.mark.parametrize("case", RECEIPT["good"], ids=lambda case: case["seq"])
def test_a_good_receipt_verifies_with_and_without_its_record(case: dict[str, Any]) -> None:
    public, record = bytes.fromhex(RECEIPT["public"]), bytes.fromhex(case["record"])
    assert verify_receipt(case["receipt"], public).seq == case["seq"]
    assert verify_receipt(case["receipt"], public, record).seq == case["seq"]


@pytest.mark.parametrize("case", RECEIPT["bad"], ids=lambda case: case["why"])
def test_a_bad_receipt_is_refused(case: dict[str, Any]) -> None:
    record = bytes.fromhex(case["record"]) if "record" in case else None
    with pytest.raises(VerificationFailed):
        verify_receipt(case["receipt"], bytes.fromhex(RECEIPT["public"]), record)
