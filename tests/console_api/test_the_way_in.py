"""Who gets in: sign-in, sessions, roles, throttling, and the refusal of everybody else, on every route."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.routing import APIRoute
from joserfc import jwt
from joserfc.jwk import OctKey

from tokenone.audit import Act
from tokenone.canonical import b64
from tokenone.clock import MINUTE_US, SECOND_US
from tokenone.console_api import assignments, endpoints, keys, records, scopes, sessions, tokens
from tokenone.console_api.guard import GuardedRoute

pytestmark = pytest.mark.anyio
GUARDED = [
    route
    for room in (sessions, scopes, endpoints, keys, assignments, tokens, records)
    for route in room.router.routes
]
PUBLIC = {"/api/v1/session", "/api/v1/session/refresh"}


def described(console: Any) -> list[tuple[str, str]]:
    """Every operation of the description."""
    paths = console.app.openapi()["paths"]
    return [(method, path) for path, methods in paths.items() for method in methods]


async def test_every_route_of_the_description_refuses_the_unknown(console: Any) -> None:
    seen = 0
    for method, path in described(console):
        if path in PUBLIC and method == "post":
            continue
        concrete = path.replace("{id}", "key_00000000000000000000")
        for authorization in ({}, {"Authorization": "Bearer x.y.z"}, {"Authorization": "Basic YTpi"}):
            answer = await console.http.request(
                method, concrete, headers=authorization, json={"any": "thing"}
            )
            assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in"), (method, path)
            seen += 1
    assert seen >= 3 * 38
    assert {route.path for route in GUARDED if isinstance(route, APIRoute)} <= {
        path.removeprefix("/api/v1") for _, path in described(console)
    }
    assert all(isinstance(route, GuardedRoute) for route in GUARDED)


async def test_refusals_of_the_unknown_are_recorded_and_bounded(console: Any) -> None:
    for _ in range(50):
        await console.http.get("/api/v1/tenants")
    await console.sign_in()
    refused = await console.events(actor="anonymous", outcome="refused")
    assert {event["reason"] for event in refused} == {"not_signed_in"}
    assert 1 <= len(refused) <= 3


async def test_a_session_lives_fifteen_minutes_and_is_refreshed(console: Any) -> None:
    opened = await console.sign_in()
    assert (opened["expires_in"], opened["token_type"]) == (900, "Bearer")
    assert (await console.get("/me"))["name"] == "ann"
    console.deps.clock.advance(15 * MINUTE_US)
    assert (await console.get("/me", status=401))["code"] == "session_expired"
    again = await console.post("/session/refresh", {"refresh_token": opened["refresh_token"]}, status=200)
    console.http.headers["Authorization"] = f"Bearer {again['access_token']}"
    await console.get("/me")


async def test_signing_out_ends_both_tokens_at_once(console: Any) -> None:
    opened = await console.sign_in()
    assert (await console.http.delete("/api/v1/session")).status_code == 204
    assert (await console.get("/me", status=401))["code"] == "session_expired"
    await console.post("/session/refresh", {"refresh_token": opened["refresh_token"]}, status=401)


@pytest.mark.parametrize("wrong", ["key", "algorithm", "audience", "type", "none", "session"])
async def test_a_forged_access_token_is_refused(console: Any, wrong: str) -> None:
    await console.sign_in()
    me = await console.get("/me")
    now = console.deps.clock.now_us() // SECOND_US
    claims = {"aud": "tokenone-console", "sub": me["id"], "sid": me["session"], "iat": now, "exp": now + 900}
    header, key = {"alg": "HS256", "typ": "at+jwt"}, console.deps.session_key
    match wrong:
        case "key":
            key = b"x" * 32
        case "algorithm":
            header["alg"] = "HS512"
        case "audience":
            claims["aud"] = "somebody-else"
        case "type":
            header["typ"] = "JWT"
        case "session":
            claims["sid"] = "ses_00000000000000000000"
    text = jwt.encode(header, claims, OctKey.import_key(key), algorithms=["HS256", "HS512"])
    if wrong == "none":
        text = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0." + text.split(".")[1] + "."
    answer = await console.http.get("/api/v1/me", headers={"Authorization": f"Bearer {text}"})
    assert answer.status_code == 401


async def test_wrong_names_and_wrong_passwords_get_one_answer(console: Any) -> None:
    answers = []
    for body in ({"name": "ann", "password": "wrong wrong"}, {"name": "nobody", "password": "wrong wrong"}):
        content = (await console.http.post("/api/v1/session", json=body)).json()
        content.pop("request_id")
        answers.append(content)
    assert answers[0] == answers[1]
    assert answers[0]["code"] == "sign_in_refused"


async def test_guessing_is_slowed_down_and_then_allowed_again(console: Any) -> None:
    body = {"name": "Nobody", "password": "wrong wrong"}
    statuses = [(await console.http.post("/api/v1/session", json=body)).status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429]
    held = await console.http.post("/api/v1/session", json=body | {"name": "nobody"})  # another spelling
    assert held.status_code == 429
    assert 1 <= int(held.headers["Retry-After"]) <= 60
    await console.sign_in()  # another name is not held back
    console.deps.clock.advance(MINUTE_US)
    assert (await console.http.post("/api/v1/session", json=body)).status_code == 401


async def test_whoever_has_a_whole_ipv6_network_guesses_no_faster(console: Any) -> None:
    body = {"name": "ann", "password": "wrong wrong"}
    statuses = []
    for number in range(6):
        async with console.client(f"2001:db8:7:8::{number + 1:x}") as http:
            statuses.append((await http.post("/api/v1/session", json=body)).status_code)
    assert statuses == [401] * 5 + [429]


async def test_a_cursor_beyond_every_number_is_the_callers_error(console: Any) -> None:
    await console.sign_in()
    far = b64(f'[{2**70},"evt_1"]'.encode())
    assert (await console.get("/audit", status=422, cursor=far))["code"] == "invalid_request"


async def test_a_person_without_the_role_is_refused_and_that_is_recorded(console: Any) -> None:
    act = Act("operator", "operator", "person.create")
    await console.deps.store.people.add(act, "bob", "correct horse battery", role="viewer")
    opened = await console.post("/session", {"name": "bob", "password": "correct horse battery"}, status=200)
    console.http.headers["Authorization"] = f"Bearer {opened['access_token']}"
    assert (await console.get("/tenants", status=403))["code"] == "role_missing"
    await console.sign_in()
    (refused,) = await console.events(outcome="refused")
    assert (refused["actor_name"], refused["action"], refused["reason"]) == (
        "bob",
        "tenant.list",
        "role_missing",
    )


async def test_metrics_are_for_allowed_addresses(console: Any) -> None:
    await console.sign_in()
    text = (await console.http.get("/metrics")).text
    assert 'route="/session",status="200"' in text or 'route="/api/v1/session",status="200"' in text
    async with console.client("203.0.113.9") as stranger:
        assert (await stranger.get("/metrics")).status_code == 403


async def test_pages_outside_the_api_answer_everybody(console: Any) -> None:
    for path, text in (("/tokenone/byok", "TokenOne BYOK"), ("/healthz", "ok"), ("/readyz", "ready")):
        answer = await console.http.get(path)
        assert answer.status_code == 200
        assert text in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-request-id"].startswith("req_")
    for path in ("/docs", "/redoc", "/openapi.json", "/api/v1/docs"):
        assert (await console.http.get(path)).status_code == 404
