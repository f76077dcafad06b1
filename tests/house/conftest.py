"""One installation for the tests that only call it; those that break it make their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kit.installation import Installation


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("installation") / "data")
    made.init()
    made.start()
    yield made
    made.stop()
