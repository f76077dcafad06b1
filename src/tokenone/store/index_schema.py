"""The schema of the ledger's query index: entries as shipped, attempts and calls derived from them.

Law: everything here can be thrown away and shipped again from the segments; nothing is decided by it.
Money is integer nano-USD; an absent figure is NULL and never zero.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, MetaData, String, Table, Text

from tokenone.store.schema import metadata as management

index_metadata: Final = MetaData(naming_convention=management.naming_convention)

cursors = Table(
    "cursors",
    index_metadata,
    Column("slot", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("segment", BigInteger, nullable=False),
    Column("place", BigInteger, nullable=False),
    comment="How far a log was taken: the last seq, and the byte in which segment the reader goes on from.",
)

entries = Table(
    "entries",
    index_metadata,
    Column("slot", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(32), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("call", String(64)),
    Column("fields", Text, nullable=False),
    Index("ix_entries_call", "call"),
)

attempts = Table(
    "attempts",
    index_metadata,
    Column("call", String(64), primary_key=True),
    Column("attempt", BigInteger, primary_key=True, autoincrement=False),
    Column("slot", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("tenant", String(64), nullable=False),
    Column("project", String(64), nullable=False),
    Column("workload", String(64), nullable=False),
    Column("key", String(64), nullable=False),
    Column("ver", BigInteger, nullable=False),
    Column("provider", String(32), nullable=False),
    Column("endpoint", String(64), nullable=False),
    Column("origin", String(300), nullable=False),
    Column("method", String(16), nullable=False),
    Column("path", Text, nullable=False),
    Column("model", Text),
    Column("verdict", String(16)),
    Column("closed_us", BigInteger),
    Column("status", BigInteger),
    Column("class", String(32)),
    Column("cause", String(64)),
    Column("sent", BigInteger),
    Column("received", BigInteger),
    Column("usage", Text),
    Column("input", BigInteger),
    Column("output", BigInteger),
    Column("cost", Text),
    Column("cost_nano", BigInteger),
    Column("cost_source", String(32)),
    Column("fee_nano", BigInteger),
    Index("ix_attempts_at_us", "at_us"),
    Index("ix_attempts_tenant_at_us", "tenant", "at_us"),
)

calls = Table(
    "calls",
    index_metadata,
    Column("id", String(64), primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Column("tenant", String(64), nullable=False),
    Column("project", String(64), nullable=False),
    Column("workload", String(64), nullable=False),
    Column("token", String(64), nullable=False),
    Column("path", Text, nullable=False),
    Column("provider", String(32)),
    Column("model", Text),
    Column("key", String(64)),
    Column("ver", BigInteger),
    Column("attempts", BigInteger, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("status", BigInteger),
    Column("class", String(32)),
    Column("code", String(64)),
    Column("cause", String(64)),
    Column("usage", Text),
    Column("cost_nano", BigInteger),
    Column("cost_source", String(32)),
    Column("fee_nano", BigInteger),
    Index("ix_calls_at_us_id", "at_us", "id"),
    Index("ix_calls_tenant_at_us", "tenant", "at_us"),
    Index("ix_calls_workload_at_us", "workload", "at_us"),
)
