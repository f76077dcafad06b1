"""Error branches of keys that are not what is sent: tokens that cannot be had, references that lead nowhere."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx2
import msgspec

from kit.canaries import random_text
from kit.inprocess import Manner
from kit.scripted import answer, presented
from kit.stories import tell
from kit.walk import Walk
from tokenone.call import minted, referenced
from tokenone.call.minted import FAILED_US, REFUSED_US
from tokenone.dispatch.reference import Rule
from tokenone.secret import Secret
from tokenone.testing.desk import Workplace

CHAT = "/azure/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
BODY = json.dumps({"messages": [{"role": "user", "content": "hello"}]}).encode()
TOKEN_PATH = b"POST /directory/oauth2/v2.0/token "
AZURE_KEY = "azurekey" + "q" * 32


def application(authority: str, secret: str) -> str:
    """An Entra application's document."""
    return json.dumps(
        {
            "type": "azure-entra", "tenant_id": "directory", "client_id": "application",
            "client_secret": secret, "authority": authority,
        }
    )  # fmt: skip


def token_answer(token: str, seconds: int = 3600, *fields: bytes) -> bytes:
    """An authority's answer."""
    told = {"token_type": "Bearer", "access_token": token, "expires_in": seconds}
    return answer(json.dumps(told).encode(), *fields)


def azure(walk: Walk, name: str, secret: str) -> tuple[Workplace, str]:
    """A tenant with one Azure key; returns its place and the key."""
    owner = walk.house.tenant(name)
    place = walk.house.place(owner, name)
    endpoint = walk.house.endpoint("azure", walk.scripted.origin, tenant=owner)
    key = walk.house.key(owner, "azure", endpoint, secret)
    walk.house.assign(key, "workload", place.workload)
    return place, key


def chat(walk: Walk, place: Workplace) -> httpx2.Response:
    headers = {"api-key": place.token, "content-type": "application/json"}
    got = walk.http.post(walk.house.gateway + CHAT, headers=headers, content=BODY)
    return walk.watch.saw_answer("an answer of Azure", got)


@contextmanager
def forgetting_at_once() -> Iterator[None]:
    """What went wrong is not remembered."""
    with patch.object(minted, "FAILED_US", 0), patch.object(minted, "REFUSED_US", 0):
        yield
    assert FAILED_US
    assert REFUSED_US


def minted_tokens(walk: Walk) -> None:
    """An authority that refuses, fails, or answers what cannot be read; a token that the provider echoes."""
    secret, token = random_text(44), random_text(60)
    walk.watch.add("application's secret", secret.encode())
    walk.watch.add("minted token", token.encode())
    place, key = azure(walk, "minted", application(walk.scripted.origin, secret))
    given: dict[str, bytes] = {"token": b""}

    def script(request: bytes) -> bytes:
        if request.startswith(TOKEN_PATH):
            return given["token"]
        told = json.dumps(
            {"error": {"code": "401", "message": f"not {presented(request).decode()}, {secret}"}}
        )
        return answer(told.encode(), status=b"401 Unauthorized")

    walk.scripted.script = script
    with forgetting_at_once():
        cases = [
            (answer(_refusal(secret), status=b"401 Unauthorized"), "upstream_auth", False),
            (answer(secret.encode(), status=b"503 Service Unavailable"), "upstream_broken", None),
            (answer(secret.encode(), b"content-encoding: br"), "upstream_broken", None),
            (answer(b'{"access_token": 7}'), "upstream_broken", None),
        ]
        for reply, code, usable in cases:
            given["token"] = reply
            assert walk.code(chat(walk, place)) == code
            assert tell(walk, key)["usable"] is usable
    given["token"] = token_answer(token)
    for _ in range(2):  # refused, dropped, asked for again
        got = chat(walk, place)
        assert (got.status_code, got.text.count("[removed]")) == (401, 2)
    asked = [one for one in walk.scripted.heard if one.startswith(TOKEN_PATH)]
    assert len(asked) == 2 * len(cases) + 2
    far, _ = azure(walk, "far", application("https://authority.example", secret))
    assert walk.code(chat(walk, far)) == "egress_refused"
    walk.house.house.credentials.minter.forget(key)
    with patch.object(minted, "MOST_FLIGHTS", 0):
        assert walk.code(chat(walk, place)) == "overloaded"


