"""Reads the configuration: `tokenone.toml` in the data directory, overridden by `TOKENONE_*` variables.

Law: this is the one reader of the environment; everything else receives values. A misspelt name is refused in the
file and in the environment alike. It opens no roots, databases or sockets, and holds no secret but a passphrase.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from tokenone.dispatch.reference import ENV, Rule
from tokenone.errors import ConfigRefused
from tokenone.secret import Secret
from tokenone.types import is_loopback

CONFIG_NAME: Final = "tokenone.toml"
PREFIX: Final = "TOKENONE_"
BETWEEN: Final = "__"
_ELSEWHERE: Final = frozenset({"TOKENONE_DIR", "TOKENONE_SHARED"})
"""Variables of this prefix that are not settings of an installation."""

Positive = Annotated[float, msgspec.Meta(gt=0)]


class _Section(msgspec.Struct, forbid_unknown_fields=True):
    pass


class GatewaySection(_Section):
    """The data plane's listener and limits."""

    listen: str = "127.0.0.1:8484"
    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    body_mib: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 64
    drain_seconds: Positive = 600
    first_byte_seconds: Positive = 600
    idle_seconds: Positive = 300
    connect_seconds: Positive = 5


class ConsoleSection(_Section):
    """The management API's listener."""

    listen: str = "127.0.0.1:8485"
    tls_cert: Path | None = None
    tls_key: Path | None = None
    allow_plaintext_intake: bool = False


class DatabaseSection(_Section):
    """`sqlite:///path` or `postgresql://…`; the ledger's index lives in a database or schema of its own."""

    url: str = "sqlite:///management.db"
    index_url: str = "sqlite:///index.db"


class RootsSection(_Section):
    """KMS roots by URI; three different ones."""

    vault: str = "local:roots/vault.root"
    signing: str = "local:roots/signing.root"
    token: str = "local:roots/token.root"  # noqa: S105  (a path)
    passphrase: Secret | None = None
    passphrase_file: Path | None = None

    def uris(self) -> dict[str, str]:
        """Returns each purpose's URI."""
        return {"vault": self.vault, "signing": self.signing, "token": self.token}


class EgressSection(_Section):
    """Origins and CIDR blocks that may be dialed although they are not public https."""

    allow: tuple[str, ...] = ()


class ReferencesSection(_Section):
    """Which keys by reference may lead where; none unless listed."""

    allow: tuple[Rule, ...] = ()
    world_readable: bool = False

    def variables(self) -> set[str]:
        """Returns the environment variables that rules name."""
        return {rule.ref.removeprefix(f"{ENV}:") for rule in self.allow if rule.ref.startswith(f"{ENV}:")}


class LedgerSection(_Section):
    """The log's public name and the segment size."""

    origin: str = "tokenone.local/unnamed"
    segment_mib: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 16


class CliSection(_Section):
    """What the command line needs to reach a console elsewhere."""

    url: str | None = None
    ca_file: Path | None = None
    pin: str | None = None


class Settings(_Section):
    """Everything an operator can set, with the defaults of a single machine."""

    profile: Literal["single", "production"] = "single"
    gateway: GatewaySection = msgspec.field(default_factory=GatewaySection)
    console: ConsoleSection = msgspec.field(default_factory=ConsoleSection)
    database: DatabaseSection = msgspec.field(default_factory=DatabaseSection)
    roots: RootsSection = msgspec.field(default_factory=RootsSection)
    egress: EgressSection = msgspec.field(default_factory=EgressSection)
    references: ReferencesSection = msgspec.field(default_factory=ReferencesSection)
    ledger: LedgerSection = msgspec.field(default_factory=LedgerSection)
    cli: CliSection = msgspec.field(default_factory=CliSection)


def data_directory(chosen: Path | None) -> Path:
    """Returns the data directory: the argument, else `TOKENONE_DIR`, else `./tokenone-data`."""
    return (chosen or Path(os.environ.get("TOKENONE_DIR", "tokenone-data"))).absolute()


def home_directory() -> Path:
    """Returns where a person's own session is kept: `XDG_CONFIG_HOME` or `~/.config`, plus `tokenone`."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "tokenone"


def load(directory: Path) -> Settings:
    """Reads `tokenone.toml` and the environment; raises ConfigRefused naming the field, never its value."""
    return settings_of(_read(directory / CONFIG_NAME), os.environ)


def settings_of(file: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """Lays the environment over the file's tables; raises ConfigRefused naming the field."""
    tables = {name: dict(value) if isinstance(value, dict) else value for name, value in file.items()}
    for name, text in environment.items():
        if not name.startswith(PREFIX) or name in _ELSEWHERE:
            continue
        section, between, field = name.removeprefix(PREFIX).lower().partition(BETWEEN)
        table = tables.setdefault(section, {}) if between else tables
        if not isinstance(table, dict):
            raise ConfigRefused(f"{section} is a table")
        table[field if between else section] = _parsed(text)
    try:
        return msgspec.convert(tables, Settings, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise ConfigRefused(f"{CONFIG_NAME} or the environment: {_place(str(error))}") from None


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigRefused(f"{file.name} cannot be read: {type(error).__name__}") from None


def _parsed(text: str) -> Any:
    """A variable that holds a JSON list is one; anything else is text, converted by its field's type."""
    if not text.startswith("["):
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _decode(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is Secret and isinstance(value, str):
        return Secret(value.encode())
    raise ValueError("a value of another kind")  # becomes an error that names the field


def _place(message: str) -> str:
    """Returns the field that a validation error is about; its message may quote the value."""
    unknown = re.search(r"unknown field `([A-Za-z0-9_.-]{1,60})`", message)
    at = re.search(r"at `\$\.?([a-z_.\[\]0-9]*)`", message)
    where = at.group(1) if at else ""
    if unknown:
        return f"unknown setting {where + '.' if where else ''}{unknown.group(1)}"
    return f"{where or 'the top level'} has a value that is not allowed"


def check_listeners(settings: Settings) -> None:
    """Raises ConfigRefused for plain HTTP beyond loopback, and for half a pair of certificate and key."""
    for name, section in (("gateway", settings.gateway), ("console", settings.console)):
        if (section.tls_cert is None) != (section.tls_key is None):
            raise ConfigRefused(f"{name}.tls_cert and {name}.tls_key go together")
        host, _, port = section.listen.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65_535:
            raise ConfigRefused(f"{name}.listen is host:port")
        if section.tls_cert is None and not is_loopback(host.strip("[]")):
            raise ConfigRefused(f"{name}.listen is not loopback: set {name}.tls_cert and {name}.tls_key")


def environment_for_children(without: Collection[str] = ()) -> dict[str, str]:
    """Returns the environment that child processes get: nothing of TOKENONE_*, no proxies, no keys by reference
    (`without`), which gateways alone are told, and not in their environment."""
    kept: dict[str, Any] = {}
    for name, value in os.environ.items():
        if not name.startswith("TOKENONE_") and not name.lower().endswith("_proxy") and name not in without:
            kept[name] = value
    return kept


def referenced_variables(references: ReferencesSection) -> dict[str, str]:
    """Returns the values of the variables that rules name, as far as they are set."""
    return {name: os.environ[name] for name in sorted(references.variables()) if name in os.environ}
