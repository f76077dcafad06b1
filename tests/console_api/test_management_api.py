"""The routes: what they do, record, refuse and never show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tokenone.canonical import b64
from tokenone.types import Provider
from tokenone.vault.seal import SealContext, seal

pytestmark = pytest.mark.anyio


@pytest.fixture
async def signed_in(console: Any) -> Any:
    await console.sign_in()
    return console


async def test_a_key_is_taken_in_sealed_assigned_and_used_by_a_token(signed_in: Any) -> None:
    console = signed_in
    tenant, _, workload, endpoint = await console.scope()
    key = await console.key(tenant, endpoint, b"sk-proj-secret")
    assert console.gateway.taken == [b"sk-proj-secret"]
    assert console.gateway.slots[-1] == 3  # the worker that gave the challenge
    assert key["versions"] == [
        {
            "version": 1, "state": "active", "masked": "sk-…a1b2", "fingerprint": "f" * 32,
            "created_us": console.deps.clock.now_us(), "active_us": console.deps.clock.now_us(), "retire_us": None,
        }
    ]  # fmt: skip
    grant = {"key": key["id"], "kind": "workload", "scope": workload["id"]}
    assigned = await console.post("/assignments", grant)
    token = await console.post("/tokens", {"workload": workload["id"], "addresses": ["10.0.0.0/8"]})
    assert token["text"].startswith("to_live_")
    rows = {type(row).__name__ for row in (await console.deps.store.delta(0)).rows}
    assert rows >= {"Tenant", "TenantKek", "Key", "KeyVersion", "Assignment", "Token"}
    assert (await console.http.delete(f"/api/v1/assignments/{assigned['id']}")).status_code == 204
    await console.get(f"/assignments/{assigned['id']}", status=404)


async def test_every_act_is_an_event_and_every_refusal_too(signed_in: Any) -> None:
    console = signed_in
    tenant, project, workload, endpoint = await console.scope()
    key = await console.key(tenant, endpoint)
    await console.post(f"/keys/{key['id']}/suspend", {"reason": "on leave"}, status=200)
    await console.post(f"/keys/{key['id']}/suspend", status=409)
    await console.post(f"/keys/{key['id']}/test", status=200)
    await console.post("/projects", {"tenant": tenant["id"], "name": "search"}, status=409)
    await console.post("/projects", {"tenant": tenant["id"], "nome": "x"}, status=422)
    answer = await console.http.patch(f"/api/v1/projects/{project['id']}", json={"closed": True})
    await console.post("/workloads", {"project": project["id"], "name": "late"}, status=409)
    told = {(one["action"], one["outcome"], one["reason"], one["target"]) for one in await console.events()}
    assert told >= {
        ("tenant.create", "ok", "", tenant["id"]),
        ("project.create", "ok", "", project["id"]),
        ("workload.create", "ok", "", workload["id"]),
        ("endpoint.create", "ok", "", endpoint["id"]),
        ("challenge.create", "ok", "", key["id"]),
        ("key.take-in", "ok", "", key["id"]),
        ("key.suspend", "ok", "on leave", key["id"]),
        ("key.suspend", "refused", "conflict", key["id"]),
        ("key.test", "ok", "", key["id"]),
        ("project.create", "refused", "conflict", ""),
        ("project.create", "refused", "invalid_request", ""),
        ("project.edit", "ok", "", project["id"]),
        ("workload.create", "refused", "conflict", ""),
    }
    (edited,) = await console.events(action="project.edit")
    assert edited["request_id"] == answer.headers["x-request-id"]
    assert (edited["actor_name"], edited["source"], edited["tenant"]) == ("ann", "127.0.0.1", tenant["id"])


async def test_a_challenge_serves_once_and_for_its_own_key_alone(signed_in: Any) -> None:
    console = signed_in
    tenant, _, _, endpoint = await console.scope()
    given = await console.post("/challenges", {"tenant": tenant["id"], "endpoint": endpoint["id"]})
    context = SealContext(**given["context"])
    body = {
        "key_id": given["key_id"], "challenge": given["challenge"], "tenant": tenant["id"], "provider": "openai",
        "endpoint": endpoint["id"], "name": "k", "sealed": b64(seal(console.gateway.public, b"sk-1", context)),
    }  # fmt: skip
    moved = await console.post("/keys", body | {"key_id": "key_00000000000000000000"}, status=422)
    assert moved["code"] == "bad_secret"
    given = await console.post("/challenges", {"tenant": tenant["id"], "endpoint": endpoint["id"]})
    context = SealContext(**given["context"])
    fresh = body | {
        "key_id": given["key_id"], "challenge": given["challenge"],
        "sealed": b64(seal(console.gateway.public, b"sk-1", context)),
    }  # fmt: skip
    await console.post("/keys", fresh)
    await console.post("/keys", fresh, status=422)


async def test_plain_text_is_refused_with_advice_unless_switched_on(
    signed_in: Any, tmp_path: Path, opened: Any
) -> None:
    console = signed_in
    tenant, _, _, endpoint = await console.scope()
    body = {
        "tenant": tenant["id"], "provider": "openai", "endpoint": endpoint["id"], "name": "k", "secret": "sk-plain",
    }  # fmt: skip
    refused = await console.post("/keys", body, status=403)
    assert refused["code"] == "plaintext_intake_off"
    assert "tokenone key add" in refused["detail"]
    assert console.gateway.taken == []
    (tmp_path / "open").mkdir()
    async with opened(tmp_path / "open", allow_plaintext_intake=True) as lenient:
        await lenient.sign_in()
        tenant, _, _, endpoint = await lenient.scope()
        body |= {"tenant": tenant["id"], "endpoint": endpoint["id"]}
        key = await lenient.post("/keys", body)
        assert lenient.gateway.taken == [b"sk-plain"]  # what crossed the socket was sealed
        assert "sk-plain" not in str(key)


async def test_an_edit_holds_against_another_in_between(signed_in: Any) -> None:
    console = signed_in
    tenant, *_ = await console.scope()
    path = f"/api/v1/tenants/{tenant['id']}"
    read = await console.http.get(path)
    assert read.headers["etag"] == f'"{tenant["revision"]}"'
    guarded = {"If-Match": read.headers["etag"]}
    first = await console.http.patch(path, json={"restrictions": {"models": ["gpt-*"]}}, headers=guarded)
    assert first.json()["restrictions"]["models"] == ["gpt-*"]
    second = await console.http.patch(path, json={"closed": True}, headers=guarded)
    assert (second.status_code, second.json()["code"]) == (412, "precondition_failed")
    assert (await console.http.patch(path, json={"name": None})).status_code == 422
    kept = (await console.http.patch(path, json={"closed": True}, headers={"If-Match": "*"})).json()
    assert (kept["closed"], kept["restrictions"]["models"], kept["name"]) == (True, ["gpt-*"], tenant["name"])


async def test_the_same_request_twice_is_done_once(signed_in: Any) -> None:
    console = signed_in
    _, _, workload, _ = await console.scope()
    first = await console.post("/tokens", {"workload": workload["id"]}, Idempotency_Key="one")
    again = await console.http.post(
        "/api/v1/tokens", json={"workload": workload["id"]}, headers={"Idempotency-Key": "one"}
    )
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert again.json() == first | {"text": None}  # its text is not kept anywhere
    assert len((await console.get("/tokens", workload=workload["id"]))["items"]) == 1
    other = await console.post(
        "/tokens", {"workload": workload["id"], "mode": "dev"}, status=422, Idempotency_Key="one"
    )
    assert other["code"] == "idempotency_mismatch"
    # A refused request gives its key back.
    await console.post("/tokens", {"workload": "wkl_none"}, status=404, Idempotency_Key="two")
    await console.post("/tokens", {"workload": workload["id"]}, Idempotency_Key="two")
    await console.post("/tokens", {"workload": workload["id"]}, status=422, Idempotency_Key="a b")


async def test_a_rotated_token_gets_a_grace_and_a_revoked_one_none(signed_in: Any) -> None:
    console = signed_in
    _, _, workload, _ = await console.scope()
    old = await console.post("/tokens", {"workload": workload["id"], "grants": ["inference", "stateful"]})
    new = await console.post(f"/tokens/{old['id']}/rotate", {"grace_us": 60_000_000})
    assert (new["grants"], new["text"] != old["text"]) == (["inference", "stateful"], True)
    ending = await console.get(f"/tokens/{old['id']}")
    assert ending["expires_us"] == console.deps.clock.now_us() + 60_000_000
    revoked = await console.post(f"/tokens/{new['id']}/revoke", status=200)
    assert revoked["revoked_us"] == console.deps.clock.now_us()
    await console.post(f"/tokens/{new['id']}/rotate", status=409)


async def test_lists_are_read_in_pages(signed_in: Any) -> None:
    console = signed_in
    tenant, project, *_ = await console.scope()
    made = {project["id"]}
    for number in range(4):
        made.add((await console.post("/projects", {"tenant": tenant["id"], "name": f"p{number}"}))["id"])
    found: list[str] = []
    page = await console.get("/projects", tenant=tenant["id"], limit=2)
    found += [item["id"] for item in page["items"]]
    while page["next"]:
        page = await console.get("/projects", tenant=tenant["id"], limit=2, cursor=page["next"])
        found += [item["id"] for item in page["items"]]
    assert found == sorted(made)
    audited = await console.get("/audit", limit=2)
    assert audited["next"]
    assert (await console.get("/audit", limit=2, cursor="broken", status=422))["code"] == "invalid_request"
    assert (await console.get("/projects", cursor=audited["next"], status=422))["code"] == "invalid_request"


async def test_without_a_gateway_nothing_is_made(signed_in: Any) -> None:
    console = signed_in
    console.gateway.away = True
    answer = await console.post("/tenants", {"name": "Acme"}, status=503)
    assert answer["code"] == "control_unavailable"
    assert (await console.get("/tenants"))["items"] == []
    assert (await console.get("/status"))["gateway"] is None
    (refused,) = await console.events(action="tenant.create")
    assert (refused["outcome"], refused["reason"]) == ("refused", "control_unavailable")


@pytest.mark.parametrize("origin", ["http://10.0.0.9:8000", "http://vllm.internal"])
async def test_plain_http_is_for_allow_listed_origins(
    signed_in: Any, tmp_path: Path, origin: str, opened: Any
) -> None:
    console = signed_in
    body = {"provider": "openai", "name": "local", "origins": [origin]}
    assert (await console.post("/endpoints", body, status=422))["code"] == "endpoint_refused"
    (tmp_path / "open").mkdir()
    async with opened(tmp_path / "open", egress_allow=("10.0.0.0/8", "http://vllm.internal")) as lenient:
        await lenient.sign_in()
        assert (await lenient.post("/endpoints", body))["origins"] == [origin]


@pytest.mark.parametrize("provider", [provider.value for provider in Provider])
async def test_every_provider_can_have_an_endpoint(signed_in: Any, provider: str) -> None:
    body = {"provider": provider, "name": "own", "origins": ["https://models.example"]}
    assert (await signed_in.post("/endpoints", body))["provider"] == provider


async def test_presets_are_listed_for_every_tenant(signed_in: Any) -> None:
    console = signed_in
    tenant, _, _, own = await console.scope()
    other = await console.post("/tenants", {"name": "Other"})
    preset = {"provider": "anthropic", "name": "anthropic", "origins": ["https://api.anthropic.com"]}
    everybodys = await console.post("/endpoints", preset)
    listed = (await console.get("/endpoints", tenant=other["id"]))["items"]
    assert [item["id"] for item in listed] == [everybodys["id"]]
    assert {item["id"] for item in (await console.get("/endpoints", tenant=tenant["id"]))["items"]} == {
        own["id"],
        everybodys["id"],
    }
    given = {"tenant": other["id"], "endpoint": own["id"]}
    assert (await console.post("/challenges", given, status=409))["code"] == "conflict"


async def test_an_absent_database_is_told_as_unavailable(signed_in: Any) -> None:
    console = signed_in
    for path in console.directory.glob("management.db*"):
        path.unlink()
    await console.deps.store._database.engine.dispose()
    assert (await console.http.get("/readyz")).status_code == 503
    answer = await console.http.get("/api/v1/tenants")
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
