"""Laws of the paths: inference is listed, state needs its grant, administration and the unknown are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.dispatch.providers import PROVIDERS
from tokenone.types import PathClass, Provider

OPENAI, ANTHROPIC = PROVIDERS[Provider.OPENAI], PROVIDERS[Provider.ANTHROPIC]
INFERENCE = [
    "chat/completions",
    "completions",
    "embeddings",
    "responses",
    "responses/compact",
    "responses/input_tokens",
    "moderations",
    "images/generations",
    "images/edits",
    "images/variations",
    "audio/speech",
    "audio/transcriptions",
    "audio/translations",
    "decisions",
]
STATEFUL = [
    "files",
    "files/file-1/content",
    "uploads/u/parts",
    "batches/b/cancel",
    "responses/resp_1",
    "responses/resp_1/cancel",
    "responses/resp_1/input_items",
    "chat/completions/chatcmpl-1",
    "conversations",
    "conversations/c/items",
    "assistants",
    "threads/t/runs",
    "vector_stores/v/search",
    "fine_tuning/jobs",
    "evals/e/runs",
    "containers/c/files",
    "videos",
    "videos/v/content",
    "skills/s",
]
ADMIN = [
    "organization/costs",
    "organization/admin_api_keys",
    "projects/p/roles",
    "realtime/client_secrets",
    "chatkit/sessions",
    "vaults",
    "webhook_endpoints",
    "fine_tuning/checkpoints/x/permissions",
]


@pytest.mark.parametrize("path", INFERENCE)
def test_openai_inference_is_posted(path: str) -> None:
    assert OPENAI.classify(b"POST", b"/v1/" + path.encode()) is PathClass.INFERENCE
    assert OPENAI.classify(b"POST", b"/v1/" + path.encode() + b"?x=1") is PathClass.INFERENCE
    assert OPENAI.classify(b"DELETE", b"/v1/" + path.encode()) is not PathClass.INFERENCE


@pytest.mark.parametrize("path", STATEFUL)
@pytest.mark.parametrize("method", [b"GET", b"POST", b"DELETE"])
def test_openai_state_is_stateful(path: str, method: bytes) -> None:
    assert OPENAI.classify(method, b"/v1/" + path.encode()) is PathClass.STATEFUL


@pytest.mark.parametrize("path", ADMIN)
def test_openai_administration_is_admin(path: str) -> None:
    assert OPENAI.classify(b"POST", b"/v1/" + path.encode()) is PathClass.ADMIN


def test_models_are_free_to_list_and_never_deleted() -> None:
    for facts in (OPENAI, ANTHROPIC):
        assert facts.classify(b"GET", b"/v1/models") is PathClass.FREE
        assert facts.classify(b"GET", b"/v1/models?limit=1") is PathClass.FREE
        assert facts.classify(b"GET", b"/v1/models/ft%3Agpt-4o:o::id") is PathClass.FREE
    assert OPENAI.classify(b"DELETE", b"/v1/models/ft:x") is PathClass.ADMIN
    assert ANTHROPIC.classify(b"DELETE", b"/v1/models/x") is None


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/v1/messages", PathClass.INFERENCE),
        ("POST", "/v1/messages?beta=true", PathClass.INFERENCE),
        ("POST", "/v1/messages/count_tokens", PathClass.INFERENCE),
        ("POST", "/v1/complete", PathClass.INFERENCE),
        ("POST", "/v1/messages/batches", PathClass.STATEFUL),
        ("GET", "/v1/messages/batches/b/results", PathClass.STATEFUL),
        ("POST", "/v1/files", PathClass.STATEFUL),
        ("GET", "/v1/skills/s/versions", PathClass.STATEFUL),
        ("GET", "/v1/organizations/api_keys", PathClass.ADMIN),
        ("POST", "/v1/oauth/token", PathClass.ADMIN),
        ("GET", "/v1/vaults/v/credentials", PathClass.ADMIN),
        ("GET", "/v1/messages", None),
        ("POST", "/v1/sessions", None),
    ],
)
def test_anthropic_paths(method: str, path: str, kind: PathClass | None) -> None:
    assert ANTHROPIC.classify(method.encode(), path.encode()) is kind


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions/../../organization/costs",
        "/v1/files/..",
        "/v1/files/./x",
        "/v1/files/%2e%2e/organization",
        "/v1/files/%2E%2E/x",
        "/v1/files%2f..%2forganization",
        "/v1/files/a%5cb",
        "/v1/files/%252e",
        "/v1/files/a%00b",
        "/v1/files/a%0d%0ab",
        "/v1/files/%",
        "/v1/files//x",
        "//v1/files",
        "/v1/files/",
        "/v1/files\\x",
        "/v1/files;/x y",
        "/v1/filesystem",
        "/v1/fil%65s",
        "/v1/fine_tuning/%63heckpoints/x/permissions",
        "/v1/fine_tuning/checkpoint%73",
        "/v1/responses/%63ompact",
        "/v1/responses/input%5Ftokens",
        "/v1/files/%41",
        "/v1/files/a%2Db",
        "/V1/files",
        "v1/files",
        "",
        "*",
        "/v1",
        "/v2/chat/completions",
        "/v1/engines/davinci/completions",
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_disguised_or_unknown_path_has_no_class(method: bytes, path: str) -> None:
    assert OPENAI.classify(method, path.encode()) is None


@given(st.sampled_from([b"GET", b"POST", b"PUT"]), st.binary(max_size=60))
def test_nothing_below_an_admin_prefix_gets_another_class(method: bytes, rest: bytes) -> None:
    assert OPENAI.classify(method, b"/v1/organization/" + rest) in (PathClass.ADMIN, None)


def test_counting_is_not_billed_and_inference_is() -> None:
    assert not ANTHROPIC.bills(b"/v1/messages/count_tokens?beta=true")
    assert not OPENAI.bills(b"/v1/responses/input_tokens")
    assert OPENAI.bills(b"/v1/chat/completions")
    assert ANTHROPIC.bills(b"/v1/messages")
