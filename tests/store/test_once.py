"""Idempotency keys, leases and settings: what must not happen twice does not, on both databases."""

from __future__ import annotations

import asyncio

import pytest

from tokenone.clock import DAY_US, MINUTE_US, FrozenClock
from tokenone.errors import IdempotencyInProgress, IdempotencyMismatch
from tokenone.store import Store
from tokenone.store.once import Answer

pytestmark = pytest.mark.anyio


async def test_a_key_is_taken_by_one_and_answered_to_all(store: Store) -> None:
    taken = await asyncio.gather(
        *(store.idempotency.take("usr_1", "k", b"same") for _ in range(5)), return_exceptions=True
    )
    assert taken.count(None) == 1
    assert sum(isinstance(answer, IdempotencyInProgress) for answer in taken) == 4
    await store.idempotency.keep("usr_1", "k", Answer(201, "{}"))
    assert await store.idempotency.take("usr_1", "k", b"same") == Answer(201, "{}")


async def test_a_key_is_bound_to_its_request_and_its_person(store: Store) -> None:
    assert await store.idempotency.take("usr_1", "k", b"one") is None
    with pytest.raises(IdempotencyMismatch):
        await store.idempotency.take("usr_1", "k", b"two")
    assert await store.idempotency.take("usr_2", "k", b"two") is None


async def test_a_released_abandoned_or_old_key_may_be_taken_again(store: Store, clock: FrozenClock) -> None:
    assert await store.idempotency.take("usr_1", "k", b"one") is None
    await store.idempotency.release("usr_1", "k")
    assert await store.idempotency.take("usr_1", "k", b"two") is None
    clock.advance(MINUTE_US)  # its process died
    assert await store.idempotency.take("usr_1", "k", b"three") is None
    await store.idempotency.keep("usr_1", "k", Answer(200, "{}"))
    clock.advance(DAY_US)
    assert await store.idempotency.take("usr_1", "k", b"four") is None


async def test_a_lease_has_one_holder(store: Store) -> None:
    taken = await asyncio.gather(*(store.leases.take("job", f"h{number}", MINUTE_US) for number in range(5)))
    assert taken.count(True) == 1
    holder = f"h{taken.index(True)}"
    assert await store.leases.take("job", holder, MINUTE_US)  # extended
    assert await store.leases.take("other", "x", MINUTE_US)
    await store.leases.drop("job", "not the holder")
    assert not await store.leases.take("job", "x", MINUTE_US)
    await store.leases.drop("job", holder)
    assert await store.leases.take("job", "x", MINUTE_US)


async def test_a_lease_ends_by_the_databases_time(store: Store, clock: FrozenClock) -> None:
    assert await store.leases.take("job", "a", 0)
    assert await store.leases.take("job", "b", MINUTE_US)
    clock.advance(DAY_US)  # our own clock ends nothing
    assert not await store.leases.take("job", "a", MINUTE_US)


async def test_a_setting_is_what_was_put_last(store: Store) -> None:
    assert await store.settings.get("origin") is None
    await store.settings.put("origin", "one")
    await store.settings.put("origin", "two")
    assert await store.settings.get("origin") == "two"
