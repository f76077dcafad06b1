"""Verifies a ledger from its files alone, as an outsider: every check of docs/spec/ledger.md, by its number.

Law: it trusts nothing but the public key; it imports the standard library and `cryptography`; its memory
does not grow with the log. It names the first bad record and goes on behind it, and it writes nothing. The
checks:

1 frames   2 records   3 leaves and links   4 batches   (these in `walk.py`, batch by batch)
5 sequence and boots   6 pairing   7 recoveries   8 MACs   9 witnesses

`python -m tokenone.ledger.verify DIR --public-key KEY` is all of it as a command; exit code 7 for a finding.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tokenone.errors import IntegrityError
from tokenone.ledger import batch, facts, segment
from tokenone.ledger.entry import unb64
from tokenone.ledger.receipt import Receipt, verify_receipt
from tokenone.ledger.report import Problem, Report
from tokenone.ledger.slotcheck import SlotCheck
from tokenone.ledger.walk import SEQUENCE, WITNESSES, Log

FOUND: Final = 7
"""The exit code of a ledger that does not verify, as of `tokenone ledger verify`."""


def verify(
    directory: Path,
    public_key: bytes | None = None,
    auditor_key: bytes | None = None,
    *,
    origin: str | None = None,
    receipts: Sequence[str] = (),
) -> Report:
    """Verifies every slot's log below `directory`, or the one slot's log that it is.

    `public_key` and `auditor_key` are raw 32 bytes (the latter private: with it MACs are checked, too). Without
    `public_key` that of `log.json` is taken, which proves only that the files agree. `receipts` are
    witnesses held outside: their batches must be in the log. Raises IntegrityError where there is nothing
    to verify with.
    """
    slots, known = _slots(directory)
    origin = origin or (known.origin if known else None)
    signing = public_key or (known.signing if known else None)
    if origin is None or signing is None:
        raise IntegrityError("no log.json: name the log's origin and its public key")
    report = Report(key_from="given" if public_key else "log.json")
    public = batch.load_public(signing)
    auditor = X25519PrivateKey.from_private_bytes(auditor_key) if auditor_key else None
    witnesses = [verify_receipt(text, signing) for text in receipts]
    if not slots:
        report.add(Problem(SEQUENCE, None, None, 0, 0, "there is no slot's log"))
    seen: set[batch.Statement] = set()
    for slot, place in slots:
        asked = {w.statement for w in witnesses if (w.statement.origin, w.statement.slot) == (origin, slot)}
        seen |= SlotCheck(place, Log(origin, slot, public), auditor, report).run(asked)
    _witnesses(witnesses, seen, report)
    return report


def _slots(directory: Path) -> tuple[list[tuple[int, Path]], facts.Facts | None]:
    """Lists the slots' directories and reads `log.json` beside them."""
    if directory.name.isdecimal() and segment.numbers(directory):
        return [(int(directory.name), directory)], facts.read_facts(directory.parent)
    found = [path for path in directory.iterdir() if path.is_dir() and path.name.isdecimal()]
    return sorted((int(path.name), path) for path in found), facts.read_facts(directory)


def _witnesses(witnesses: list[Receipt], seen: set[batch.Statement], report: Report) -> None:
    # 9 witnesses: a batch that a receipt proves is in the log, or the log was cut or forked
    for witness in witnesses:
        said = witness.statement
        if said in seen:
            report.witnesses += 1
            continue
        detail = "a receipt proves a signed batch that the log does not hold"
        report.add(Problem(WITNESSES, said.slot, None, 0, witness.seq, detail))


# ── the command ────────────────────────────────────────────────────────────────────────────────────────────
def main() -> None:
    """Runs the checks over a directory; a line per finding, or the report as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m tokenone.ledger.verify", description="Verify a ledger from its files alone."
    )
    parser.add_argument("directory", type=Path, help="with log.json and the slots, or one slot's")
    parser.add_argument("--public-key", help="the log's, base64url; without it log.json's, which proves less")
    parser.add_argument("--origin", help="the log's name, where there is no log.json")
    parser.add_argument("--auditor-key", type=Path, help="file with the auditor's private key: checks MACs")
    parser.add_argument("--receipt", type=Path, action="append", default=[], help="file; repeatable")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    chosen = parser.parse_args()
    try:
        report = verify(
            chosen.directory,
            unb64(chosen.public_key) if chosen.public_key else None,
            unb64(chosen.auditor_key.read_text("ascii").strip()) if chosen.auditor_key else None,
            origin=chosen.origin,
            receipts=[path.read_text("ascii").strip() for path in chosen.receipt],
        )
    except IntegrityError as error:
        sys.stderr.write(f"does not verify: {error.detail}\n")
        sys.exit(FOUND)
    except (OSError, ValueError) as error:
        sys.exit(f"cannot be read: {error}")
    _tell(report, as_json=chosen.json)
    sys.exit(0 if report.ok else FOUND)


def _tell(report: Report, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(report.to_json()) + "\n")
        return
    for problem in report.problems:
        sys.stdout.write(f"FOUND {problem}\n")
    for recovery in report.recoveries:
        sys.stdout.write(f"recovery in slot {recovery.slot} at seq {recovery.seq}: {recovery.cause}\n")
    for tail in report.tails:
        sys.stdout.write(f"unsigned tail in slot {tail.slot}: {tail.length} bytes, {tail.detail}\n")
    counts = f"{report.entries} entries in {report.batches} signed batches, {report.macs} MACs checked"
    outcome = "verified" if report.ok else f"{report.problem_count} findings"
    sys.stdout.write(f"{outcome}: {counts}, {report.witnesses} receipts found in the log\n")
    if report.key_from != "given":
        sys.stdout.write("the key is log.json's: this proves that the files agree with each other\n")


if __name__ == "__main__":
    main()
