"""A canary secret, sent to every place that takes text, is found nowhere: answers, logs, database, metrics."""

from __future__ import annotations

import base64
import io
import json
import logging
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from tokenone.console_api.problems import fields
from tokenone.errors import TokenOneError

pytestmark = pytest.mark.anyio
CANARY = "sk-proj-cAnArY0123456789abcdefghijklmnopqrstuvwxyzABCDEF"


FIELDS = (
    "tenant", "project", "workload", "endpoint", "provider", "key", "kind", "mode", "key_id", "origins", "base_path",
    "ca_pem", "sealed", "rates", "addresses", "grants", "expires_us", "weight", "closed", "refresh_token", "password",
)  # fmt: skip


def spellings(secret: str) -> list[bytes]:
    raw = secret.encode()
    return [
        raw, raw.lower(), raw.upper(), raw.hex().encode(), base64.b64encode(raw).rstrip(b"="),
        base64.urlsafe_b64encode(raw).rstrip(b"="), urllib.parse.quote(secret, safe="").encode(),
        json.dumps(secret).encode(), raw[::-1], raw[:24], raw[-24:],
    ]  # fmt: skip


def leaks(held: bytes) -> list[bytes]:
    return [spelling for spelling in spellings(CANARY) if spelling in held]


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """All logging of the process at its most verbose level."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    monkeypatch.setattr(logging.getLogger("httpx2"), "level", logging.WARNING)  # the test's client logs URLs
    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    yield stream
    structlog.configure(**before)
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
async def lenient(tmp_path: Path, logs: io.StringIO, opened: Any) -> AsyncIterator[Any]:
    async with opened(tmp_path, allow_plaintext_intake=True) as console:
        yield console


def held_in(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.iterdir() if path.is_file())


def test_the_search_finds_a_planted_leak() -> None:
    for spelling in spellings(CANARY):
        assert leaks(b"x" + spelling + b"y")


async def test_a_secret_taken_in_is_nowhere_afterwards(lenient: Any, logs: io.StringIO) -> None:
    await lenient.sign_in()
    tenant, _, _, endpoint = await lenient.scope()
    answers = [await lenient.key(tenant, endpoint, CANARY.encode())]
    plain = {
        "tenant": tenant["id"],
        "provider": "openai",
        "endpoint": endpoint["id"],
        "name": "k",
        "secret": CANARY,
    }
    answers.append(await lenient.post("/keys", plain, Idempotency_Key="once"))
    answers.append(await lenient.post("/keys", plain, Idempotency_Key="once"))
    assert lenient.gateway.taken == [CANARY.encode()] * 2
    answers += [await lenient.get(path) for path in ("/keys", "/audit", "/status")]
    text = "".join(map(str, answers)) + (await lenient.http.get("/metrics")).text
    assert leaks(text.encode()) == []
    assert "answered" in logs.getvalue()
    assert leaks(logs.getvalue().encode()) == []
    assert leaks(held_in(lenient.directory)) == []


async def test_a_secret_in_the_wrong_place_is_not_echoed_or_kept(lenient: Any, logs: io.StringIO) -> None:
    await lenient.sign_in()
    answers: list[bytes] = []
    seen: set[int] = set()
    for method, path in operations(lenient):
        for place in ("path", "query", "field", "value", "text", "header", "cursor"):
            answer = await misplaced(lenient.http, method, path, place)
            answers.append(answer.content + str(answer.headers).encode())
            seen.add(answer.status_code)
            assert answer.status_code != 500, (method, path, place, answer.text)
    assert seen >= {404, 422}
    assert leaks(b"".join(answers)) == []
    assert leaks(logs.getvalue().encode()) == []
    assert leaks(held_in(lenient.directory)) == []


def operations(console: Any) -> list[tuple[str, str]]:
    paths = console.app.openapi()["paths"]
    return [
        (m, p) for p, methods in paths.items() for m in methods if (m, p) != ("delete", "/api/v1/session")
    ]


async def misplaced(http: Any, method: str, path: str, place: str) -> Any:
    """Sends the canary in one place of a request."""
    target = path.replace("{id}", CANARY if place == "path" else "key_00000000000000000000")
    sent: dict[str, Any] = {"headers": {"Content-Type": "application/json"}}
    match place:
        case "query":
            sent["params"] = {"tenant": CANARY, CANARY: "x", "limit": CANARY, "group_by": CANARY}
        case "cursor":
            sent["params"] = {"cursor": CANARY}
        case "field":
            sent["content"] = json.dumps({CANARY: 1, "name": {CANARY: 2}, "restrictions": {CANARY: 3}})
        case "value":
            # Not `name` and `secret`, where text is meant to be: every other field that a body could have.
            sent["content"] = json.dumps(dict.fromkeys(FIELDS, CANARY) | {"name": 7})
        case "text":
            sent["content"] = f'{{"name": "{CANARY}'
        case "header":
            sent["headers"] |= {"If-Match": CANARY, "Idempotency-Key": CANARY, "X-Request-Id": CANARY}
    return await http.request(method, target, **sent)


async def test_a_defect_says_nothing(lenient: Any, logs: io.StringIO) -> None:
    await lenient.sign_in()

    async def broken(*_: object, **__: object) -> None:
        raise ValueError(f"something about {CANARY}")

    lenient.gateway.ask = broken
    answer = await lenient.http.get("/api/v1/sealing-key")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert '"defect"' in logs.getvalue()
    assert "ValueError" in logs.getvalue()
    assert leaks(answer.content + logs.getvalue().encode()) == []


def test_faults_name_places_only() -> None:
    told = fields(
        [
            {"type": "extra_forbidden", "loc": ("body", CANARY), "msg": "no", "input": CANARY},
            {"type": "json_invalid", "loc": ("body", 7), "msg": "no", "ctx": {"error": CANARY}},
            {"type": "string_type", "loc": ("body", "name"), "msg": CANARY, "input": CANARY},
        ]
    )
    assert leaks(str(told).encode()) == []
    assert [fault["at"] for fault in told] == ["body.(unknown field)", "body", "body.name"]


def test_every_error_of_ours_has_a_code_and_a_status() -> None:
    kinds = [TokenOneError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert all(400 <= kind.status < 600 and kind.code and kind.advice for kind in kinds)
