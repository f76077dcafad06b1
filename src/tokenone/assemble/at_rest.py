"""Examines what lies in a data directory: configuration, roots, keys, price book, ledger, certificates, space.

Law: it reads; it makes, mends and removes nothing. What a running worker holds open is read beside it. A
finding names files and never what a secret one holds.
"""

from __future__ import annotations

import datetime
import shutil
import stat
from collections.abc import Iterator, Mapping
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from tokenone.assemble.files import (
    AUDITOR_PRIVATE,
    AUDITOR_PUBLIC,
    LEDGER_DIRECTORY,
    PRICE_BOOK,
    read_auditor,
)
from tokenone.assemble.finding import Finding, advice, ok, wrong
from tokenone.assemble.roots import KEYS_DIRECTORY, absolute, open_keys, passphrase_of
from tokenone.config import CONFIG_NAME, Settings, check_listeners, load
from tokenone.errors import ConfigRefused, IntegrityError, RootRefused, TokenOneError
from tokenone.ledger import segment, walk
from tokenone.ledger.batch import load_public
from tokenone.ledger.facts import Facts, read_facts
from tokenone.meter.rate import PriceBook
from tokenone.secret import Secret
from tokenone.vault.keks import open_root
from tokenone.vault.root import PURPOSES, Purpose, Root
from tokenone.vault.working import WorkingKeys
from tokenone.wire.egress import EgressRules
from tokenone.wire.tls import server_context

MIB: Final = 1 << 20
EXPIRY_DAYS: Final = 14
SPACE_ADVICE: Final = 1024 * MIB
_BACKUP: Final = "correct its owner and mode, or bring it back from a backup; what it protects stays closed"
_RIGHT_ONE: Final = (
    "correct passphrase, owner or mode, or bring it back from a backup; what it protects stays closed"
)
_UPGRADE: Final = "run `tokenone upgrade`"


# ── configuration ──────────────────────────────────────────────────────────────────────────────────────────
def settings_of(directory: Path) -> tuple[Settings | None, list[Finding]]:
    """Returns the settings, None where nothing further can be examined."""
    if not (directory / CONFIG_NAME).is_file():
        said = f"there is no {CONFIG_NAME} in {directory}"
        return None, [
            wrong("configuration", said, "make an installation with `tokenone init`, or name another --dir")
        ]
    try:
        settings = load(directory)
        check_listeners(settings)
        EgressRules(tuple(settings.egress.allow))
    except ConfigRefused as error:
        return None, [
            wrong("configuration", error.detail, "correct it; docs/configuration.md lists every setting")
        ]
    return settings, [_configuration(settings), _place(directory)]


def _configuration(settings: Settings) -> Finding:
    if settings.console.allow_plaintext_intake:
        said = "the console takes provider keys in plain text"
        return advice(
            "configuration", said, "set console.allow_plaintext_intake = false and seal keys with the CLI"
        )
    allowed = len(settings.egress.allow)
    egress = f"{allowed} in egress.allow" if allowed else "egress to public https only"
    workers = f"{settings.gateway.workers} worker{'s' if settings.gateway.workers > 1 else ''}"
    return ok("configuration", f"profile {settings.profile}, {workers}, {egress}")


def _place(directory: Path) -> Finding:
    found = directory.stat()
    if found.st_mode & 0o077:
        said = f"{directory} may be entered by other users (mode {stat.S_IMODE(found.st_mode):04o})"
        return advice("data directory", said, f"chmod 700 {directory}")
    return ok("data directory", f"{directory}, for its owner alone")


# ── roots and keys ─────────────────────────────────────────────────────────────────────────────────────────
def roots_of(directory: Path, settings: Settings) -> tuple[dict[Purpose, Root], list[Finding]]:
    """Opens each root by itself, so that one that is wrong does not hide another."""
    try:
        given = passphrase_of(settings)
    except RootRefused as error:
        return {}, [
            wrong("roots", error.detail, "set roots.passphrase_file to a file that this user can read")
        ]
    passphrase = Secret(given.encode()) if given else None
    opened: dict[Purpose, Root] = {}
    found: list[Finding] = []
    for purpose in PURPOSES:
        name, uri = f"root {purpose}", absolute(settings.roots.uris()[purpose], directory)
        if settings.profile == "production" and uri.startswith("local:"):
            found.append(
                wrong(name, "root=local, which the production profile refuses", "name a KMS key instead")
            )
            continue
        try:
            opened[purpose] = open_root(uri, purpose, passphrase)
        except RootRefused as error:
            found.append(wrong(name, error.detail, _RIGHT_ONE))
            continue
        found.append(ok(name, opened[purpose].describe()))
    return opened, found


