"""`tokenone init`: makes roots, working keys, the auditor's key, the databases and the first person.

Law: nothing that exists is overwritten; what is missing is made, so that an init that was cut off can be run
again. Secrets are written 0600 and never printed.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tokenone.assemble.files import (
    AUDITOR_PRIVATE,
    AUDITOR_PUBLIC,
    LEDGER_DIRECTORY,
    PRICE_BOOK,
    read_auditor,
)
from tokenone.assemble.roots import KEYS_DIRECTORY, absolute, open_keys, open_roots, passphrase_of
from tokenone.assemble.spec import database_url
from tokenone.audit import Act
from tokenone.canonical import b64, unb64
from tokenone.clock import AnchoredClock
from tokenone.config import CONFIG_NAME, Settings, load
from tokenone.dispatch.providers import PROVIDERS
from tokenone.errors import ConfigRefused, Conflict, TokenOneError
from tokenone.ledger.facts import Facts, keep_facts
from tokenone.meter.book import compile_book
from tokenone.rows import Endpoint
from tokenone.secret import Secret, reveal
from tokenone.store import Index, Store
from tokenone.store.people import PASSWORD_LENGTHS
from tokenone.vault.keks import create_local_root
from tokenone.vault.private_file import create_private, read_private
from tokenone.vault.root import PURPOSES
from tokenone.vault.working import create_working_keys

Say = Callable[[str], None]
_ACT: Final = Act(actor="job:init", actor_name="init", action="install", source="local")


@dataclass(frozen=True, slots=True)
class FirstPerson:
    """The name and password of the first owner."""

    name: str
    password: Secret


CONFIG_TEXT: Final = """\
# TokenOne BYOK. Every value can be overridden by an environment variable, e.g. TOKENONE_GATEWAY__WORKERS=4.
# profile = "production"   # refuses local: roots

[gateway]
# listen = "127.0.0.1:8484"     # plain HTTP is served on loopback only; elsewhere give tls_cert and tls_key
# workers = 1
# tls_cert = "/path/server.crt"
# tls_key = "/path/server.key"

[console]
# listen = "127.0.0.1:8485"

[database]
# url = "sqlite:///management.db"                 # or postgresql://user@host/tokenone
# index_url = "sqlite:///index.db"

[roots]
# passphrase_file = "/path/passphrase"            # where the root files are under a passphrase

[egress]
# allow = ["10.1.2.0/24", "http://127.0.0.1:8000"] # models on premises: CIDR blocks or exact origins

# [[references.allow]]                            # keys that lie in a file or variable: nothing else is read
# ref = "file:/run/secrets/team/"
# tenant = "ten_..."
# origins = ["https://api.openai.com"]

[ledger]
origin = "{origin}"
"""


def make_directory(directory: Path) -> None:
    """Makes the data directory and its configuration file."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = directory / CONFIG_NAME
    if not file.exists():  # whole or not at all; it may come to hold a database's password
        create_private(file, CONFIG_TEXT.format(origin=f"tokenone.local/{secrets.token_hex(6)}").encode())


async def install(directory: Path, person: FirstPerson, say: Say) -> None:
    """Makes an installation in `directory`, saying each step; raises Conflict if a person is there already."""
    make_directory(directory)
    settings = load(directory)
    _make_keys(directory, settings, say)
    await renew(directory, settings, say)
    store = await Store.open(database_url(settings.database.url, directory), AnchoredClock())
    try:
        if await store.people.count():
            raise Conflict(f"{directory} holds an installation already; `tokenone upgrade` renews it")
        await store.people.add(_ACT, person.name, reveal(person.password).decode(), role="owner")
        say(f"made the owner `{person.name}`")
    finally:
        await store.close()


async def renew(directory: Path, settings: Settings, say: Say) -> None:
    """Compiles the price book of the installed prices, migrates both databases, adds presets that are new."""
    book = directory / PRICE_BOOK
    fresh = book.with_suffix(".new")
    fresh.write_bytes(compile_book())
    fresh.replace(book)
    say("compiled the price book")
    clock = AnchoredClock()
    store = await Store.open(database_url(settings.database.url, directory), clock)
    index = await Index.open(database_url(settings.database.index_url, directory), clock)
    try:
        await store.migrate()
        await index.migrate()
        await _make_presets(store)
        say("made or migrated the databases")
    finally:
        await index.close()
        await store.close()


