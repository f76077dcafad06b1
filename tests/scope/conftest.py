"""A small world of rows to decide over: tenants, scopes, keys, tokens, built line by line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tokenone.clock import DAY_US, FrozenClock
from tokenone.keyed import Keyed
from tokenone.rows import (
    Assignment,
    Delta,
    Endpoint,
    Key,
    KeyVersion,
    Project,
    Removed,
    Restrictions,
    Row,
    Tenant,
    Token,
    Workload,
)
from tokenone.scope import Directory, Minted, Touched, mint
from tokenone.types import KeyState, Provider, Scope
from tokenone.vault import life

BOT = Scope("acme", "shop", "bot")
PEPPER = Keyed(bytes(range(32)))


def leasable(key: Key, version: KeyVersion, now_us: int) -> bool:
    """The vault's own table: what the gateway hands in."""
    return life.leasable(life.state_at(key, version, now_us))


@dataclass
class World:
    """A directory and short ways to feed it; `acme` is a tenant with project `shop` and workload `bot`."""

    clock: FrozenClock = field(default_factory=FrozenClock)
    pepper: Keyed = PEPPER
    revision: int = 0

    def __post_init__(self) -> None:
        self.directory = Directory(leasable, self.clock)

    @classmethod
    def with_acme(cls) -> World:
        world = cls()
        world.feed(
            Endpoint("ep_openai", None, Provider.OPENAI, "openai", ("https://api.openai.com",)),
            Endpoint("ep_anthropic", None, Provider.ANTHROPIC, "anthropic", ("https://api.anthropic.com",)),
        )
        world.scope("acme", "shop", "bot")
        return world

    def feed(self, *rows: Row, removed: tuple[Removed, ...] = ()) -> Touched:
        self.revision += 1
        return self.directory.apply(Delta(self.revision, self.clock.now_us(), rows, removed))

    def remove(self, table: str, row_id: str) -> Touched:
        return self.feed(removed=(Removed(table, row_id),))

    def scope(self, tenant: str, project: str, workload: str, **restrictions: Any) -> Scope:
        self.feed(
            Tenant(tenant, tenant),
            Project(project, tenant, project),
            Workload(workload, tenant, project, workload, restrictions=Restrictions(**restrictions)),
        )
        return Scope(tenant, project, workload)

    def key(self, key_id: str, tenant: str = "acme", **fields: Any) -> Key:
        provider = fields.pop("provider", Provider.OPENAI)
        endpoint = fields.pop("endpoint", f"ep_{provider}")
        key = Key(key_id, tenant, provider, endpoint, key_id, **fields)
        self.feed(key, self.version(key_id))
        return key

    def version(self, key_id: str, number: int = 1, **fields: Any) -> KeyVersion:
        past = self.clock.now_us() - DAY_US
        state = fields.pop("state", KeyState.ACTIVE)
        active_us = fields.pop("active_us", past)
        return KeyVersion(key_id, number, state, b"TKE1", "sk-…", past, active_us, **fields)

    def assign(self, key_id: str, kind: Any, scope: str, **fields: Any) -> Assignment:
        assignment = Assignment(f"asg_{key_id}_{kind}_{scope}", key_id, kind, scope, **fields)
        self.feed(assignment)
        return assignment

    def token(self, workload: str = "bot", mode: Any = "live", **fields: Any) -> Minted:
        minted = mint(self.pepper, mode)
        self.feed(Token(minted.id, workload, minted.digest, mode, **fields))
        return minted

    def keys(self, scope: Scope = BOT, provider: Any = Provider.OPENAI, mode: Any = "live") -> list[str]:
        """The ids of the scope's candidates now."""
        found = self.directory.candidates(scope, provider, self.clock.now_us(), mode)
        return [candidate.key.id for candidate in found]


@pytest.fixture(scope="session")
def worlds() -> type[World]:
    """For properties: a new world per example."""
    return World


@pytest.fixture
def world() -> World:
    return World.with_acme()
