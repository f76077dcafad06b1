"""The one schema of the management database, for SQLite and PostgreSQL alike.

Law: every table of a row of `tokenone.rows` has the row's fields as columns (structs and tuples as JSON text)
and `revision`, the number of the write that last touched it, so that a delta costs what changed and no more.
The migrations build exactly this; a test compares them. It holds no plaintext secret in any column.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> Column[str]:
    return Column("id", String(64), primary_key=True)


def _ref(name: str, target: str, *, nullable: bool = False, primary_key: bool = False) -> Column[str]:
    return Column(name, String(64), ForeignKey(target), nullable=nullable, primary_key=primary_key)


def _revision() -> Column[int]:
    return Column("revision", BigInteger, nullable=False, index=True)


head = Table(
    "head",
    metadata,
    Column("one", BigInteger, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
    comment="One row: the revision of the last write. Updating it first puts all writers in a line.",
)

tenants = Table(
    "tenants",
    metadata,
    _id(),
    Column("name", String(200), nullable=False, unique=True),
    Column("closed", Boolean, nullable=False),
    Column("restrictions", Text, nullable=False),
    Column("detect", Text, nullable=False),
    Column("fee", Text, nullable=False),
    Column("staleness_us", BigInteger, nullable=False),
    Column("commitment", LargeBinary, nullable=False),
    Column("rates", Text, nullable=False),
    _revision(),
)

tenant_keks = Table(
    "tenant_keks",
    metadata,
    _ref("tenant", "tenants.id", primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("root", String(500), nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    _revision(),
)

projects = Table(
    "projects",
    metadata,
    _id(),
    _ref("tenant", "tenants.id"),
    Column("name", String(200), nullable=False),
    Column("closed", Boolean, nullable=False),
    Column("restrictions", Text, nullable=False),
    _revision(),
    UniqueConstraint("tenant", "name"),
)

workloads = Table(
    "workloads",
    metadata,
    _id(),
    _ref("tenant", "tenants.id"),
    _ref("project", "projects.id"),
    Column("name", String(200), nullable=False),
    Column("closed", Boolean, nullable=False),
    Column("restrictions", Text, nullable=False),
    _revision(),
    UniqueConstraint("project", "name"),
    Index("ix_workloads_tenant", "tenant"),
)

endpoints = Table(
    "endpoints",
    metadata,
    _id(),
    _ref("tenant", "tenants.id", nullable=True),
    Column("provider", String(32), nullable=False),
    Column("name", String(200), nullable=False),
    Column("origins", Text, nullable=False),
    Column("base_path", String(500), nullable=False),
    Column("ca_pem", Text),
    Column("models", Text, nullable=False),
    Column("fidelity", Text, nullable=False),
    _revision(),
    UniqueConstraint("tenant", "name"),
)

keys = Table(
    "keys",
    metadata,
    _id(),
    _ref("tenant", "tenants.id"),
    Column("provider", String(32), nullable=False),
    _ref("endpoint", "endpoints.id"),
    Column("name", String(200), nullable=False),
    Column("mode", String(8), nullable=False),
    Column("state", String(16), nullable=False),
    Column("expires_us", BigInteger),
    _revision(),
    Index("ix_keys_tenant", "tenant"),
)

key_versions = Table(
    "key_versions",
    metadata,
    _ref("key", "keys.id", primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    Column("envelope", LargeBinary, nullable=False),
    Column("masked", String(64), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("active_us", BigInteger),
    Column("retire_us", BigInteger),
    Column("fingerprint", String(64), nullable=False, server_default=""),
    _revision(),
    Index("ix_key_versions_retire_us", "retire_us"),
)

assignments = Table(
    "assignments",
    metadata,
    _id(),
    _ref("key", "keys.id"),
    Column("kind", String(16), nullable=False),
    Column("scope", String(64), nullable=False),
    Column("weight", BigInteger, nullable=False),
    Column("priority", BigInteger, nullable=False),
    _revision(),
    UniqueConstraint("key", "scope"),
    Index("ix_assignments_scope", "scope"),
)

tokens = Table(
    "tokens",
    metadata,
    _id(),
    _ref("workload", "workloads.id"),
    Column("digest", LargeBinary, nullable=False),
    Column("mode", String(8), nullable=False),
    Column("expires_us", BigInteger),
    Column("revoked_us", BigInteger),
    Column("addresses", Text, nullable=False),
    Column("grants", Text, nullable=False),
    _revision(),
    Index("ix_tokens_workload", "workload"),
)

routes = Table(
    "routes",
    metadata,
    _id(),
    _ref("tenant", "tenants.id"),
    Column("kind", String(16), nullable=False),
    Column("scope", String(64), nullable=False),
    Column("model", String(200), nullable=False),
    Column("rules", Text, nullable=False),
    _revision(),
    UniqueConstraint("scope", "model"),
    Index("ix_routes_tenant", "tenant"),
)

removed = Table(
    "removed",
    metadata,
    Column("table", String(32), primary_key=True),
    _id(),
    _revision(),
    comment="Tombstones: what is gone since which revision. Kept, for a gateway may come back late.",
)

people = Table(
    "people",
    metadata,
    _id(),
    Column("name", String(200), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    _ref("tenant", "tenants.id", nullable=True),
    Column("password_hash", String(200), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("closed_us", BigInteger),
)

sessions = Table(
    "sessions",
    metadata,
    _id(),
    _ref("person", "people.id"),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False, index=True),
    Column("revoked_us", BigInteger),
    Column("source", String(64), nullable=False),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    _ref("session", "sessions.id"),
    Column("used_us", BigInteger),
    Index("ix_refresh_tokens_session", "session"),
)

audit_events = Table(
    "audit_events",
    metadata,
    _id(),
    Column("at_us", BigInteger, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("actor_name", String(200), nullable=False),
    Column("action", String(64), nullable=False),
    Column("target", String(200), nullable=False),
    Column("tenant", String(64)),
    Column("outcome", String(16), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("source", String(64), nullable=False),
    Column("request_id", String(64), nullable=False),
    Index("ix_audit_events_at_us_id", "at_us", "id"),
    Index("ix_audit_events_target", "target"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("person", String(64), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("status", BigInteger),
    Column("body", Text),
    Column("created_us", BigInteger, nullable=False, index=True),
)

settings = Table(
    "settings",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("until_us", BigInteger, nullable=False),
)