def _make_keys(directory: Path, settings: Settings, say: Say) -> None:
    passphrase = passphrase_of(settings)
    secret = Secret(passphrase.encode()) if passphrase else None
    uris = settings.roots.uris()
    for purpose in PURPOSES:
        path = Path(absolute(uris[purpose], directory).removeprefix("local:"))
        if uris[purpose].startswith("local:") and not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            create_local_root(path, purpose, secret)
            say(f"made the root `{purpose}` (root=local, {path.name})")
    roots = open_roots(uris, directory, passphrase, profile=settings.profile)
    create_working_keys(roots, directory / KEYS_DIRECTORY)
    keys = open_keys(roots, directory)
    public = make_auditor_key(directory, say)
    ledger = directory / LEDGER_DIRECTORY
    ledger.mkdir(mode=0o700, exist_ok=True)
    keep_facts(ledger, Facts(settings.ledger.origin, keys.signing.public_key().public_bytes_raw(), public))


def make_auditor_key(directory: Path, say: Say) -> bytes:
    """Makes what is missing of the auditor's pair and returns the public key.

    The private one comes first: cut off behind it, the next run goes on from there.
    """
    private_path = directory / AUDITOR_PRIVATE
    public_path = directory / AUDITOR_PUBLIC
    if not public_path.exists():
        if not private_path.exists():
            fresh = X25519PrivateKey.generate().private_bytes_raw()
            create_private(private_path, b64(fresh).encode() + b"\n")
        private = X25519PrivateKey.from_private_bytes(unb64(read_private(private_path).decode().strip()))
        create_private(public_path, b64(private.public_key().public_bytes_raw()).encode() + b"\n")
        public_path.chmod(0o644)
        say(f"made the auditor's key: move {private_path.name} to a place that this machine cannot reach")
    return read_auditor(directory)


async def _make_presets(store: Store) -> None:
    """Adds the providers' public endpoints, where they have one for everybody."""
    for provider, facts in PROVIDERS.items():
        if not facts.default_origin:
            continue
        preset = Endpoint(
            id=f"ep_{provider.value}", tenant=None, provider=provider, name=provider.value,
            origins=(facts.default_origin, *facts.token_origins), base_path="",
        )  # fmt: skip
        try:
            await store.keys.add_endpoint(_ACT, preset)
        except Conflict:
            continue


def generated_password() -> str:
    """Returns a password for whoever did not choose one; shown once."""
    return secrets.token_urlsafe(15)


def main() -> None:
    """`python -m tokenone.assemble.install --dir DIR --admin NAME [--password-stdin | --generate-password]`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--admin", default="admin")
    parser.add_argument("--password-stdin", action="store_true")
    parser.add_argument("--generate-password", action="store_true")
    chosen = parser.parse_args()
    password = generated_password() if chosen.generate_password else None
    try:
        secret = Secret(password.encode()) if password else _password(from_stdin=chosen.password_stdin)
        asyncio.run(install(chosen.dir, FirstPerson(chosen.admin, secret), say))
    except TokenOneError as error:
        sys.exit(f"tokenone init: {error.sentence}")
    if password:
        sys.stdout.write(f"owner `{chosen.admin}`, password shown once: {password}\n")
    else:
        say(f"ready: start it with `tokenone serve --dir {chosen.dir}`")


def _password(*, from_stdin: bool) -> Secret:
    """Reads the first owner's password; at a prompt twice, for nobody can look it up again."""
    if from_stdin:
        password = sys.stdin.readline().rstrip("\n")
    else:
        least = PASSWORD_LENGTHS.start
        password = getpass.getpass(f"Password for the owner ({least} characters or more): ")
        if getpass.getpass("The same again: ") != password:
            raise ConfigRefused("the two passwords differ; nothing was made")
    if len(password) not in PASSWORD_LENGTHS:
        most = PASSWORD_LENGTHS.stop - 1
        raise ConfigRefused(f"a password has {PASSWORD_LENGTHS.start} to {most} characters; nothing was made")
    return Secret(password.encode())


def say(line: str) -> None:
    """Tells people what was done."""
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    main()
