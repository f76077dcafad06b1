"""The store's laws, held over SQLite and PostgreSQL alike."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from tokenone.audit import Act
from tokenone.clock import DAY_US, FrozenClock
from tokenone.errors import Conflict, NotFound, PreconditionFailed
from tokenone.rows import (
    Assignment,
    Key,
    KeyVersion,
    Project,
    Removed,
    Restrictions,
    Tenant,
    TenantKek,
    TenantRate,
    Token,
    Workload,
)
from tokenone.store import Store
from tokenone.types import KeyState, Provider, new_id
from tokenone.vault.life import Event

pytestmark = pytest.mark.anyio
ACT = Act("usr_1", "ann", "test.act", "127.0.0.1", "req_1")


def key_of(scope: Any) -> Key:
    return Key(new_id("key"), scope.tenant.id, Provider.OPENAI, scope.endpoint.id, "main")


def version_of(key: Key, **more: Any) -> KeyVersion:
    return KeyVersion(key.id, 1, KeyState.ACTIVE, b"TKE1\x00\xff", "sk-…a1b2", 5, 5, **more)


def token_of(scope: Any, **more: Any) -> Token:
    return Token(new_id("tok"), scope.workload.id, b"\x00digest", addresses=("10.0.0.0/8",), **more)


async def test_a_row_comes_back_as_it_was_written(store: Store, scope: Any) -> None:
    tenant = Tenant(
        new_id("ten"),
        "Ünïcode & «quotes»",
        restrictions=Restrictions(models=("gpt-*",), requests_per_minute=60),
        rates=(TenantRate("openai", "gpt-5", input=0), TenantRate("openai", "*", output=2**53)),
        commitment=bytes(range(256)),
    )
    await store.scopes.add_tenant(ACT, tenant, TenantKek(tenant.id, 1, "local:v", b"k"))
    assert (await store.scopes.get(Tenant, tenant.id)).row == tenant
    key, token = key_of(scope), token_of(scope, expires_us=7)
    await store.keys.add(ACT, key, version_of(key), "f1")
    await store.tokens.add(ACT, token)
    delta = await store.delta(0)
    for row in (tenant, key, version_of(key), token, scope.workload, scope.endpoint):
        assert row in delta.rows


async def test_the_first_delta_is_everything_and_the_next_only_what_changed(store: Store, scope: Any) -> None:
    first = await store.delta(0)
    assert {type(row).__name__ for row in first.rows} == {
        "Tenant",
        "TenantKek",
        "Project",
        "Workload",
        "Endpoint",
    }
    assert (await store.delta(first.revision)).rows == ()
    await store.scopes.edit(ACT, Project, scope.project.id, _closed)
    second = await store.delta(first.revision)
    assert second.rows == (_closed(scope.project),)
    assert second.revision == first.revision + 1
    assert second.database_us >= first.database_us > 1_700_000_000_000_000


async def test_a_removed_row_is_in_the_delta_as_a_tombstone(store: Store, scope: Any) -> None:
    key = key_of(scope)
    await store.keys.add(ACT, key, version_of(key), "f1")
    grant = Assignment(new_id("asg"), key.id, "workload", scope.workload.id)
    await store.keys.assign(ACT, grant)
    before = await store.delta(0)
    assert grant in before.rows
    await store.keys.unassign(ACT, grant.id)
    assert (await store.delta(before.revision)).removed == (Removed("Assignment", grant.id),)
    fresh = await store.delta(0)
    assert grant not in fresh.rows
    assert fresh.removed == ()


async def test_every_revision_is_seen_in_order_by_concurrent_writers(store: Store, scope: Any) -> None:
    seen: list[int] = []

    async def follow() -> None:
        while len(seen) < 20:
            if await store.changed(5):
                delta = await store.delta(seen[-1] if seen else start)
                seen.extend(range((seen[-1] if seen else start) + 1, delta.revision + 1))
                projects.update(row.id for row in delta.rows if isinstance(row, Project))

    projects: set[str] = set()
    start = (await store.delta(0)).revision
    made = [Project(new_id("prj"), scope.tenant.id, f"p{number}") for number in range(20)]
    await asyncio.gather(follow(), *(store.scopes.add_project(ACT, project) for project in made))
    assert projects == {project.id for project in made}


async def test_a_change_by_another_process_is_noticed_at_once(
    store: Store, scope: Any, url: str, clock: FrozenClock
) -> None:
    await store.delta(0)
    waiting = asyncio.create_task(store.changed(20))
    other = await Store.open(url, clock)
    await other.scopes.edit(ACT, Project, scope.project.id, _closed)
    loop = asyncio.get_running_loop()
    written = loop.time()
    assert await waiting
    assert loop.time() - written < 1.0
    await other.close()


async def test_waiting_for_a_change_ends_after_its_time(store: Store, scope: Any) -> None:
    await store.delta(0)
    assert not await store.changed(0.05)
    await store.trail.refused(ACT, "", "conflict")
    assert not await store.changed(0.05)  # an event alone is nothing that a gateway reads


async def test_a_change_between_delta_and_wait_is_not_missed(store: Store, scope: Any) -> None:
    await store.delta(0)
    await store.scopes.edit(ACT, Project, scope.project.id, _closed)
    assert await store.changed(0)


async def test_a_write_and_its_event_are_one(store: Store, scope: Any) -> None:
    before = await store.delta(0)
    events = len(await store.trail.page({}, limit=200))
    with pytest.raises(Conflict):
        await store.scopes.add_project(ACT, msgspec.structs.replace(scope.project, id=new_id("prj")))
    assert (await store.delta(before.revision)).revision == before.revision
    assert len(await store.trail.page({}, limit=200)) == events
    await store.scopes.edit(ACT, Project, scope.project.id, _closed)
    newest = (await store.trail.page({"target": scope.project.id}, limit=1))[0]
    assert (newest.action, newest.actor, newest.tenant, newest.outcome) == (
        "test.act",
        "usr_1",
        scope.tenant.id,
        "ok",
    )


async def test_a_stale_writer_is_refused(store: Store, scope: Any) -> None:
    stored = await store.scopes.get(Project, scope.project.id)
    await store.scopes.edit(ACT, Project, scope.project.id, _closed, stored.revision)
    with pytest.raises(PreconditionFailed):
        await store.scopes.edit(ACT, Project, scope.project.id, _closed, stored.revision)


async def test_what_does_not_exist_is_not_found(store: Store, scope: Any) -> None:
    with pytest.raises(NotFound):
        await store.scopes.get(Tenant, "ten_none")
    with pytest.raises(NotFound):
        await store.scopes.add_project(ACT, Project(new_id("prj"), "ten_none", "x"))
    with pytest.raises(NotFound):
        await store.keys.unassign(ACT, "asg_none")
    with pytest.raises(NotFound):
        await store.tokens.revoke(ACT, "tok_none")


async def test_nothing_is_added_to_a_closed_scope(store: Store, scope: Any) -> None:
    await store.scopes.edit(ACT, Project, scope.project.id, _closed)
    with pytest.raises(Conflict):
        await store.scopes.add_workload(
            ACT, Workload(new_id("wkl"), scope.tenant.id, scope.project.id, "late")
        )


async def test_a_key_is_assigned_within_its_tenant_only(store: Store, scope: Any) -> None:
    key = key_of(scope)
    await store.keys.add(ACT, key, version_of(key), "f1")
    other = await type(scope)().put(store)
    for kind, foreign in (("tenant", other.tenant), ("project", other.project), ("workload", other.workload)):
        with pytest.raises(Conflict):
            await store.keys.assign(ACT, Assignment(new_id("asg"), key.id, kind, foreign.id))
    for kind, own in (("tenant", scope.tenant), ("project", scope.project), ("workload", scope.workload)):
        await store.keys.assign(ACT, Assignment(new_id("asg"), key.id, kind, own.id))
    assert len(await store.keys.assignments(key=key.id)) == 3
    with pytest.raises(Conflict):
        await store.keys.assign(ACT, Assignment(new_id("asg"), key.id, "tenant", scope.tenant.id))


async def test_a_key_is_of_its_endpoints_tenant_and_provider(store: Store, scope: Any) -> None:
    other = await type(scope)().put(store)
    foreign = msgspec.structs.replace(key_of(scope), endpoint=other.endpoint.id)
    with pytest.raises(Conflict):
        await store.keys.add(ACT, foreign, version_of(foreign), "f")


async def test_destroying_a_key_empties_its_envelopes_for_good(store: Store, scope: Any) -> None:
    key = key_of(scope)
    await store.keys.add(ACT, key, version_of(key), "f1")
    with pytest.raises(Conflict):
        await store.keys.advance(ACT, key.id, Event.DESTROY)
    await store.keys.advance(ACT, key.id, Event.SUSPEND)
    view = await store.keys.advance(ACT, key.id, Event.DESTROY)
    assert view.key.state is KeyState.DESTROYED
    assert [version.state for version in view.versions] == [KeyState.DESTROYED]
    kept = [row for row in (await store.delta(0)).rows if isinstance(row, KeyVersion)]
    assert [row.envelope for row in kept] == [b""]
    for event in Event:
        with pytest.raises(Conflict):
            await store.keys.advance(ACT, key.id, event)


async def test_rotation_lets_the_old_token_end_after_the_grace(
    store: Store, scope: Any, clock: FrozenClock
) -> None:
    old = token_of(scope)
    await store.tokens.add(ACT, old)
    await store.tokens.rotate(ACT, old.id, token_of(scope), DAY_US)
    assert (await store.tokens.get(old.id)).row.expires_us == clock.now_us() + DAY_US
    soon = token_of(scope, expires_us=clock.now_us() + 5)
    await store.tokens.add(ACT, soon)
    await store.tokens.rotate(ACT, soon.id, token_of(scope), DAY_US)
    assert (await store.tokens.get(soon.id)).row.expires_us == clock.now_us() + 5  # never longer than it had


async def test_a_revoked_token_stays_revoked(store: Store, scope: Any, clock: FrozenClock) -> None:
    token = token_of(scope)
    await store.tokens.add(ACT, token)
    first = (await store.tokens.revoke(ACT, token.id)).row.revoked_us
    clock.advance(DAY_US)
    assert (await store.tokens.revoke(ACT, token.id)).row.revoked_us == first
    with pytest.raises(Conflict):
        await store.tokens.rotate(ACT, token.id, token_of(scope), 0)


async def test_pages_cover_everything_once(store: Store, scope: Any) -> None:
    made = {scope.project.id}
    for number in range(7):
        project = Project(new_id("prj"), scope.tenant.id, f"p{number}")
        await store.scopes.add_project(ACT, project)
        made.add(project.id)
    found: list[str] = []
    while page := await store.scopes.page(
        Project, tenant=scope.tenant.id, after=found[-1] if found else "", limit=3
    ):
        found += [stored.row.id for stored in page]
    assert found == sorted(made)


async def test_the_trail_is_read_newest_first_in_pages(store: Store, scope: Any, clock: FrozenClock) -> None:
    for number in range(5):
        clock.advance(number % 2)  # some at the same microsecond
        await store.trail.refused(msgspec.structs.replace(ACT, action=f"x.{number}"), "", "denied")
    found: list[Any] = []
    while page := await store.trail.page(
        {"outcome": "refused"}, before=(found[-1].at_us, found[-1].id) if found else None, limit=2
    ):
        found += page
    assert sorted(event.action for event in found) == [f"x.{number}" for number in range(5)]
    assert [event.at_us for event in found] == sorted((event.at_us for event in found), reverse=True)


async def test_tidying_retires_what_time_has_ended_and_says_so(
    store: Store, scope: Any, clock: FrozenClock
) -> None:
    key = key_of(scope)
    due = version_of(key, retire_us=clock.now_us() + 10)
    await store.keys.add(ACT, key, due, "f1")
    assert (await store.tidy(ACT)).retired == 0
    clock.advance(10)
    assert (await store.tidy(ACT)).retired == 1
    assert (await store.tidy(ACT)).retired == 0
    assert (await store.keys.get(key.id)).versions[0].state is KeyState.RETIRED
    assert await store.trail.page({"target": f"{key.id}/1"}, limit=5)


def _closed(scope: Any) -> Any:
    return msgspec.structs.replace(scope, closed=True)
