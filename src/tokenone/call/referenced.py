"""Resolves keys by reference: reads the variable or file that a stored reference names, in the gateway alone.

Law: the operator's rules are asked at every use, before anything is read; what was read is never stored, and a
file's secret is kept for as long as the file stays as it is. A file that others may read or write is refused.
Reading happens beside the loop, by threads of its own, so that a folder that hangs delays nobody else's calls.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from tokenone.clock import SECOND_US, Clock
from tokenone.dispatch.credential import check as check_with
from tokenone.dispatch.credential import referred
from tokenone.dispatch.reference import ENV, FILE, Reference, Rule, allowing, check_rules
from tokenone.errors import BadSecret, ReferenceUnresolved
from tokenone.rows import Endpoint
from tokenone.secret import Secret
from tokenone.types import Provider

LOOK_US: Final = SECOND_US
"""A file is looked at again when it is used and the last look is so old."""
KEEP_US: Final = 60 * SECOND_US
"""As long as a leased secret is."""
READ_SECONDS: Final = 5.0
FILE_BYTES: Final = 65_536
MOST_FILES: Final = 1_000
READERS: Final = 4

Check: TypeAlias = Callable[[bytes], None]
Mark: TypeAlias = tuple[int, ...]
"""Device, inode, size and times: a file is another one when they differ."""


class Resolved(NamedTuple):
    """A secret found by reference; `content` differs whenever the file's content may."""

    secret: Secret
    content: Mark
    waited: bool


class _Name(NamedTuple):
    """A file as one tenant's keys of one provider see it: others have other rules and other checks."""

    tenant: str
    path: str
    provider: Provider


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    secret: Secret
    mark: Mark
    looked_us: int


class References:
    """What references lead to, for one process. Belongs to one loop."""

    def __init__(
        self, rules: Sequence[Rule], environment: Mapping[str, Secret], clock: Clock, *,
        world_readable: bool = False,
    ) -> None:  # fmt: skip
        check_rules(rules)
        self.rules: Final = tuple(rules)
        self._environment = dict(environment)
        self._clock = clock
        self._world_readable = world_readable
        self._seen: OrderedDict[_Name, _Seen] = OrderedDict()
        self._looking: dict[_Name, asyncio.Task[_Seen]] = {}
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="references")

    async def resolve(self, reference: Reference, tenant: str, endpoint: Endpoint, check: Check) -> Resolved:
        """Returns the secret that the reference names for a tenant's key; raises ReferenceUnresolved."""
        rules = allowing(self.rules, reference, tenant, endpoint)
        if not rules:
            raise ReferenceUnresolved("the operator does not allow the key's reference for this endpoint")
        if reference.scheme == ENV:
            return Resolved(self._variable(reference.place, check), (), False)
        name = _Name(tenant, reference.place, endpoint.provider)
        seen = self._seen.get(name)
        if seen is not None and self._clock.monotonic_us() < seen.looked_us + LOOK_US:
            self._seen.move_to_end(name)
            return Resolved(seen.secret, seen.mark, False)
        seen = await asyncio.shield(self._looking.get(name) or self._look(name, rules, check))
        return Resolved(seen.secret, seen.mark, True)

    def lapse(self) -> None:
        """Drops what nobody used for a minute; the gateway's tick calls it."""
        over_us = self._clock.monotonic_us() - KEEP_US
        for name in [name for name, seen in self._seen.items() if seen.looked_us <= over_us]:
            del self._seen[name]

    def _variable(self, name: str, check: Check) -> Secret:
        secret = self._environment.get(name)
        if secret is None:
            raise ReferenceUnresolved(
                "the variable that the key refers to was not set when the gateway started"
            )
        return _checked(secret, check)

    def _look(self, name: _Name, rules: tuple[Rule, ...], check: Check) -> asyncio.Task[_Seen]:
        looking = asyncio.get_running_loop().create_task(self._looked(name, rules, check))
        looking.add_done_callback(_told)
        self._looking[name] = looking
        return looking

    async def _looked(self, name: _Name, rules: tuple[Rule, ...], check: Check) -> _Seen:
        try:
            seen = await self._read(name, rules, check)
        except ReferenceUnresolved:
            self._seen.pop(name, None)
            raise
        finally:
            del self._looking[name]
        self._seen[name] = seen
        self._seen.move_to_end(name)
        if len(self._seen) > MOST_FILES:
            self._seen.popitem(last=False)
        return seen

    async def _read(self, name: _Name, rules: tuple[Rule, ...], check: Check) -> _Seen:
        now_us, before = self._clock.monotonic_us(), self._seen.get(name)
        known = None if before is None else before.mark
        reading = asyncio.get_running_loop().run_in_executor(
            self._readers, read_secret, Path(name.path), rules, known, self._world_readable
        )
        try:
            async with asyncio.timeout(READ_SECONDS):
                found = await reading
        except TimeoutError:
            raise ReferenceUnresolved("the file that the key refers to could not be read in time") from None
        if found is None:
            assert before is not None
            return replace(before, looked_us=now_us)
        mark, secret = found
        return _Seen(_checked(secret, check), mark, now_us)