def keys_of(
    directory: Path, settings: Settings, roots: Mapping[Purpose, Root]
) -> tuple[WorkingKeys | None, list[Finding]]:
    """Opens the working keys under their roots; says of local roots what they are."""
    if set(roots) != set(PURPOSES):
        return None, [wrong("working keys", "they need all three roots", "mend the roots first")]
    try:
        keys = open_keys(roots, directory)
    except RootRefused as error:
        return None, [wrong("working keys", error.detail, f"keys/ and roots/ belong together: {_BACKUP}")]
    found = [ok("working keys", f"sealing, signing and token open from {KEYS_DIRECTORY}/")]
    if all(root.uri.startswith("local:") for root in roots.values()) and passphrase_of(settings) is None:
        said = "root files without a passphrase: whoever copies this directory can open every key"
        found.append(
            advice("roots", said, "set roots.passphrase_file before `tokenone init` of the next one")
        )
    return keys, found


def auditor(directory: Path) -> Iterator[Finding]:
    """The auditor's public key is needed here; the private one does not belong here."""
    try:
        X25519PublicKey.from_public_bytes(read_auditor(directory))
    except (OSError, ValueError, IntegrityError):
        said = f"{AUDITOR_PUBLIC} is missing or damaged; gateways do not start without it"
        yield wrong("auditor's key", said, "copy `auditor` from ledger/log.json into it")
        return
    if (directory / AUDITOR_PRIVATE).exists():
        said = f"{AUDITOR_PRIVATE} is still on this machine; it opens every key that entries are MACed with"
        yield advice("auditor's key", said, "move it to a place that this machine cannot reach")
        return
    yield ok("auditor's key", f"{AUDITOR_PUBLIC} is here, {AUDITOR_PRIVATE} is not")


# ── price book ─────────────────────────────────────────────────────────────────────────────────────────────
def price_book(directory: Path) -> Finding:
    """Readable, and made of the prices that are installed."""
    try:
        book = PriceBook.load((directory / PRICE_BOOK).read_bytes())
    except OSError:
        return wrong("price book", f"{PRICE_BOOK} is missing or unreadable", _UPGRADE)
    except TokenOneError as error:
        return wrong("price book", error.detail, _UPGRADE)
    newest = installed_version("genai-prices")
    if f"genai-prices {newest} " not in book.version:
        return advice(
            "price book", f"{book.version}, while {newest} is installed", f"{_UPGRADE}, then restart"
        )
    return ok("price book", book.version)


# ── ledger ─────────────────────────────────────────────────────────────────────────────────────────────────
def ledger(
    directory: Path, settings: Settings, keys: WorkingKeys | None, running: frozenset[int]
) -> Iterator[Finding]:
    """`log.json` agrees with keys and configuration, and every slot's last segment scans."""
    place = directory / LEDGER_DIRECTORY
    try:
        facts = read_facts(place)
    except IntegrityError as error:
        yield wrong("ledger", error.detail, _BACKUP)
        return
    if facts is None:
        yield wrong(
            "ledger", "ledger/log.json is missing", "bring it back from a backup, or run `tokenone init`"
        )
        return
    yield _agreement(directory, settings, keys, facts)
    slots = sorted(int(path.name) for path in place.iterdir() if path.is_dir() and path.name.isdecimal())
    for slot in slots:
        yield _slot(place, slot, facts, busy=slot in running)
    if not slots:
        yield ok("ledger slots", "none yet: gateways make them at their first start")


