"""A key's life as one table of states and events, and the state of a version at a moment.

Law: only an active or retiring version is leased. Deadlines count by time, whatever a job has or has not
done: a version past its `retire_us` is retired even if its row says active. What is unclear is not leased.
Nothing leaves destroyed; compromised leads to destroyed only. This file stores nothing and opens nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from tokenone.errors import Conflict
from tokenone.rows import Key, KeyVersion
from tokenone.types import KeyState


class Event(StrEnum):
    """What happens to a version, or (suspend, resume, compromise, destroy) to a key as a whole."""

    ACTIVATE = "activate"
    """The probe succeeded: it takes traffic, from its `active_us` on."""
    SUPERSEDE = "supersede"
    """A newer version took over: the overlap begins and `retire_us` is set."""
    REINSTATE = "reinstate"
    """Rolled back: the overlap is called off."""
    RETIRE = "retire"
    """The overlap is over, or is ended early."""
    SUSPEND = "suspend"
    RESUME = "resume"
    COMPROMISE = "compromise"
    """Somebody else may have it: no overlap, refused everywhere."""
    DESTROY = "destroy"
    """The envelope is dropped, and the wrapped data key with it."""


_S = KeyState
_E = Event
TABLE: Final[Mapping[tuple[KeyState, Event], KeyState]] = MappingProxyType(
    {
        (_S.PENDING, _E.ACTIVATE): _S.ACTIVE,
        (_S.PENDING, _E.COMPROMISE): _S.COMPROMISED,
        (_S.PENDING, _E.DESTROY): _S.DESTROYED,
        (_S.ACTIVE, _E.SUPERSEDE): _S.RETIRING,
        (_S.ACTIVE, _E.RETIRE): _S.RETIRED,
        (_S.ACTIVE, _E.SUSPEND): _S.SUSPENDED,
        (_S.ACTIVE, _E.COMPROMISE): _S.COMPROMISED,
        (_S.RETIRING, _E.REINSTATE): _S.ACTIVE,
        (_S.RETIRING, _E.RETIRE): _S.RETIRED,
        (_S.RETIRING, _E.COMPROMISE): _S.COMPROMISED,
        (_S.SUSPENDED, _E.RESUME): _S.ACTIVE,
        (_S.SUSPENDED, _E.RETIRE): _S.RETIRED,
        (_S.SUSPENDED, _E.COMPROMISE): _S.COMPROMISED,
        (_S.SUSPENDED, _E.DESTROY): _S.DESTROYED,
        (_S.RETIRED, _E.COMPROMISE): _S.COMPROMISED,
        (_S.RETIRED, _E.DESTROY): _S.DESTROYED,
        (_S.COMPROMISED, _E.DESTROY): _S.DESTROYED,
    }
)


def step(state: KeyState, event: Event) -> KeyState:
    """Returns the state after `event`; raises Conflict where the table has none."""
    after = TABLE.get((state, event))
    if after is None:
        raise Conflict(f"a key that is {state} cannot be subject to {event}")
    return after


def state_at(key: Key, version: KeyVersion, now_us: int) -> KeyState:
    """Decides a version's state at a moment: the worst of what rows and deadlines say.

    A key's own state covers all of its versions; its expiry ends them. A version with `active_us` to come is
    pending, but a pending one never starts by time alone; a retiring one without a deadline is retired.
    """
    whole, own = key.state, version.state
    if own is KeyState.DESTROYED or whole is KeyState.DESTROYED or not version.envelope:
        return KeyState.DESTROYED
    if own is KeyState.COMPROMISED or whole is KeyState.COMPROMISED:
        return KeyState.COMPROMISED
    retire_us, expires_us = version.retire_us, key.expires_us
    if retire_us is not None and retire_us <= now_us:
        return KeyState.RETIRED
    if expires_us is not None and expires_us <= now_us:
        return KeyState.RETIRED
    if whole is not KeyState.ACTIVE or own is KeyState.SUSPENDED:
        return KeyState.SUSPENDED
    if own is KeyState.ACTIVE or own is KeyState.RETIRING:
        return _running(version, now_us)
    return KeyState.PENDING if own is KeyState.PENDING else KeyState.RETIRED


def _running(version: KeyVersion, now_us: int) -> KeyState:
    if version.active_us is not None and version.active_us > now_us:
        return KeyState.PENDING
    if version.state is KeyState.ACTIVE:
        return KeyState.ACTIVE
    return KeyState.RETIRED if version.retire_us is None else KeyState.RETIRING


def leasable(state: KeyState) -> bool:
    """Says whether a version in this state may be used for a call."""
    return state is KeyState.ACTIVE or state is KeyState.RETIRING
