"""Reads the configuration: `tokenone.toml` in the data directory, overridden by `TOKENONE_*` variables.

Law: this is the one reader of the environment; everything else receives values. It does not open roots,
databases or sockets, and holds no secret but passphrases.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from tokenone.errors import ConfigRefused
from tokenone.types import is_loopback

CONFIG_NAME = "tokenone.toml"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


class GatewaySection(_Section):
    """The data plane's listener and limits."""

    listen: str = "127.0.0.1:8484"
    workers: int = Field(default=1, ge=1, le=64)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    body_mib: int = Field(default=64, ge=1, le=1024)
    drain_seconds: int = Field(default=600, ge=1)
    first_byte_seconds: float = Field(default=600.0, gt=0)
    idle_seconds: float = Field(default=300.0, gt=0)
    connect_seconds: float = Field(default=5.0, gt=0)


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
    passphrase: SecretStr | None = None
    passphrase_file: Path | None = None

    def uris(self) -> dict[str, str]:
        """Returns each purpose's URI."""
        return {"vault": self.vault, "signing": self.signing, "token": self.token}


class EgressSection(_Section):
    """Origins and CIDR blocks that may be dialed although they are not public https."""

    allow: list[str] = []


class LedgerSection(_Section):
    """The log's public name and the segment size."""

    origin: str = "tokenone.local/unnamed"
    segment_mib: int = Field(default=16, ge=1, le=1024)


class CliSection(_Section):
    """What the command line needs to reach a console elsewhere."""

    url: str | None = None
    ca_file: Path | None = None
    pin: str | None = None


class Settings(BaseSettings):
    """Everything an operator can set, with the defaults of a single machine."""

    model_config = SettingsConfigDict(env_prefix="TOKENONE_", env_nested_delimiter="__", extra="forbid")

    profile: str = Field(default="single", pattern="^(single|production)$")
    gateway: GatewaySection = GatewaySection()
    console: ConsoleSection = ConsoleSection()
    database: DatabaseSection = DatabaseSection()
    roots: RootsSection = RootsSection()
    egress: EgressSection = EgressSection()
    ledger: LedgerSection = LedgerSection()
    cli: CliSection = CliSection()


def data_directory(chosen: Path | None) -> Path:
    """Returns the data directory: the argument, else `TOKENONE_DIR`, else `./tokenone-data`."""
    return (chosen or Path(os.environ.get("TOKENONE_DIR", "tokenone-data"))).absolute()


def home_directory() -> Path:
    """Returns where a person's own session is kept: `XDG_CONFIG_HOME` or `~/.config`, plus `tokenone`."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "tokenone"


def load(directory: Path) -> Settings:
    """Reads `tokenone.toml` and the environment; raises ConfigRefused naming the field, never its value."""
    file = directory / CONFIG_NAME

    class _Settings(Settings):
        @classmethod
        def settings_customise_sources(  # the library's signature
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return env_settings, TomlConfigSettingsSource(settings_cls, toml_file=file)

    try:
        return _Settings()
    except ValidationError as error:
        places = ", ".join(".".join(str(part) for part in item["loc"]) for item in error.errors())
        raise ConfigRefused(f"{file.name} or the environment: {places}") from None
    except ValueError as error:
        raise ConfigRefused(f"{file} is not TOML: {error}") from None


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


def environment_for_children() -> dict[str, str]:
    """Returns the environment that child processes get: nothing of TOKENONE_*, no proxies."""
    kept: dict[str, Any] = {}
    for name, value in os.environ.items():
        if not name.startswith("TOKENONE_") and not name.lower().endswith("_proxy"):
            kept[name] = value
    return kept