def _refusal(secret: str) -> bytes:
    told = {"error": "invalid_client", "error_description": f"{secret} is not the application's secret"}
    return json.dumps(told).encode()


# ── references ─────────────────────────────────────────────────────────────────────────────────────────────
VARIABLES = ("AZURE_KEY", "NOT_SET", "NOT_A_KEY", "A_REFERENCE")


def allowing(manner: Manner, origin: str, folder: Path) -> Manner:
    """Lets every tenant's keys for one origin refer to a folder and to a few variables."""
    refs = [f"file:{folder}/secrets/", *(f"env:{name}" for name in VARIABLES)]
    manner.references = tuple(Rule(ref, "*", (origin,)) for ref in refs)
    manner.variables = {
        "AZURE_KEY": Secret(AZURE_KEY.encode()),
        "NOT_A_KEY": Secret(b"too short"),
        "A_REFERENCE": Secret(b'{"type": "reference", "ref": "env:AZURE_KEY"}'),
    }
    return manner


def reference(ref: str) -> str:
    """The document of a key by reference."""
    return json.dumps({"type": "reference", "ref": ref})


def references(walk: Walk) -> None:
    """Files and variables that are absent, shared, too large, elsewhere, or hold no key."""
    folder = walk.house.directory / "secrets"
    folder.mkdir()
    canary = random_text(44)
    walk.watch.add("secret of a file", canary.encode())
    _files(folder, canary)
    walk.scripted.script = lambda request: answer(
        b'{"error":{"message":"not %b"}}' % _key_of(request), status=b"403 Forbidden"
    )
    place, key = azure(walk, "referring", reference(f"file:{folder}/good"))
    assert "[removed]" in chat(walk, place).text
    for name in ("missing", "folder", "pipe", "shared", "written", "large", "away", "loop", "nothing"):
        place, _ = azure(walk, name, reference(f"file:{folder}/{name}"))
        assert walk.code(chat(walk, place)) == "reference_unresolved", name
    for name in VARIABLES:
        place, _ = azure(walk, name, reference(f"env:{name}"))
        assert (walk.code(chat(walk, place)) is None) == (name == "AZURE_KEY"), name
    _beyond_the_rules(walk, key)


def _files(folder: Path, canary: str) -> None:
    def written(name: str, text: str, mode: int) -> None:
        (folder / name).write_text(text)
        (folder / name).chmod(mode)

    written("good", canary + "\n", 0o600)
    written("shared", canary, 0o604)
    written("written", canary, 0o620)
    written("large", "a" * 70_000, 0o600)
    written("nothing", "", 0o600)
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    written("../outside", canary, 0o600)
    (folder / "away").symlink_to(folder.parent / "outside")
    (folder / "loop").symlink_to(folder / "loop")


def _key_of(request: bytes) -> bytes:
    for line in request.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"api-key":
            return value.strip()
    raise AssertionError("the request carries no key")


def _beyond_the_rules(walk: Walk, key: str) -> None:
    """A file that takes too long; what an earlier version took in; an endpoint that no rule names."""
    house = walk.house
    place, _ = azure(walk, "slow", reference(f"file:{house.directory}/secrets/good"))
    with patch.object(referenced, "READ_SECONDS", 0):
        assert walk.code(chat(walk, place)) == "reference_unresolved"
    row = house.house.directory.key(key)
    (version,) = house.house.directory.versions(key)
    assert row is not None
    for ref in ("vault-kv:secret/openai", "env:NOT_LISTED"):
        stored = _stored(walk, row, reference(ref))
        house.apply(msgspec.structs.replace(version, envelope=stored))
        assert tell(walk, key)["code"] == "reference_unresolved"


def _stored(walk: Walk, key: Any, secret: str) -> bytes:
    """An envelope that was made before the rules were what they are."""
    with patch("kit.inprocess.intake_check", lambda *_: lambda _: None):
        return walk.house.envelope(key, 1, secret)


STORIES_OF_KEYS: tuple[Callable[[Walk], None], ...] = (minted_tokens, references)
