"""Seeds an installation with many keys and tokens, or a long ledger, past the management API: for growth alone.

Law: rows and envelopes are real (the gateway opens them with its own roots); only the way in is shorter.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from sqlalchemy import insert, update

from tokenone.assemble.files import LEDGER_DIRECTORY, read_auditor
from tokenone.assemble.install import FirstPerson, install
from tokenone.assemble.roots import open_keys, open_roots
from tokenone.clock import AnchoredClock
from tokenone.config import load
from tokenone.keyed import Keyed
from tokenone.ledger.writer import Ledger, LedgerKeys
from tokenone.rows import (
    Assignment,
    Endpoint,
    Key,
    KeyVersion,
    Project,
    Row,
    Tenant,
    TenantKek,
    Token,
    Workload,
)
from tokenone.scope import mint
from tokenone.secret import Secret, reveal
from tokenone.store.database import Database
from tokenone.store.schema import head
from tokenone.store.shape import SHAPES
from tokenone.types import KeyState, Provider, new_id
from tokenone.vault.envelope import key_binding, seal_envelope
from tokenone.vault.vault import Vault

PORTION = 2_000
KEYS_PER_TENANT = 1_000
SPOKEN_FOR = 10
"""Tokens that the load takes in turn: as many at every size, for size alone is to be measured."""


class Seed(msgspec.Struct, frozen=True):
    """What to seed: where calls go, how many keys, how many entries."""

    directory: str
    origin: str
    ca_pem: str | None
    keys: int
    ledger_entries: int


async def seed(wanted: Seed) -> list[str]:
    """Makes the installation; returns some caller tokens, spread over the keys."""
    directory = Path(wanted.directory)
    await install(directory, FirstPerson("bench", Secret(b"a password for the bench")), lambda _: None)
    settings = load(directory)
    roots = open_roots(settings.roots.uris(), directory, None)
    keys = open_keys(roots, directory)
    clock = AnchoredClock()
    keks: dict[str, TenantKek] = {}
    vault = Vault(
        roots["vault"],
        keys.sealing,
        lambda tenant, version: keks.get(tenant) if version == 1 else None,
        clock,
    )
    texts: list[str] = []
    rows = _rows(wanted, vault, keks, Keyed(reveal(keys.pepper)), texts)
    await _insert(Database(f"sqlite:///{directory / 'management.db'}", clock, sync="OFF"), rows)
    if wanted.ledger_entries:
        auditor = X25519PublicKey.from_public_bytes(read_auditor(directory))
        await _fill(
            directory, LedgerKeys(keys.signing, auditor, settings.ledger.origin), wanted.ledger_entries
        )
    return texts[:: max(1, len(texts) // SPOKEN_FOR)][:SPOKEN_FOR]


def _rows(
    wanted: Seed, vault: Vault, keks: dict[str, TenantKek], pepper: Keyed, texts: list[str]
) -> Iterator[Row]:
    """Yields parents before children: a tenant for every thousand keys, a workload and a token for each key."""
    for first in range(0, wanted.keys, KEYS_PER_TENANT):
        tenant_id = new_id("ten")
        made = vault.new_tenant(tenant_id)
        keks[tenant_id] = made.kek
        yield Tenant(tenant_id, f"tenant {first}", commitment=made.commitment)
        yield made.kek
        endpoint = Endpoint(
            new_id("ep"), tenant_id, Provider.OPENAI, "upstream", (wanted.origin,), ca_pem=wanted.ca_pem
        )
        yield endpoint
        project = Project(new_id("prj"), tenant_id, "project")
        yield project
        kek = vault._keyring.newest(tenant_id)
        for number in range(min(KEYS_PER_TENANT, wanted.keys - first)):
            key = Key(new_id("key"), tenant_id, Provider.OPENAI, endpoint.id, f"key {number}")
            envelope = seal_envelope(kek, key_binding(key, 1, endpoint), b"sk-proj-" + b"b" * 40)
            workload = Workload(new_id("wkl"), tenant_id, project.id, f"workload {number}")
            token = mint(pepper, "live")
            texts.append(token.text)
            yield workload
            yield key
            yield KeyVersion(key.id, 1, KeyState.ACTIVE, envelope, "sk-proj-…bbbb", 1, 1)
            yield Assignment(new_id("asg"), key.id, "workload", workload.id)
            yield Token(token.id, workload.id, token.digest)


async def _insert(database: Database, rows: Iterator[Row]) -> None:
    portion: list[Row] = []
    for row in rows:
        portion.append(row)
        if len(portion) >= PORTION:
            await _write(database, portion)
            portion = []
    await _write(database, portion)
    await database.close()


async def _write(database: Database, rows: list[Row]) -> None:
    """Writes rows table by table, parents first."""
    async with database.writing() as connection:
        bumped = update(head).values(revision=head.c.revision + 1).returning(head.c.revision)
        revision = (await connection.execute(bumped)).scalar_one()
        for kind, shape in SHAPES.items():
            values = [{**shape.values(row), "revision": revision} for row in rows if type(row) is kind]
            if values:
                await connection.execute(insert(shape.table), _completed(kind, values))


def _completed(kind: type[Row], values: list[dict[str, object]]) -> list[dict[str, object]]:
    """Adds what a table has beyond its row."""
    if kind is KeyVersion:
        return [{**value, "fingerprint": ""} for value in values]
    return values


async def _fill(directory: Path, keys: LedgerKeys, entries: int) -> None:
    """Appends entries to slot 0, as a worker does."""
    ledger = Ledger.open(directory / LEDGER_DIRECTORY, 0, keys, AnchoredClock())
    await ledger.start()
    for first in range(0, entries, PORTION):
        pending = [ledger.append("note", {"number": first + each}) for each in range(PORTION)]
        await pending[-1]
    await ledger.close()


def main() -> None:
    """Reads a seed as JSON from stdin, writes the tokens as JSON to stdout."""
    wanted = msgspec.json.decode(sys.stdin.buffer.read(), type=Seed)
    sys.stdout.write(json.dumps(asyncio.run(seed(wanted))) + "\n")


if __name__ == "__main__":
    main()
