"""Endpoints of one's own choice and OpenRouter at the gateway: one endpoint by its name, no key where none is
asked for, JSON lines as they come, the charge that is reported, every model that a body names permitted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from kit.fronts import caller
from kit.inprocess import InProcess
from kit.logbook import Logbook
from kit.scripted import Scripted, answer
from tokenone.testing.desk import Workplace

KEY = "a-key-of-my-own-server"
NO_KEY = '{"type":"no-key"}'
HEADER_KEY = '{"type":"header-key","header":"X-My-Key","key":"its-own-header-value"}'
ROUTER_KEY = "sk-or-v1-" + "a" * 64
LAST: bytes = b"connection: close"
LINES = (
    b'{"model":"llama3.2","message":{"role":"assistant","content":"Hel"},"done":false}\n'
    b'{"model":"llama3.2","message":{"role":"assistant","content":"lo"},"done":false}\n'
    b'{"model":"llama3.2","message":{"role":"assistant","content":""},"done":true,"prompt_eval_count":11,"eval_count":2}\n'
)


@dataclass
class Site:
    """A house, two servers of one's own and one place that has keys of both."""

    house: InProcess
    http: httpx2.Client
    one: Scripted
    two: Scripted
    place: Workplace
    logbook: Logbook

    def key(self, provider: str, origin: str, secret: str, **endpoint: Any) -> None:
        row = self.house.endpoint(provider, origin, tenant=self.place.tenant, **endpoint)
        key = self.house.key(self.place.tenant, provider, row, secret)
        self.house.assign(key, "workload", self.place.workload)

    def ask(self, path: str, *, headers: dict[str, str] | None = None, **body: Any) -> httpx2.Response:
        given = {"authorization": f"Bearer {self.place.token}", "content-type": "application/json"} | (
            headers or {}
        )
        asked = {"model": "mine", "messages": [{"role": "user", "content": "Hello?"}]} | body
        return self.http.post(self.house.gateway + path, headers=given, content=json.dumps(asked).encode())

    def outcome(self, got: httpx2.Response) -> dict[str, Any]:
        kind, fields = self.logbook.closed(got.headers["x-tokenone-call"])[-1]
        assert kind == "outcome"
        return fields


def chat(**more: Any) -> bytes:
    usage = {"prompt_tokens": 7, "completion_tokens": 1}
    return answer(json.dumps({"model": "mine", "choices": [], "usage": usage} | more).encode(), LAST)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with (
        Scripted(lambda _: chat()) as one,
        Scripted(lambda _: chat()) as two,
        caller() as http,
        InProcess(tmp_path) as house,
    ):
        place = house.place(house.tenant("site"), "site")
        yield Site(house, http, one, two, place, Logbook(tmp_path / "ledger"))
        assert house.defects == []


def head_of(request: bytes) -> dict[bytes, bytes]:
    lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}


def test_a_name_leads_to_its_endpoint_alone(site: Site) -> None:
    site.key("custom", site.one.origin, KEY, name="one")
    site.key("custom", site.two.origin, KEY, name="my two", base_path="/openai/v1")
    for path, provider, sent in (
        ("/custom/one/v1/chat/completions", site.one, b"POST /v1/chat/completions HTTP/1.1"),
        ("/custom/one/chat/completions", site.one, b"POST /chat/completions HTTP/1.1"),
        (
            "/custom/my%20two/v1/chat/completions?x=1",
            site.two,
            b"POST /openai/v1/chat/completions?x=1 HTTP/1.1",
        ),
    ):
        before = len(site.one.heard) + len(site.two.heard)
        got = site.ask(path)
        assert got.status_code == 200, got.text
        assert len(site.one.heard) + len(site.two.heard) == before + 1
        assert provider.heard[-1].startswith(sent)
        assert head_of(provider.heard[-1])[b"authorization"] == f"Bearer {KEY}".encode()
    got = site.ask("/custom/two/v1/chat/completions")
    assert (got.status_code, got.headers["x-tokenone-error"]) == (403, "no_key_in_scope")


