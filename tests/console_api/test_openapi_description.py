"""The description holds: a real server, asked by generated requests, never fails and answers as described.

The gateway is the stand-in of this room's conftest; everything else is the running console on uvicorn.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

LEFT_OUT = {"session.end", "session.refresh"}
"""Signing out would end the run."""


class Running:
    """A console in a thread of its own."""

    def __init__(self, opened: Any, directory: Path) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.ready = threading.Event()
        self.server: uvicorn.Server | None = None
        self.thread = threading.Thread(target=asyncio.run, args=(self._run(opened, directory),), daemon=True)
        self.thread.start()
        assert self.ready.wait(60)

    async def _run(self, opened: Any, directory: Path) -> None:
        async with opened(directory, allow_plaintext_intake=True) as console:
            config = uvicorn.Config(
                console.app, http="h11", lifespan="off", log_config=None, access_log=False
            )
            self.server = uvicorn.Server(config)
            self.ready.set()
            await self.server.serve(sockets=[self.socket])

    def close(self) -> None:
        assert self.server is not None
        self.server.should_exit = True
        self.thread.join(30)


@pytest.fixture
def running(opened: Any, tmp_path: Path) -> Iterator[Running]:
    console = Running(opened, tmp_path)
    yield console
    console.close()


def told(url: str, body: dict[str, Any] | None = None) -> Any:
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@pytest.mark.parametrize("examples", [2, pytest.param(50, marks=pytest.mark.long)])
def test_generated_requests_never_break_the_server(running: Running, examples: int) -> None:
    signed = told(
        f"{running.url}/api/v1/session", {"name": "ann", "password": "correct horse battery staple"}
    )
    headers = {"Authorization": f"Bearer {signed['access_token']}"}
    schema = schemathesis.openapi.from_dict(told(f"{running.url}/api/v1/openapi.json"))
    statuses: Counter[int] = Counter()
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.definition.raw["operationId"] in LEFT_OUT:
            continue
        campaign(operation, running.url, headers, examples, statuses)
    assert statuses.total() >= 100
    assert all(statuses[status] for status in (200, 404, 422)), statuses
    assert not [status for status in statuses if status >= 500], statuses


def campaign(
    operation: Any, url: str, headers: dict[str, str], examples: int, statuses: Counter[int]
) -> None:
    """Asks one operation a few generated questions, valid and not."""

    def ask(case: Any) -> None:
        answer = case.call(base_url=url, headers=headers, timeout=30)
        statuses[answer.status_code] += 1
        checks = [not_a_server_error, status_code_conformance, response_schema_conformance]
        case.validate_response(answer, checks=checks, headers=headers)

    for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
        given_case = operation.as_strategy(generation_mode=mode)
        bounded = settings(
            max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck), derandomize=True,
        )  # fmt: skip
        try:
            bounded(given(case=given_case)(ask))()
        except Exception as error:
            if type(error).__name__ != "Unsatisfiable":  # an operation without input has no wrong one
                raise


@pytest.mark.anyio
async def test_the_description_is_of_version_3_1_and_names_every_act(console: Any) -> None:
    described = console.app.openapi()
    assert described["openapi"].startswith("3.1")
    acts = [operation["operationId"] for path in described["paths"].values() for operation in path.values()]
    assert len(acts) == len(set(acts))
    assert all(act.count(".") == 1 for act in acts)
    assert "HTTPValidationError" not in json.dumps(described)
