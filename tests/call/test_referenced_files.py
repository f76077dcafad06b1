"""Keys by reference as they are read: files that change, that are mounted, that go; what is read is checked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from kit.mints import shown
from tokenone.call import referenced
from tokenone.call.referenced import LOOK_US, References
from tokenone.clock import FrozenClock
from tokenone.dispatch.reference import Rule, parse
from tokenone.errors import BadSecret, ReferenceUnresolved
from tokenone.rows import Endpoint
from tokenone.secret import Secret
from tokenone.types import Provider

ORIGIN = "https://api.example"
ENDPOINT = Endpoint(id="ep_1", tenant=None, provider=Provider.CUSTOM, name="one", origins=(ORIGIN,))


def anything(_secret: bytes) -> None:
    """A provider's check that refuses nothing."""


class Room:
    """A folder of secrets, and the tenant that may refer to it."""

    def __init__(self, folder: Path, *, world_readable: bool = False) -> None:
        self.folder = folder / "secrets"
        self.folder.mkdir()
        self.clock = FrozenClock()
        rules = (Rule(f"file:{self.folder}/", "ten_a", (ORIGIN,)), Rule("env:KEY", "ten_a", (ORIGIN,)))
        variables = {"KEY": Secret(b"from the environment")}
        self.references = References(rules, variables, self.clock, world_readable=world_readable)

    def write(self, name: str, text: bytes, mode: int = 0o600) -> Path:
        path = self.folder / name
        path.write_bytes(text)
        path.chmod(mode)
        return path

    async def read(
        self, name: str, tenant: str = "ten_a", check: Callable[[bytes], None] = anything
    ) -> tuple[bytes, tuple[int, ...]]:
        found = await self.references.resolve(parse(f"file:{self.folder}/{name}"), tenant, ENDPOINT, check)
        return shown(found.secret), found.content


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"key", b"key"),
        (b"key\n", b"key"),
        (b"key\r\n", b"key"),
        (b"key\n\n", b"key\n"),
        (b" key ", b" key "),
    ],
)
async def test_one_line_end_is_not_part_of_the_secret(room: Room, content: bytes, secret: bytes) -> None:
    room.write("one", content)
    assert (await room.read("one"))[0] == secret


async def test_a_changed_file_is_read_again_within_a_second(room: Room) -> None:
    room.write("one", b"old")
    first = await room.read("one")
    room.write("one", b"new and longer")
    assert await room.read("one") == first, "looked at a moment ago"
    room.clock.advance(LOOK_US)
    secret, content = await room.read("one")
    assert secret == b"new and longer"
    assert content != first[1], "what was traded for the old content is not this one's"


async def test_an_unchanged_file_stays_what_it_is(room: Room) -> None:
    room.write("one", b"same")
    first = await room.read("one")
    room.clock.advance(LOOK_US)
    assert await room.read("one") == first


async def test_what_nobody_uses_for_a_minute_is_dropped_and_the_same_when_read_again(room: Room) -> None:
    room.write("one", b"same")
    first = await room.read("one")
    room.clock.advance(referenced.KEEP_US)
    room.references.lapse()
    assert not room.references._seen
    assert await room.read("one") == first


async def test_a_file_that_is_gone_is_not_used_further(room: Room) -> None:
    path = room.write("one", b"key")
    await room.read("one")
    path.unlink()
    room.clock.advance(LOOK_US)
    with pytest.raises(ReferenceUnresolved):
        await room.read("one")
    room.write("one", b"again")
    assert (await room.read("one"))[0] == b"again"


async def test_secrets_are_mounted_by_links_that_stay_within(room: Room) -> None:
    (room.folder / "..data1").mkdir()
    room.write("..data1/key", b"first")
    (room.folder / "..data").symlink_to("..data1")
    (room.folder / "key").symlink_to("..data/key")
    assert (await room.read("key"))[0] == b"first"


async def test_a_link_out_of_the_folder_is_refused(room: Room) -> None:
    outside = room.folder.parent / "outside"
    outside.write_bytes(b"another tenant's")
    outside.chmod(0o600)
    (room.folder / "key").symlink_to(outside)
    with pytest.raises(ReferenceUnresolved, match="a link out of what is allowed"):
        await room.read("key")


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o620, 0o602, 0o666])
async def test_a_file_that_others_may_use_is_refused(room: Room, mode: int) -> None:
    room.write("one", b"key", mode)
    with pytest.raises(ReferenceUnresolved, match="may be"):
        await room.read("one")


async def test_everybody_may_read_where_the_operator_says_so_and_never_write(tmp_path: Path) -> None:
    room = Room(tmp_path, world_readable=True)
    room.write("one", b"key", 0o444)
    assert (await room.read("one"))[0] == b"key"
    room.write("two", b"key", 0o446)
    with pytest.raises(ReferenceUnresolved):
        await room.read("two")


async def test_another_tenant_reads_nothing_of_it(room: Room) -> None:
    room.write("one", b"key")
    await room.read("one")
    with pytest.raises(ReferenceUnresolved, match="does not allow"):
        await room.read("one", tenant="ten_b")


async def test_what_is_read_must_pass_the_providers_check(room: Room) -> None:
    def picky(secret: bytes) -> None:
        raise BadSecret("a key begins with sk-")

    room.write("one", b"a canary that is no key")
    with pytest.raises(ReferenceUnresolved, match="a key begins with sk-") as caught:
        await room.read("one", check=picky)
    assert "canary" not in str(caught.value)


async def test_a_reference_leads_to_no_other_reference(room: Room) -> None:
    room.write("one", b'{"type": "reference", "ref": "env:KEY"}')
    with pytest.raises(ReferenceUnresolved, match="a reference itself"):
        await room.read("one")


async def test_a_variable_is_what_it_was_at_the_start(room: Room) -> None:
    found = await room.references.resolve(parse("env:KEY"), "ten_a", ENDPOINT, anything)
    assert shown(found.secret) == b"from the environment"


async def test_concurrent_calls_look_once_and_one_that_leaves_disturbs_nobody(room: Room) -> None:
    room.write("one", b"key")
    looks, go_on, read = [], threading.Event(), referenced.read_secret

    def slowly(*arguments: object) -> object:
        looks.append(arguments)
        assert go_on.wait(20)
        return read(*arguments)  # type: ignore[arg-type]

    with patch.object(referenced, "read_secret", slowly):
        calls = [asyncio.ensure_future(room.read("one")) for _ in range(20)]
        await asyncio.sleep(0)
        calls[0].cancel()
        await asyncio.sleep(0)
        go_on.set()
        assert {secret for secret, _ in await asyncio.gather(*calls[1:])} == {b"key"}
    assert len(looks) == 1


async def test_a_folder_that_hangs_holds_up_no_other_reference(room: Room) -> None:
    room.write("hangs", b"key")
    room.write("works", b"key")
    go_on, read = threading.Event(), referenced.read_secret

    def hanging(path: Path, *arguments: object) -> object:
        if path.name == "hangs":
            assert go_on.wait(20)
        return read(path, *arguments)  # type: ignore[arg-type]

    with patch.object(referenced, "read_secret", hanging):
        waiting = asyncio.ensure_future(room.read("hangs"))
        assert (await room.read("works"))[0] == b"key"
        assert not waiting.done()
        go_on.set()
        assert (await waiting)[0] == b"key"
