"""Routes by the API: made and replaced by PUT, bounded, recorded; explanations come from a gateway."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.anyio

RULE = {"targets": [{"provider": "openai", "model": "gpt-5"}]}
FULL = {
    "targets": [
        {"provider": "openai", "model": "gpt-5", "weight": 0, "endpoint": None},
        {"provider": "anthropic", "model": "claude-5", "weight": 10_000, "endpoint": None},
    ],
    "when": {"min_bytes": 0, "max_bytes": 5, "needs": ["tools"], "stream": False, "jurisdictions": ["eu"]},
    "strategy": "weighted", "within": ["eu", "us-gov"], "attempts": 5, "sticky_s": 86_400,
    "cross_on_key_dead": True, "fall_over": ["rate", "upstream"],
}  # fmt: skip


@pytest.fixture
async def signed_in(console: Any) -> Any:
    await console.sign_in()
    return console


async def put(console: Any, body: Any, status: int = 200, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await console.http.put("/api/v1/routes", json=body, headers=named)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_a_route_is_made_replaced_listed_and_removed(signed_in: Any) -> None:
    console = signed_in
    tenant, _, workload, _ = await console.scope()
    body = {"kind": "workload", "scope": workload["id"], "model": "fast", "rules": [RULE]}
    made = await put(console, body)
    assert made["tenant"] == tenant["id"]
    assert made["rules"][0]["strategy"] == "priority"
    assert made["rules"][0]["fall_over"] == ["key-dead"]
    again = await put(console, {**body, "rules": [FULL, RULE]})
    assert (again["id"], again["rules"][0]) == (made["id"], FULL)
    assert await console.get(f"/routes/{made['id']}") == again
    other = await put(console, {**body, "kind": "tenant", "scope": tenant["id"], "model": "fast*"})
    assert {one["id"] for one in (await console.get("/routes", tenant=tenant["id"]))["items"]} == {
        made["id"], other["id"],
    }  # fmt: skip
    assert [one["model"] for one in (await console.get("/routes", scope=tenant["id"]))["items"]] == ["fast*"]
    assert (await console.http.delete(f"/api/v1/routes/{made['id']}")).status_code == 204
    await console.get(f"/routes/{made['id']}", status=404)
    told = {(one["action"], one["outcome"], one["target"]) for one in await console.events()}
    assert told >= {("route.set", "ok", made["id"]), ("route.delete", "ok", made["id"])}


async def test_a_stale_writer_is_refused(signed_in: Any) -> None:
    console = signed_in
    _, _, workload, _ = await console.scope()
    body = {"kind": "workload", "scope": workload["id"], "model": "fast", "rules": [RULE]}
    made = await put(console, body)
    await put(console, body, if_match=f'"{made["revision"]}"')
    await put(console, body, 412, if_match=f'"{made["revision"]}"')


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": ""},
        {"model": " fast"},
        {"model": "a\x00"},
        {"model": "x" * 201},
        {"rules": []},
        {"rules": [RULE] * 21},
        {"rules": [{"targets": []}]},
        {"rules": [{"targets": RULE["targets"] * 17}]},
        {"rules": [{**RULE, "attempts": 6}]},
        {"rules": [{**RULE, "attempts": 0}]},
        {"rules": [{**RULE, "sticky_s": 86_401}]},
        {"rules": [{**RULE, "strategy": "random"}]},
        {"rules": [{**RULE, "fall_over": ["caller"]}]},
        {"rules": [{**RULE, "within": []}]},
        {"rules": [{**RULE, "within": ["EU"]}]},
        {"rules": [{**RULE, "when": {"needs": ["sight"]}}]},
        {"rules": [{**RULE, "when": {"min_byte": 1}}]},
        {"rules": [{"targets": [{"provider": "openai", "weight": 10_001}]}]},
        {"rules": [{"targets": [{"provider": "nobody"}]}]},
        {"kind": "team"},
        {"tenant": "ten_x"},
    ],
)
async def test_what_is_not_of_the_form_is_refused(signed_in: Any, wrong: dict[str, Any]) -> None:
    body = {"kind": "workload", "scope": "wkl_00000000000000000000", "model": "fast", "rules": [RULE]}
    refused = await put(signed_in, {**body, **wrong}, 422)
    assert refused["code"] == "invalid_request"


async def test_a_route_is_of_a_scope_that_exists_and_names_its_tenants_endpoints(signed_in: Any) -> None:
    console = signed_in
    _, project, workload, endpoint = await console.scope()
    _, _, _, theirs = await console.scope()
    body = {"kind": "workload", "scope": workload["id"], "model": "fast", "rules": [RULE]}
    await put(console, {**body, "scope": project["id"]}, 404)
    targets = [{"provider": "openai", "model": "m", "endpoint": theirs["id"]}]
    await put(console, {**body, "rules": [{"targets": targets}]}, 409)
    targets[0]["endpoint"] = endpoint["id"]
    await put(console, {**body, "rules": [{"targets": targets}]})


async def test_an_explanation_is_asked_of_a_gateway(signed_in: Any) -> None:
    console = signed_in
    asked: list[dict[str, Any]] = []
    line = dict.fromkeys(
        ("key", "version", "endpoint", "level", "priority", "weight", "price_nano", "first_byte_us")
    )
    answer = {
        "model": "fast", "route": "rte_1", "rule": 1, "strategy": "priority", "attempts": 2, "refusal": None,
        "rules": [{"route": "rte_1", "number": 1, "verdict": "decides"}],
        "lines": [{**line, "order": None, "provider": "openai", "model": "gpt-5", "why": "no key"}],
    }  # fmt: skip

    def route_explain(**question: Any) -> dict[str, Any]:
        asked.append(question)
        return answer

    console.gateway.route_explain = route_explain
    body = {"workload": "wkl_00000000000000000000", "model": "fast", "needs": ["tools"], "stream": True}
    assert await console.post("/routes/explain", body, status=200) == answer
    assert asked == [{**body, "mode": "live", "provider": None, "body_bytes": 0, "session": None}]
    console.gateway.away = True
    refused = await console.post("/routes/explain", body, status=503)
    assert refused["code"] == "control_unavailable"