@pytest.mark.parametrize("secret", [NO_KEY, HEADER_KEY])
def test_the_callers_token_goes_nowhere_and_a_key_only_where_its_document_says(
    site: Site, secret: str
) -> None:
    site.key("custom", site.one.origin, secret, name="bare")
    got = site.ask(
        "/custom/bare/v1/chat/completions",
        headers={"x-my-key": "the caller's"} if secret == HEADER_KEY else None,
    )
    assert got.status_code == 200
    head = head_of(site.one.heard[-1])
    assert b"authorization" not in head
    assert site.place.token.encode() not in site.one.heard[-1]
    assert head.get(b"x-my-key") == (b"its-own-header-value" if secret == HEADER_KEY else None)


def test_json_lines_pass_as_they_come_and_are_counted(site: Site) -> None:
    site.key("custom", site.one.origin, NO_KEY, name="ollama")
    site.one.script = lambda _: answer(LINES, LAST, kind=b"application/x-ndjson")
    got = site.ask("/custom/ollama/api/chat")
    assert (got.status_code, got.content) == (200, LINES)
    outcome = site.outcome(got)
    assert (outcome["cause"], outcome["model"]) == ("complete", "llama3.2")
    assert outcome["usage"] == {"input": 11, "output": 2}


def test_loading_models_is_refused(site: Site) -> None:
    site.key("custom", site.one.origin, NO_KEY, name="ollama")
    got = site.ask("/custom/ollama/api/pull")
    assert (got.status_code, got.headers["x-tokenone-error"]) == (403, "path_not_allowed")
    assert site.one.heard == []


def test_the_cost_is_what_openrouter_charges(site: Site) -> None:
    site.key("openrouter", site.one.origin, ROUTER_KEY)
    usage = {
        "prompt_tokens": 7, "completion_tokens": 1, "cost": 0, "is_byok": True,
        "cost_details": {"upstream_inference_cost": 0.000059},
    }  # fmt: skip
    site.one.script = lambda _: chat(model="google/gemini-3-flash", usage=usage)
    got = site.ask("/openrouter/api/v1/chat/completions", model="google/gemini-3-flash")
    assert (got.status_code, got.headers["x-tokenone-cost"]) == (200, "0.000059")
    assert head_of(site.one.heard[-1])[b"authorization"] == f"Bearer {ROUTER_KEY}".encode()
    cost = site.outcome(got)["cost"]
    assert (cost["nano"], cost["source"]) == (59_000, "provider-reported")


def test_a_failure_inside_a_200_is_recorded_as_one(site: Site) -> None:
    site.key("openrouter", site.one.origin, ROUTER_KEY)
    reply = b'{"error":{"code":502,"message":"Provider disconnected"},"model":"a/b"}'
    site.one.script = lambda _: answer(reply, LAST)
    got = site.ask("/openrouter/api/v1/chat/completions", model="a/b")
    assert (got.status_code, got.content) == (200, reply)
    outcome = site.outcome(got)
    assert (outcome["cause"], outcome["class"], outcome["cost"]["source"]) == (
        "upstream_broken",
        "upstream",
        "unpriced",
    )


def test_every_model_that_a_body_names_must_be_allowed(site: Site) -> None:
    site.key("openrouter", site.one.origin, ROUTER_KEY)
    site.house.api(
        "PATCH", f"/workloads/{site.place.workload}", {"restrictions": {"models": ["openrouter/a/*"]}}
    )
    path = "/openrouter/api/v1/chat/completions"
    assert site.ask(path, model="a/b", models=["a/c"]).status_code == 200
    got = site.ask(path, model="a/b", models=["a/c", "dear/one"])
    assert (got.status_code, got.headers["x-tokenone-error"]) == (403, "model_not_allowed")
    assert len(site.one.heard) == 1


def test_the_deployment_in_the_path_is_the_model_that_must_be_allowed(site: Site) -> None:
    site.key("azure", site.one.origin, "0123456789abcdef" * 2)
    site.house.api(
        "PATCH", f"/workloads/{site.place.workload}", {"restrictions": {"models": ["azure/cheap"]}}
    )
    dear, cheap = (
        f"/azure/openai/deployments/{name}/chat/completions?api-version=1" for name in ("dear", "cheap")
    )
    got = site.ask(dear, model="cheap")
    assert (got.status_code, got.headers["x-tokenone-error"]) == (403, "model_not_allowed")
    assert site.ask(cheap, model="dear").status_code == 200
    assert site.one.heard[-1].startswith(
        b"POST /openai/deployments/cheap/chat/completions?api-version=1 HTTP/1.1"
    )
    assert head_of(site.one.heard[-1])[b"api-key"] == b"0123456789abcdef" * 2