def _agreement(directory: Path, settings: Settings, keys: WorkingKeys | None, facts: Facts) -> Finding:
    if facts.origin != settings.ledger.origin:
        said = f"log.json names the log {facts.origin}, the configuration {settings.ledger.origin}"
        return wrong("ledger", said, f'set ledger.origin = "{facts.origin}"')
    if keys is not None and facts.signing != keys.signing.public_key().public_bytes_raw():
        return wrong("ledger", "log.json names another signing key than keys/ holds", _BACKUP)
    try:
        same = facts.auditor == read_auditor(directory)
    except (OSError, ValueError, IntegrityError):
        same = False
    if not same:
        return wrong("ledger", f"log.json names another auditor's key than {AUDITOR_PUBLIC}", _BACKUP)
    return ok("ledger", f"log {facts.origin}; log.json agrees with keys and configuration")


def _slot(place: Path, slot: int, facts: Facts, *, busy: bool) -> Finding:
    """Scans the last segment; the whole ledger is `tokenone ledger verify`'s."""
    name, folder = f"ledger slot {slot}", place / str(slot)
    numbers = segment.numbers(folder)
    if not numbers:
        return ok(name, "empty")
    last = segment.name(numbers[-1])
    position = walk.Position(0, b"")
    try:
        _scan(folder / last, walk.Log(facts.origin, slot, load_public(facts.signing)), position)
    except walk.Stop as stop:
        if not stop.torn:
            said = f"{last}, offset {stop.offset}, seq {stop.seq}: {stop.detail}"
            return wrong(
                name, said, "keep the file and run `tokenone ledger verify`; the next start goes on beside it"
            )
        if not busy:
            said = f"{last} ends in an unsigned tail, as after a crash; signed up to seq {position.seq}"
            return advice(name, said, "nothing: the next start cuts it off and records that")
    except OSError as error:
        return wrong(name, f"{last} cannot be read: {error.strerror}", f"give this user access to {folder}")
    return ok(name, f"{last} scans, signed up to seq {position.seq}")


def _scan(path: Path, log: walk.Log, position: walk.Position) -> None:
    """Walks one segment, moving `position`; raises Stop where it ends early."""
    with path.open("rb") as file:
        header, position.offset = walk.read_header(file, log)
        if (header.origin, header.slot) != (log.origin, log.slot):
            raise walk.Stop(walk.FRAMES, "the segment is another log's", offset=0, seq=0)
        position.seq, position.link = header.first - 1, header.previous
        for _ in walk.walk(file, log, position):
            pass


# ── certificates and space ─────────────────────────────────────────────────────────────────────────────────
def certificates(settings: Settings) -> Iterator[Finding]:
    """Certificate and key fit, and last a while."""
    client_ca = settings.gateway.client_ca
    for name, section in (("gateway", settings.gateway), ("console", settings.console)):
        if section.tls_cert is None or section.tls_key is None:
            yield ok(f"{name} TLS", f"none: plain HTTP on {section.listen}, which is loopback")
            continue
        yield _certificate(
            f"{name} TLS", section.tls_cert, section.tls_key, client_ca if name == "gateway" else None
        )


def _certificate(name: str, certificate: Path, key: Path, client_ca: Path | None) -> Finding:
    try:
        server_context(certificate, key, client_ca)
        ends = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    except ConfigRefused as error:
        return wrong(name, error.detail, f"put a matching PEM pair at {certificate} and {key}")
    except (OSError, ValueError):
        return wrong(name, f"{certificate} is not a certificate", "put a PEM file there, leaf first")
    left = (ends - datetime.datetime.now(datetime.UTC)).total_seconds() / 86_400
    until = f"valid until {ends:%Y-%m-%d}"
    if left <= 0:
        return wrong(
            name, f"expired on {ends:%Y-%m-%d}", "replace the files; what runs takes them without a restart"
        )
    if left < EXPIRY_DAYS:
        return advice(name, until, "renew it soon; what runs takes new files without a restart")
    if key.stat().st_mode & 0o077:
        return advice(name, f"{key} may be read by other users", f"chmod 600 {key}")
    return ok(name, until)


def space(directory: Path, settings: Settings) -> Finding:
    """Room for the ledger to grow; without it nothing is dispatched."""
    free = shutil.disk_usage(directory).free
    least = 2 * settings.ledger.segment_mib * MIB
    said = f"{free / (1 << 30):.1f} GiB free"
    if free < least:
        return wrong("disk space", said, "free some: calls are refused when the ledger cannot grow")
    if free < SPACE_ADVICE:
        return advice("disk space", said, "free some before it runs out: calls are refused then")
    return ok("disk space", said)
