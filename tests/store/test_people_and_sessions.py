"""Signing in and sessions, over both databases: nothing to steal at rest, nothing to learn from an answer."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tokenone.audit import Act
from tokenone.clock import DAY_US, FrozenClock
from tokenone.errors import ConfigRefused, Conflict, SessionExpired, SignInRefused
from tokenone.store import Store

pytestmark = pytest.mark.anyio
ACT = Act("operator", "operator", "session.open", "127.0.0.1", "req_1")
PASSWORD = "correct horse battery staple"


def everything_in(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.iterdir())


async def test_a_session_is_refreshed_ended_and_then_refused(store: Store) -> None:
    ann = await store.people.add(ACT, "ann", PASSWORD)
    opened = await store.people.sign_in(ACT, "ann", PASSWORD)
    assert await store.people.current(opened.session) == ann
    refreshed = await store.people.refresh(ACT, opened.refresh_token)
    assert refreshed.session == opened.session
    await store.people.end(ACT, opened.session)
    with pytest.raises(SessionExpired):
        await store.people.current(opened.session)
    with pytest.raises(SessionExpired):
        await store.people.refresh(ACT, refreshed.refresh_token)


async def test_a_refresh_token_used_twice_ends_the_session(store: Store) -> None:
    await store.people.add(ACT, "ann", PASSWORD)
    opened = await store.people.sign_in(ACT, "ann", PASSWORD)
    refreshed = await store.people.refresh(ACT, opened.refresh_token)
    with pytest.raises(SessionExpired):
        await store.people.refresh(ACT, opened.refresh_token)
    with pytest.raises(SessionExpired):
        await store.people.refresh(ACT, refreshed.refresh_token)
    ended = await store.trail.page({"action": "session.end"}, limit=5)
    assert [event.reason for event in ended] == ["refresh_token_reused"]


async def test_of_two_refreshes_at_once_one_wins_at_most(store: Store) -> None:
    await store.people.add(ACT, "ann", PASSWORD)
    opened = await store.people.sign_in(ACT, "ann", PASSWORD)
    both = (store.people.refresh(ACT, opened.refresh_token) for _ in range(2))
    answers = await asyncio.gather(*both, return_exceptions=True)
    assert [isinstance(answer, SessionExpired) for answer in answers].count(True) == 1


async def test_a_session_ends_after_seven_days(store: Store, clock: FrozenClock) -> None:
    await store.people.add(ACT, "ann", PASSWORD)
    opened = await store.people.sign_in(ACT, "ann", PASSWORD)
    clock.advance(7 * DAY_US)
    with pytest.raises(SessionExpired):
        await store.people.current(opened.session)
    with pytest.raises(SessionExpired):
        await store.people.refresh(ACT, opened.refresh_token)
    assert (await store.tidy(ACT)).sessions == 1


async def test_a_closed_person_is_out_at_once(store: Store) -> None:
    ann = await store.people.add(ACT, "ann", PASSWORD)
    opened = await store.people.sign_in(ACT, "ann", PASSWORD)
    await store.people.close(ACT, ann.id)
    with pytest.raises(SessionExpired):
        await store.people.current(opened.session)
    with pytest.raises(SignInRefused):
        await store.people.sign_in(ACT, "ann", PASSWORD)


async def test_names_are_unique_and_passwords_bounded(store: Store) -> None:
    await store.people.add(ACT, "ann", PASSWORD)
    with pytest.raises(Conflict):
        await store.people.add(ACT, "ann", PASSWORD)
    for password in ("short", "x" * 1025):
        with pytest.raises(ConfigRefused) as refused:
            await store.people.add(ACT, "bob", password)
        assert password not in str(refused.value)


async def test_an_unknown_name_costs_what_a_wrong_password_costs(tmp_path: Path, clock: FrozenClock) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/m.db", clock)
    await store.migrate()
    await store.people.add(ACT, "ann", PASSWORD)

    async def cost(name: str) -> float:
        started = time.process_time()
        with pytest.raises(SignInRefused):
            await store.people.sign_in(ACT, name, "wrong wrong wrong")
        return time.process_time() - started

    known, unknown = [min([await cost(name) for _ in range(2)]) for name in ("ann", "nobody")]
    # A database look-up without the hash would cost a hundredth.
    assert 1 / 3 < unknown / known < 3
    await store.close()


async def test_no_password_or_refresh_token_is_at_rest(tmp_path: Path, clock: FrozenClock) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/m.db", clock)
    await store.migrate()
    await store.people.add(ACT, "ann", PASSWORD)
    opened = await store.people.sign_in(ACT, "ann", PASSWORD)
    await store.close()
    held = everything_in(tmp_path)
    assert b"ann" in held
    for secret in (PASSWORD, opened.refresh_token, opened.refresh_token.removeprefix("tor_")):
        assert secret.encode() not in held
