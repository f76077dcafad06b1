"""`/v1/models` and dispatch agree: what is listed is served, what is not is 404, restrictions intersect."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx2
import openai
import pytest

from kit.installation import Installation
from kit.routes import SECRETS
from kit.sdk import http
from tokenone.testing.desk import Workplace
from tokenone.testing.standin import StandIn, ThreadedListener

SAMPLE = 15
NOT_LISTED = [
    "gpt-4o-mini-", "GPT-4o-mini", "gpt-4o-mini ", " gpt-4o-mini", "gpt-99", "openai/gpt-99", "openai/", "/",
    "openai//gpt-4o-mini", "openai/openai/gpt-4o-mini", "OpenAI/gpt-4o-mini", "anthropic/claude",
    "Claude-sonnet-5", "custom/llama", "nobody/gpt-4o-mini", "gpt-4o-mini\n", "../gpt-4o-mini", "gpt%2d4o",
    "", "models/gpt-4o", "the-other-tenants-model", "a" * 5000, "gpt-4o\u0000", "öpenai/gpt-4o",
]  # fmt: skip
OWN = ["house-model", "house/model-with-slash", "openai/odd"]


@dataclass(frozen=True)
class Front:
    """A tenant with an OpenAI key at an endpoint that serves models of its own."""

    installation: Installation
    standin: StandIn
    place: Workplace
    stranger: Workplace

    @property
    def gateway(self) -> str:
        return self.installation.gateway

    def listed(self, place: Workplace | None = None) -> list[str]:
        token = (place or self.place).token
        headers = {"authorization": f"Bearer {token}"}
        answer = self.installation.http.get(f"{self.gateway}/v1/models", headers=headers)
        assert answer.status_code == 200
        return [row["id"] for row in answer.json()["data"]]

    def chat(self, model: str, place: Workplace | None = None) -> httpx2.Response:
        token = (place or self.place).token
        return self.installation.http.post(
            f"{self.gateway}/v1/chat/completions",
            headers={"authorization": f"Bearer {token}"},
            json={"model": model, "messages": [{"role": "user", "content": "hello"}]},
        )

    def sdk(self) -> openai.OpenAI:
        return openai.OpenAI(
            api_key=self.place.token, base_url=f"{self.gateway}/v1", max_retries=0, http_client=http()
        )


@pytest.fixture(scope="module")
def front(installation: Installation) -> Iterator[Front]:
    standin = StandIn()
    with ThreadedListener(standin) as upstream:
        desk = installation.desk()
        places = []
        for name, models in (("listing", OWN), ("other listing", ["the-other-tenants-model"])):
            tenant = desk.tenant(name)
            place = desk.place(tenant, name)
            endpoint = desk.endpoint(
                "openai", upstream.origin, tenant=tenant, base_path="/openai", models=models
            )
            desk.assign(desk.key(tenant, "openai", endpoint, SECRETS["openai"]), "project", place.project)
            places.append(place)
        installation.until_current()
        yield Front(installation, standin, *places)


def test_every_sampled_model_of_the_list_is_dispatched(front: Front) -> None:
    listed = front.listed()
    assert len(listed) > 50
    assert listed == sorted(set(listed))
    chosen = random.Random(7).sample(listed, SAMPLE)
    for model in {*chosen, *OWN}:
        front.standin.reset()
        answer = front.chat(model)
        assert answer.status_code == 200, (model, answer.text)
        assert answer.json()["model"] == model
        assert len(front.standin.received) == 1


def test_an_endpoints_own_models_are_listed_for_its_tenant_alone(front: Front) -> None:
    assert set(OWN) <= set(front.listed())
    theirs = front.listed(front.stranger)
    assert "the-other-tenants-model" in theirs
    assert not set(OWN) & set(theirs)
    assert front.chat("house-model", front.stranger).status_code == 404


@pytest.mark.parametrize("model", NOT_LISTED, ids=range(len(NOT_LISTED)))
def test_what_is_not_listed_is_not_found_and_nothing_is_sent(front: Front, model: str) -> None:
    assert model not in front.listed()
    front.standin.reset()
    answer = front.chat(model)
    assert answer.status_code == 404, answer.text
    error = answer.json()["error"]
    assert error["code"] == "model_not_found"
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    assert answer.headers["x-tokenone-error-origin"] == "gateway"
    assert not front.standin.received


@pytest.mark.parametrize("model", ["claude-sonnet-5", "anthropic/claude-sonnet-5"])
def test_a_model_of_a_provider_without_a_key_is_known_and_not_listed(front: Front, model: str) -> None:
    assert model not in front.listed()
    front.standin.reset()
    answer = front.chat(model)
    assert answer.headers["x-tokenone-error"] == "no_key_in_scope"
    assert not front.standin.received


def test_a_model_that_is_no_text_is_a_bad_request(front: Front) -> None:
    for model in (None, 7, ["gpt-4o"], {"a": 1}):
        answer = front.chat(model)  # type: ignore[arg-type]
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] in ("model_missing", "malformed_body")


def test_the_sdk_lists_and_retrieves_every_model(front: Front) -> None:
    client = front.sdk()
    names = [model.id for model in client.models.list()]
    assert names == front.listed()
    for name in {*random.Random(5).sample(names, 10), *OWN, "gpt-4o:extended"}:
        assert client.models.retrieve(name).id == name
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-99")


def test_allow_lists_of_tenant_project_and_workload_intersect(front: Front) -> None:
    desk = front.installation.desk()
    place = desk.place(front.place.tenant, "intersect")
    [key] = desk.api("GET", f"/keys?tenant={place.tenant}")["items"]
    desk.assign(key["id"], "project", place.project)
    all_models = set(front.listed())
    try:
        _restrict(front, "tenants", place.tenant, ["gpt-4*", "gpt-5*"])
        expected = {name for name in all_models if name.startswith(("gpt-4", "gpt-5"))}
        assert set(front.listed(place)) == expected
        _restrict(front, "projects", place.project, ["gpt-4o*", "gpt-6*"])
        expected = {name for name in all_models if name.startswith("gpt-4o")}
        assert set(front.listed(place)) == expected
        _restrict(front, "workloads", place.workload, ["*-mini", "gpt-5"])
        expected = {name for name in expected if name.endswith("-mini")}
        assert set(front.listed(place)) == expected
        assert "gpt-4o-mini" in expected
        assert front.chat("gpt-4o-mini", place).status_code == 200
        assert front.chat("openai/gpt-4o-mini", place).status_code == 200
        for model in ("gpt-4o", "gpt-5", "gpt-6-sol", "openai/gpt-4o"):
            answer = front.chat(model, place)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "model_not_allowed")
    finally:
        _restrict(front, "tenants", place.tenant, None)


def _restrict(front: Front, kind: str, scope: str, models: list[str] | None) -> None:
    desk = front.installation.desk()
    desk.api("PATCH", f"/{kind}/{scope}", {"restrictions": {"models": models}})
    front.installation.until_current()


def test_a_provider_that_a_scope_may_not_use_lists_nothing(front: Front) -> None:
    desk = front.installation.desk()
    [key] = desk.api("GET", f"/keys?tenant={front.place.tenant}")["items"]
    place = desk.place(front.place.tenant, "providers")
    desk.assign(key["id"], "workload", place.workload)
    front.installation.until_current()
    assert front.listed(place)
    desk.api("PATCH", f"/workloads/{place.workload}", {"restrictions": {"providers": ["anthropic"]}})
    front.installation.until_current()
    assert front.listed(place) == []
    answer = front.chat("gpt-4o-mini", place)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "provider_not_allowed")


def test_without_a_key_nothing_is_listed_and_nothing_dispatched(front: Front) -> None:
    desk = front.installation.desk()
    bare = desk.place(desk.tenant("keyless listing"), "keyless listing")
    front.installation.until_current()
    assert front.listed(bare) == []
    answer = front.chat("gpt-4o-mini", bare)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "no_key_in_scope")


def test_a_suspended_key_takes_its_models_off_the_list(front: Front) -> None:
    desk = front.installation.desk()
    tenant = desk.tenant("suspending")
    place = desk.place(tenant, "suspending")
    endpoint = desk.api("GET", f"/keys?tenant={front.place.tenant}")["items"][0]["endpoint"]
    origins = desk.api("GET", f"/endpoints/{endpoint}")["origins"]
    endpoint = desk.endpoint("openai", origins[0], tenant=tenant, base_path="/openai")
    key = desk.key(tenant, "openai", endpoint, SECRETS["openai"])
    desk.assign(key, "tenant", tenant)
    front.installation.until_current()
    assert front.listed(place)
    desk.api("POST", f"/keys/{key}/suspend")
    front.installation.until_current()
    assert front.listed(place) == []
    answer = front.chat("gpt-4o-mini", place)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "key_not_usable")


def test_strangers_see_no_list(front: Front) -> None:
    nobody = replace(front.place, token="sk-nobody")
    for path in ("/v1/models", "/v1/models/gpt-4o", "/v1/models?limit=2"):
        headers = {"authorization": f"Bearer {nobody.token}"}
        answer = front.installation.http.get(front.gateway + path, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_token")


def test_the_list_has_the_shape_that_the_provider_gives_it(front: Front) -> None:
    headers = {"authorization": f"Bearer {front.place.token}"}
    told: dict[str, Any] = front.installation.http.get(f"{front.gateway}/v1/models", headers=headers).json()
    assert told["object"] == "list"
    assert {frozenset(row) for row in told["data"]} == {frozenset({"id", "object", "created", "owned_by"})}
    assert {row["object"] for row in told["data"]} == {"model"}
