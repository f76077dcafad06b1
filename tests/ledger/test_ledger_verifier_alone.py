"""Laws of the verifier: cryptography alone, bounded memory, JSON out, honest about where the key came from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tokenone.errors import IntegrityError
from tokenone.ledger.facts import Facts, keep_facts
from tokenone.ledger.verify import verify

BLOCKED = """
import sys
from importlib.abc import MetaPathFinder

class Only(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names | {"tokenone", "cryptography", "_cffi_backend", "cffi"}:
            raise ImportError(name)

sys.meta_path.insert(0, Only())
import json
from pathlib import Path
from tokenone.ledger.receipt import verify_receipt
from tokenone.ledger.verify import verify
report = verify(Path(sys.argv[1]), bytes.fromhex(sys.argv[2]), bytes.fromhex(sys.argv[3]), origin=sys.argv[4])
verify_receipt(sys.argv[5], bytes.fromhex(sys.argv[2]))
assert "msgspec" not in sys.modules
print(json.dumps(report.to_json()))
"""

MEASURED = """
import sys
import tracemalloc
from pathlib import Path
from tokenone.ledger.verify import verify
tracemalloc.start()
assert verify(Path(sys.argv[1]), bytes.fromhex(sys.argv[2]), origin=sys.argv[3]).ok
print(tracemalloc.get_traced_memory()[1])
"""


def test_the_verifier_runs_with_cryptography_alone(forge: Any, tmp_path: Path) -> None:
    log = forge.honest()
    log.write(tmp_path)
    secret = forge.AUDITOR.private_bytes_raw().hex()
    command = [sys.executable, "-c", BLOCKED, str(tmp_path), forge.PUBLIC.hex(), secret, forge.ORIGIN]
    done = subprocess.run([*command, log.receipt(2)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["ok"]
    assert report["macs"] == report["entries"] == log.seq


def test_the_public_facts_serve_where_no_key_is_given_and_the_report_says_so(
    forge: Any, tmp_path: Path
) -> None:
    log = forge.honest()
    place = log.write(tmp_path)
    with pytest.raises(IntegrityError):
        verify(tmp_path)
    keep_facts(tmp_path, Facts(forge.ORIGIN, forge.PUBLIC, None))
    for directory in (tmp_path, place):
        report = verify(directory)
        assert report.ok
        assert report.key_from == "log.json"
        assert report.macs == 0
    assert verify(tmp_path, forge.PUBLIC).key_from == "given"


def test_an_empty_ledger_does_not_verify(forge: Any, tmp_path: Path) -> None:
    assert not verify(tmp_path, forge.PUBLIC, origin=forge.ORIGIN).ok


def test_an_erased_intent_keeps_chain_receipt_and_pairing(forge: Any, tmp_path: Path) -> None:
    log = forge.Forge()
    log.begin()
    log.booted()
    fields = {"attempt": 1, "call": "a", "model": "m"}
    log.add_record(forge.canonical.encode(log.members("intent", fields)), erased=True)
    log.outcome("a")
    log.add("erasure", {"seqs": [2]})
    log.close()
    log.write(tmp_path)
    report = verify(tmp_path, forge.PUBLIC, forge.AUDITOR.private_bytes_raw(), origin=forge.ORIGIN)
    assert report.ok, report.first
    assert report.erased == 1
    witnessed = verify(tmp_path, forge.PUBLIC, origin=forge.ORIGIN, receipts=[log.receipt(2)])
    assert witnessed.witnesses == 1


def test_memory_does_not_grow_with_the_log(forge: Any, tmp_path: Path) -> None:
    """In a process of its own, where nobody else allocates; both logs are longer than any buffer."""

    def peak(batches: int) -> int:
        log = forge.Forge()
        log.begin()
        log.booted()
        log.close()
        for number in range(batches):
            for each in range(20):
                log.intent(f"{number}.{each}")
                log.outcome(f"{number}.{each}")
            log.close()
        directory = tmp_path / str(batches)
        log.write(directory)
        call = [sys.executable, "-c", MEASURED, str(directory), forge.PUBLIC.hex(), forge.ORIGIN]
        return int(subprocess.run(call, capture_output=True, check=True).stdout)

    assert peak(200) < peak(90) * 1.25
