"""A data directory may lie as deep as the file system allows; the control socket is reached all the same."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from tokenone.control.client import ControlClient
from tokenone.control.place import LONGEST
from tokenone.control.server import ControlServer


async def echo(request: dict[str, Any]) -> dict[str, Any]:
    return {"told": request["word"]}


@pytest.mark.parametrize("depth", [1, 12])
def test_a_question_is_answered_however_long_the_path_is(tmp_path: Path, depth: int) -> None:
    directory = tmp_path.joinpath(*["a directory's name"] * depth)
    directory.mkdir(parents=True)
    path = directory / "gateway-0.sock"
    if depth > 1:
        assert len(os.fsencode(path)) > LONGEST

    async def talk() -> dict[str, Any]:
        server = ControlServer(path, {"echo": echo}, allowed_uids=frozenset())
        await server.start()
        try:
            return await ControlClient(directory).ask("echo", word="bees")
        finally:
            await server.close()

    assert asyncio.run(talk()) == {"told": "bees"}
    assert not path.exists()