def read_secret(
    path: Path, rules: Sequence[Rule], known: Mark | None, world_readable: bool
) -> tuple[Mark, Secret] | None:
    """Reads a secret's file, None if it is still the one known; one line end at its end is not part of it.

    Symbolic links are followed, for that is how secrets are mounted, but only to files that a rule covers too.
    """
    try:
        real = path.resolve(strict=True)
        if not _covered(real, rules):
            raise ReferenceUnresolved("the file that the key refers to is a link out of what is allowed")
        # O_NONBLOCK: opening a named pipe must not wait for a writer.
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            facts = os.fstat(descriptor)
            _refuse_shared(facts, world_readable)
            mark = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
            if mark == known:
                return None
            return mark, Secret(_without_line_end(os.read(descriptor, FILE_BYTES + 1)))
        finally:
            os.close(descriptor)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "a loop of links"
        raise ReferenceUnresolved(f"the file that the key refers to cannot be read: {reason}") from None


def _covered(real: Path, rules: Sequence[Rule]) -> bool:
    """Says whether a rule's file or folder, itself followed to its real place, covers a real path."""
    for rule in rules:
        scheme, _, place = rule.ref.partition(":")
        if scheme == FILE:
            allowed = Path(place).resolve()
            if real == allowed or (place.endswith("/") and real.is_relative_to(allowed)):
                return True
    return False


def _refuse_shared(facts: os.stat_result, world_readable: bool) -> None:
    what = "the file that the key refers to"
    if not stat.S_ISREG(facts.st_mode):
        raise ReferenceUnresolved(f"{what} is not a regular file")
    if facts.st_mode & 0o022:
        raise ReferenceUnresolved(f"{what} may be written by others than its owner")
    if facts.st_mode & 0o004 and not world_readable:
        raise ReferenceUnresolved(
            f"{what} may be read by everybody: take that right away, or set references.world_readable"
        )
    if facts.st_size > FILE_BYTES:
        raise ReferenceUnresolved(f"{what} is larger than {FILE_BYTES} bytes")


def _without_line_end(content: bytes) -> bytes:
    return content.removesuffix(b"\n").removesuffix(b"\r")


def _checked(secret: Secret, check: Check) -> Secret:
    try:
        if referred(secret) is not None:
            raise BadSecret("it is a reference itself")
        check_with(secret, check)
    except BadSecret as error:
        raise ReferenceUnresolved(f"what the key refers to cannot be its secret: {error.detail}") from None
    return secret


def _told(looking: asyncio.Task[_Seen]) -> None:
    """Whoever waited has seen the error; where all went away, nobody needs it."""
    if not looking.cancelled():
        looking.exception()
