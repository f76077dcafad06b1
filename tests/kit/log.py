"""What the segments of an installation say, held against what clients and the provider know.

Law: the truth is what lies on the disk: entries come from the files, and what is signed is checked by the
verifier that an outsider uses. Everything here works without a gateway.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from kit.installation import Installation
from kit.load import Spoken
from tokenone.assemble.roots import open_keys, open_roots
from tokenone.canonical import unb64
from tokenone.clock import AnchoredClock
from tokenone.config import RootsSection
from tokenone.ledger.chain import leaf_of
from tokenone.ledger.entry import Entry
from tokenone.ledger.facts import read_facts
from tokenone.ledger.reader import Reader
from tokenone.ledger.receipt import verify_receipt
from tokenone.ledger.verify import verify
from tokenone.rows import Delta, Tenant, TenantKek
from tokenone.store import Store
from tokenone.vault.vault import Vault

Pair: TypeAlias = tuple[str, int]


@dataclass
class Log:
    """The entries of all slots, intents and outcomes by what they belong to."""

    entries: dict[tuple[int, int], Entry] = field(default_factory=dict)
    """By slot and number."""
    intents: dict[Pair, Entry] = field(default_factory=dict)
    outcomes: dict[Pair, list[Entry]] = field(default_factory=lambda: defaultdict(list))

    def marks(self) -> Counter[str]:
        """Counts intents by model, which is the mark of a call."""
        return Counter(intent.fields["model"] for intent in self.intents.values())

    def causes(self) -> Counter[str]:
        """Counts outcomes by cause."""
        return Counter(outcome.fields["cause"] for many in self.outcomes.values() for outcome in many)

    def kinds(self, kind: str) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.kind == kind]


def read_log(installation: Installation) -> Log:
    """Reads every slot's segments."""
    log = Log()
    ledger = installation.directory / "ledger"
    for slot in sorted(int(path.name) for path in ledger.iterdir() if path.name.isdecimal()):
        reader = Reader(ledger / str(slot))
        while found := reader.read():
            for entry in found:
                log.entries[slot, entry.seq] = entry
                if entry.kind == "intent":
                    log.intents[entry.fields["call"], entry.fields["attempt"]] = entry
                elif entry.kind == "outcome":
                    log.outcomes[entry.fields["call"], entry.fields["attempt"]].append(entry)
    return log


def assert_every_intent_has_one_outcome(log: Log) -> None:
    """The law of pairing, counted by hand."""
    wrong = {pair: len(log.outcomes.get(pair, ())) for pair in log.intents if len(log.outcomes[pair]) != 1}
    assert not wrong, f"outcomes per intent: {wrong}"
    assert set(log.outcomes) <= set(log.intents)


def assert_nothing_told_is_lost(installation: Installation, log: Log, spoken: Iterable[Spoken]) -> None:
    """What a client holds (a receipt, an outcome that it was told) is in the segments as it was told."""
    facts = read_facts(installation.directory / "ledger")
    assert facts is not None
    by_call = {pair[0]: entry for pair, entry in log.intents.items()}
    for one in spoken:
        if one.receipt is not None:
            proven = verify_receipt(one.receipt, facts.signing)
            entry = log.entries[proven.statement.slot, proven.seq]
            assert leaf_of(entry.record) == proven.leaf
            assert entry.fields["model"] == one.mark
            assert by_call[one.call or ""] is entry
        if one.told.get("state") == "closed":
            assert_told(log, one.told)


def assert_told(log: Log, told: dict[str, Any]) -> None:
    """An outcome that was told is recorded, the same and once."""
    for attempt in told["attempts"]:
        (outcome,) = log.outcomes[told["id"], attempt["attempt"]]
        for name in ("cause", "status", "sent", "received"):
            assert outcome.fields.get(name) == attempt.get(name), (name, outcome.fields, attempt)


def assert_nothing_sent_unrecorded(
    installation: Installation, log: Log, tenant: str, bodies: list[bytes]
) -> None:
    """Every body that the provider received is committed to by an intent of its own."""
    key = commitment_key(installation, tenant)
    sent = Counter(hmac.new(key, body, hashlib.sha256).hexdigest() for body in bodies)
    recorded = Counter(intent.fields["body"] for intent in log.intents.values())
    assert not sent - recorded, f"{(sent - recorded).total()} requests were sent without an intent"


def assert_verified(installation: Installation, spoken: Iterable[Spoken] = ()) -> None:
    """An outsider verifies the log, every client's receipt being a witness; the command agrees."""
    auditor = (installation.directory / "auditor.key").read_text().strip()
    facts = read_facts(installation.directory / "ledger")
    assert facts is not None
    receipts = [one.receipt for one in spoken if one.receipt]
    report = verify(installation.directory / "ledger", facts.signing, unb64(auditor), receipts=receipts)
    assert report.ok, [str(problem) for problem in report.problems[:5]]
    assert report.witnesses == len(receipts)
    assert report.macs > 0
    done = installation.command("ledger", "verify")
    assert done.returncode == 0, done.stderr


def commitment_key(installation: Installation, tenant: str) -> bytes:
    """Opens a tenant's commitment key with the installation's roots, as its gateway does."""
    roots = open_roots(RootsSection().uris(), installation.directory, None)
    keys = open_keys(roots, installation.directory)
    rows = asyncio.run(_everything(installation)).rows
    keks = {(row.tenant, row.version): row for row in rows if isinstance(row, TenantKek)}
    (owner,) = (row for row in rows if isinstance(row, Tenant) and row.id == tenant)
    vault = Vault(roots["vault"], keys.sealing, lambda *name: keks.get(name), AnchoredClock())
    return vault.commitment_key(owner)


async def _everything(installation: Installation) -> Delta:
    store = await Store.open(f"sqlite:///{installation.directory}/management.db", AnchoredClock())
    try:
        return await store.delta(0)
    finally:
        await store.close()
