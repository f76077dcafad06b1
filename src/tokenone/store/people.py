"""People who sign in, and their sessions: passwords by argon2id, refresh tokens by digest.

Law: a password or refresh token is never stored, returned or logged; checking an unknown name costs what
checking a known one costs; a refresh token works once, and its second use ends the session.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from typing import Final, TypeVar, TypeVarTuple

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from sqlalchemy import ColumnElement, insert, select, update

from tokenone.audit import Act
from tokenone.clock import DAY_US
from tokenone.errors import ConfigRefused, NotFound, SessionExpired, SignInRefused
from tokenone.store.database import Change, Database, event_of, note
from tokenone.store.schema import people, refresh_tokens, sessions
from tokenone.types import new_id

Given = TypeVarTuple("Given")
Done = TypeVar("Done")

SESSION_US: Final = 7 * DAY_US
PASSWORD_LENGTHS: Final = range(10, 1025)
HASHES_AT_ONCE: Final = 2
"""Each takes 64 MiB; more would let strangers fill the memory."""
# The hash of a password that nobody has, so that an unknown name costs the same time (the default costs).
_NOBODY: Final = (
    "$argon2id$v=19$m=65536,t=3,p=4$CcXrhJ8hTI3rGjf+oZ68Mg$+Vj1tPu3EQboIRbVFEL+e6uZq7vFS7KJKRFJddA2uEM"
)


class Person(msgspec.Struct, frozen=True):
    """Somebody who may sign in. `tenant` None reaches every tenant."""

    id: str
    name: str
    role: str
    tenant: str | None
    created_us: int
    closed_us: int | None = None


class Opened(msgspec.Struct, frozen=True):
    """A session just opened or refreshed; `refresh_token` is shown once."""

    session: str
    person: Person
    refresh_token: str
    expires_us: int


_PERSON: Final = tuple(people.c[name] for name in Person.__struct_fields__)


class People:
    """The verbs on people and sessions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._hasher = PasswordHasher()
        self._turns = asyncio.Semaphore(HASHES_AT_ONCE)

    async def add(
        self, act: Act, name: str, password: str, *, role: str = "owner", tenant: str | None = None
    ) -> Person:
        """Adds a person; ConfigRefused for a password that is too short or too long."""
        if len(password) not in PASSWORD_LENGTHS:
            raise ConfigRefused(
                f"a password has {PASSWORD_LENGTHS.start} to {PASSWORD_LENGTHS.stop - 1} characters"
            )
        hashed = await self._in_turn(self._hasher.hash, password)
        person = Person(new_id("usr"), name, role, tenant, self._database.clock.now_us())
        values = msgspec.structs.asdict(person) | {"password_hash": hashed}
        async with self._database.noting(act, person.id, tenant) as change:
            await change.connection.execute(insert(people).values(values))
        return person

    async def count(self) -> int:
        async with self._database.reading() as connection:
            return len((await connection.execute(select(people.c.id))).all())

    async def sign_in(self, act: Act, name: str, password: str) -> Opened:
        """Opens a session; SignInRefused in equal time for a wrong name and a wrong password."""
        query = select(*_PERSON, people.c.password_hash).where(people.c.name == name)
        async with self._database.reading() as connection:
            found = (await connection.execute(query)).one_or_none()
        matches = await self._in_turn(self._verify, _NOBODY if found is None else found[-1], password)
        if found is None or not matches or found.closed_us is not None:
            raise SignInRefused
        person = Person(*found[:-1])
        named = msgspec.structs.replace(act, actor=person.id, actor_name=person.name)
        session = new_id("ses")
        async with self._database.noting(named, session, person.tenant) as change:
            row = {"id": session, "person": person.id, "created_us": change.now_us, "source": act.source}
            expires_us = change.now_us + SESSION_US
            await change.connection.execute(insert(sessions).values(row | {"expires_us": expires_us}))
            return Opened(session, person, await _new_refresh_token(change, session), expires_us)

    async def refresh(self, act: Act, refresh_token: str) -> Opened:
        """Uses up a refresh token for the next one; a second use ends the session (somebody has a copy)."""
        digest = _digest(refresh_token)
        columns = (
            *_PERSON,
            sessions.c.id,
            sessions.c.expires_us,
            sessions.c.revoked_us,
            refresh_tokens.c.used_us,
        )
        query = select(*columns).select_from(_JOINED).where(refresh_tokens.c.digest == digest)
        async with self._database.writing() as connection:
            found = (await connection.execute(query)).one_or_none()
            now_us = self._database.clock.now_us()
            if found is None:
                raise SessionExpired
            *person_columns, session, expires_us, revoked_us, used_us = found
            person = Person(*person_columns)
            if revoked_us is not None or expires_us <= now_us or person.closed_us is not None:
                raise SessionExpired
            change = Change(connection, 0, now_us)
            # The update is the decision: of two that race, one finds it used.
            taken = await connection.execute(
                update(refresh_tokens)
                .where(refresh_tokens.c.digest == digest, refresh_tokens.c.used_us.is_(None))
                .values(used_us=now_us)
            )
            if used_us is None and taken.rowcount == 1:
                named = msgspec.structs.replace(act, actor=person.id, actor_name=person.name)
                await note(connection, event_of(named, session, person.tenant, now_us))
                return Opened(session, person, await _new_refresh_token(change, session), expires_us)
        await self._end_for_reuse(act, session, person)
        raise SessionExpired("the refresh token was used before; the session is ended")

    async def _end_for_reuse(self, act: Act, session: str, person: Person) -> None:
        named = msgspec.structs.replace(
            act, actor=person.id, actor_name=person.name, action="session.end", reason="refresh_token_reused"
        )
        await self.end(named, session)

    async def current(self, session: str) -> Person:
        """Returns who a live session belongs to; SessionExpired otherwise."""
        query = (
            select(*_PERSON)
            .join(sessions, sessions.c.person == people.c.id)
            .where(sessions.c.id == session, *_live(self._database.clock.now_us()))
        )
        async with self._database.reading() as connection:
            found = (await connection.execute(query)).one_or_none()
        if found is None:
            raise SessionExpired
        return Person(*found)

    async def end(self, act: Act, session: str) -> None:
        """Ends a session: its access and refresh tokens are refused from now on."""
        async with self._database.noting(act, session) as change:
            ended = update(sessions).where(sessions.c.id == session, sessions.c.revoked_us.is_(None))
            await change.connection.execute(ended.values(revoked_us=change.now_us))

    async def close(self, act: Act, id: str) -> None:
        """Closes a person and every session of theirs."""
        async with self._database.noting(act, id) as change:
            closed = update(people).where(people.c.id == id, people.c.closed_us.is_(None))
            if (await change.connection.execute(closed.values(closed_us=change.now_us))).rowcount == 0:
                raise NotFound("no such person")
            ended = update(sessions).where(sessions.c.person == id, sessions.c.revoked_us.is_(None))
            await change.connection.execute(ended.values(revoked_us=change.now_us))

    async def _in_turn(self, work: Callable[[*Given], Done], *given: *Given) -> Done:
        """Runs a slow hash beside the loop, a few at a time."""
        async with self._turns:
            return await asyncio.to_thread(work, *given)

    def _verify(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (Argon2Error, InvalidHashError):
            return False


_JOINED: Final = refresh_tokens.join(sessions, refresh_tokens.c.session == sessions.c.id).join(
    people, sessions.c.person == people.c.id
)


def _live(now_us: int) -> tuple[ColumnElement[bool], ...]:
    return (sessions.c.revoked_us.is_(None), sessions.c.expires_us > now_us, people.c.closed_us.is_(None))


def _digest(refresh_token: str) -> bytes:
    """256 random bits need no slow hash."""
    return hashlib.sha256(refresh_token.encode("utf-8")).digest()


async def _new_refresh_token(change: Change, session: str) -> str:
    text = "tor_" + secrets.token_urlsafe(32)
    await change.connection.execute(insert(refresh_tokens).values(digest=_digest(text), session=session))
    return text
