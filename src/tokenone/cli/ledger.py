"""`ledger`: verify segment files and receipts offline, with public keys alone.

Law: it reads files and writes nothing; no console, no database, no secret is needed. Exit code 7 where
something does not verify.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from tokenone.cli.client import Document
from tokenone.cli.desk import Desk, verb
from tokenone.cli.exits import UsageError
from tokenone.errors import IntegrityError, NotFound, VerificationFailed
from tokenone.ledger.entry import unb64
from tokenone.ledger.facts import read_facts
from tokenone.ledger.receipt import verify_receipt
from tokenone.ledger.report import Report
from tokenone.ledger.verify import verify

group = typer.Typer(no_args_is_help=True, help="The signed ledger, checked offline.")

_MAX_KEY_FILE: Final = 4096
OWN_KEY: Final = (
    "The key is the one in log.json: this proves that the files agree with each other. "
    "Name a key that you know from elsewhere with --public-key."
)
PublicKey = Annotated[
    str | None,
    typer.Option(
        "--public-key", help="The log's public key: base64url, or a file with it. Else that of log.json."
    ),
]


@verb(group, "verify")
def verify_ledger(
    desk: Desk,
    directory: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Else the ledger of the data directory.")
    ] = None,
    public_key: PublicKey = None,
    auditor_key: Annotated[
        Path | None, typer.Option("--auditor-key", help="File with the auditor's private key: checks MACs.")
    ] = None,
    receipt: Annotated[
        list[Path] | None, typer.Option("--receipt", help="Receipt that the log must hold. Repeatable.")
    ] = None,
) -> None:
    """Verify every signed batch, chain and pairing of a ledger's segment files."""
    place = directory or desk.settings.data_dir / "ledger"
    if not place.is_dir():
        raise NotFound(f"{place} is not a directory")
    report = verify(
        place,
        _key(public_key) if public_key is not None else None,
        _key(str(auditor_key)) if auditor_key is not None else None,
        receipts=[_read(path) for path in receipt or []],
    )
    if desk.output.as_json:
        desk.output.one(report.to_json())
    else:
        _tell(desk, report)
    if not report.ok:
        first = report.first
        raise VerificationFailed(f"{report.problem_count} findings; the first: {first}")


def _tell(desk: Desk, report: Report) -> None:
    """Shows the counts on stdout, findings and remarks on stderr."""
    names = ("segments", "batches", "entries", "erased", "boots", "macs", "witnesses")
    counts: Document = {name: getattr(report, name) for name in names}
    for head in report.heads:
        counts[f"head of slot {head.slot}"] = f"seq {head.seq}, link {head.link}, {head.open} open"
    desk.output.one(counts)
    for problem in report.problems:
        desk.output.say(f"FOUND {problem}")
    for recovery in report.recoveries:
        where = f"slot {recovery.slot}, {recovery.file}, offset {recovery.offset}"
        desk.output.say(f"recovery: {where}: {recovery.cause}; the chain goes on at seq {recovery.next_seq}")
    for tail in report.tails:
        desk.output.say(
            f"unsigned tail: slot {tail.slot}, {tail.segment}: {tail.length} bytes, {tail.detail}"
        )
    if report.ok:
        desk.output.say("Verified.")
    if report.key_from != "given":
        desk.output.say(OWN_KEY)


@verb(group, "receipt")
def check_receipt(
    desk: Desk,
    receipt: Annotated[str, typer.Argument(help="The value of x-tokenone-receipt, or a file with it.")],
    public_key: PublicKey = None,
    record: Annotated[
        Path | None,
        typer.Option("--record", help="File with the entry's record: checks that it is this one."),
    ] = None,
) -> None:
    """Verify a call's receipt with the log's public key."""
    text = _read(Path(receipt)) if _is_file(receipt) else receipt
    raw = record.read_bytes() if record is not None else None
    found = verify_receipt(text, _key(public_key) if public_key is not None else _own_key(desk), raw)
    said = found.statement
    desk.output.say(f"Verified: entry {found.seq} stands in a signed batch of slot {said.slot}.")
    desk.output.one(
        {
            "origin": said.origin,
            "slot": said.slot,
            "seq": found.seq,
            "signed_us": said.at_us,
            "first": said.first,
            "size": said.size,
            "leaf": found.leaf.hex(),
        }
    )
    if public_key is None:
        desk.output.say(OWN_KEY)


def _own_key(desk: Desk) -> bytes:
    facts = read_facts(desk.settings.data_dir / "ledger")
    if facts is None:
        raise UsageError("there is no log.json here; name the log's key with --public-key")
    return facts.signing


def _key(text: str) -> bytes:
    """Reads 32 bytes from base64url, or from a file that holds it."""
    try:
        raw = unb64(_read(Path(text)) if _is_file(text) else text)
    except IntegrityError:
        raw = b""
    if len(raw) != 32:
        raise UsageError("a key is 32 bytes in base64url, or a file with that")
    return raw


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # a receipt is longer than a file's name may be
        return False


def _read(path: Path) -> str:
    try:
        with path.open("rb") as source:
            return source.read(_MAX_KEY_FILE).decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"{path} is not a readable text file") from None
