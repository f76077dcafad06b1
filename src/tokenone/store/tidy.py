"""Tidying up what time has ended: sessions, stored answers, versions past their overlap.

Law: nothing here decides anything (states are decided by time where a key is used); running it late, twice
or never changes no answer. Each version that is set retired is an audit event.
"""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import delete, select

from tokenone.audit import Act
from tokenone.rows import KeyVersion
from tokenone.store import records
from tokenone.store.database import Database
from tokenone.store.once import KEPT_US
from tokenone.store.schema import idempotency, key_versions, keys, refresh_tokens, sessions
from tokenone.types import KeyState

PORTION: Final = 200
_RETIRABLE: Final = (KeyState.ACTIVE.value, KeyState.RETIRING.value)


class Tidied(msgspec.Struct, frozen=True):
    """How much was tidied up."""

    sessions: int
    answers: int
    retired: int


async def tidy(database: Database, act: Act) -> Tidied:
    """Removes expired sessions and stored answers, and sets due versions retired."""
    now_us = database.clock.now_us()
    async with database.writing() as connection:
        over = select(sessions.c.id).where(sessions.c.expires_us <= now_us)
        await connection.execute(delete(refresh_tokens).where(refresh_tokens.c.session.in_(over)))
        ended = (await connection.execute(delete(sessions).where(sessions.c.expires_us <= now_us))).rowcount
        old = delete(idempotency).where(idempotency.c.created_us <= now_us - KEPT_US)
        answers = (await connection.execute(old)).rowcount
    return Tidied(ended, answers, await _retire_due(database, act, now_us))


async def _retire_due(database: Database, act: Act, now_us: int) -> int:
    due = (key_versions.c.retire_us <= now_us, key_versions.c.state.in_(_RETIRABLE))
    query = (
        select(key_versions.c.key, key_versions.c.version, keys.c.tenant)
        .join(keys)
        .where(*due)
        .limit(PORTION)
    )
    async with database.reading() as connection:
        found = (await connection.execute(query)).all()
    for key, version, tenant in found:
        async with database.changing(act, f"{key}/{version}", tenant) as change:
            here = (key_versions.c.key == key, key_versions.c.version == version, *due)
            for stored in await records.matching(change.connection, KeyVersion, *here):
                await records.replace(change, msgspec.structs.replace(stored.row, state=KeyState.RETIRED))
    return len(found)
