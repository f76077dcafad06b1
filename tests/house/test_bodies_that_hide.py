"""Bodies that would show a detector or an allow-list something else than the provider: refused, nothing sent."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import httpx2
import pytest

from kit.fronts import OPENAI, caller
from kit.grounds import secret_of
from kit.inprocess import InProcess
from kit.scripted import Scripted, answer
from tokenone.testing.desk import Workplace

Stage = tuple[InProcess, Scripted, dict[str, Workplace]]
FORM = b'--%s\r\nContent-Disposition: form-data; name="model"\r\n\r\n%s\r\n--%s--\r\n'
LEAK = b'{"text": "%s"}' % b"sk-proj-Zq8vT3mLx0RfYw7KcJ2hUeD9sNpAoGb4iV6X5kQtHyWgCz1MrPjEuSl"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Scripted(lambda _: answer(b"{}")) as provider, InProcess(tmp_path_factory.mktemp("hide")) as house:
        places = {}
        for action in ("allow", "flag", "redact", "block"):
            tenant = house.tenant(action, detect={"request": action, "response": "allow"})
            place = places[action] = house.place(tenant, action, grants=["inference", "stateful"])
            endpoint = house.endpoint("openai", provider.origin, tenant=tenant)
            key = house.key(tenant, "openai", endpoint, secret_of(OPENAI, "house" * 10))
            house.assign(key, "workload", place.workload)
        yield house, provider, places
        assert house.defects == []


def send(stage: Stage, action: str, path: str, body: bytes, *fields: tuple[str, str]) -> httpx2.Response:
    house, provider, places = stage
    provider.heard.clear()
    headers = [("authorization", f"Bearer {places[action].token}"), *fields]
    with caller() as http:
        return http.post(house.gateway + path, headers=headers, content=body)


def test_two_content_types_are_refused_because_each_shows_another_model(stage: Stage) -> None:
    body = FORM % (b"AA", b"allowed", b"AA") + FORM % (b"BB", b"denied", b"BB")
    forms = [("content-type", f"multipart/form-data; boundary={name}") for name in ("AA", "BB")]
    got = send(stage, "allow", "/openai/v1/audio/transcriptions", body, *forms)
    assert (got.status_code, OPENAI.refusal(got.content)["code"]) == (400, "malformed_body")
    assert stage[1].heard == []


@pytest.mark.parametrize("action", ["redact", "block"])
@pytest.mark.parametrize("codings", [["gzip"], ["identity", "gzip"], ["GZIP"], ["identity, gzip"]])
def test_an_encoded_body_is_refused_where_it_would_have_to_be_inspected(
    stage: Stage, action: str, codings: list[str]
) -> None:
    fields = [("content-type", "application/json"), *(("content-encoding", one) for one in codings)]
    got = send(stage, action, "/openai/v1/conversations", gzip.compress(LEAK), *fields)
    assert (got.status_code, OPENAI.refusal(got.content)["code"]) == (400, "content_blocked")
    assert stage[1].heard == []


@pytest.mark.parametrize("action", ["allow", "flag"])
def test_an_encoded_body_passes_where_nothing_is_withheld(stage: Stage, action: str) -> None:
    fields = [("content-type", "application/json"), ("content-encoding", "gzip")]
    body = gzip.compress(LEAK)
    assert send(stage, action, "/openai/v1/conversations", body, *fields).status_code == 200
    assert stage[1].heard[0].endswith(body)


def test_a_text_that_is_no_json_is_redacted_where_no_model_is_needed(stage: Stage) -> None:
    body = b"text: " + LEAK
    got = send(stage, "redact", "/openai/v1/uploads/u/parts", body, ("content-type", "text/plain"))
    assert got.status_code == 200
    assert b"[redacted:openai-key]" in stage[1].heard[0]
