"""Laws of Cohere's facts: whose key a pasted secret is, what a path may do, what a refusal means, the probe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tokenone.dispatch.credential import Unsigned
from tokenone.dispatch.providers.cohere import COHERE
from tokenone.errors import BadSecret
from tokenone.secret import Secret
from tokenone.types import ErrorClass, PathClass

KEY = b"Q7" * 20
VECTORS = json.loads((Path(__file__).resolve().parents[2] / "vectors" / "errors-cohere.json").read_text())


@pytest.mark.parametrize("vector", [*VECTORS["plain"], *VECTORS["traps"]], ids=lambda vector: vector["why"])
def test_a_refusal_has_the_class_that_the_vectors_say(vector: dict[str, Any]) -> None:
    found = COHERE.error_class(vector["status"], [], vector["body"].encode())
    assert found is ErrorClass(vector["class"])


def test_half_of_the_vectors_are_traps() -> None:
    assert len(VECTORS["traps"]) >= len(VECTORS["plain"])


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b'{"message":7}'])
def test_no_answer_makes_the_classes_raise(body: bytes) -> None:
    assert {COHERE.error_class(status, [], body) for status in range(100, 600)} < set(ErrorClass)


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_key_of_forty_letters_and_digits_passes_and_is_sent_as_a_bearer() -> None:
    COHERE.check_secret(KEY)
    unsigned = Unsigned(b"POST", b"api.cohere.com", b"/v2/chat", [(b"accept", b"*/*")], b"{}", 0)
    headers = COHERE.credential(unsigned, Secret(KEY))
    assert headers == [(b"accept", b"*/*"), (b"authorization", b"Bearer " + KEY)]


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        (b"", "empty"),
        (KEY + b"\n", "white space"),
        (b"Bearer " + KEY, "white space"),
        (KEY[:-1], "cut short"),
        (b"CO_API_KEY=" + KEY, "without quotes"),
        (b'"' + KEY + b'"', "without quotes"),
        (KEY[:20] + b"..." + KEY[:20], "shortened form"),
        (b"sk-" + KEY, "OpenAI"),
        (b"sk-proj-" + KEY, "OpenAI"),
        (b"sk-ant-api03-" + KEY, "Anthropic"),
        (b"sk-ant-admin01-" + KEY, "admin key"),
        (b"sk-or-v1-" + KEY, "OpenRouter"),
        (b"AIza" + KEY[:35], "Google"),
        (b"AKIA" + KEY, "AWS"),
        (b"ABSK" + KEY, "Bedrock"),
        (b"to_live_" + KEY, "caller token"),
        (b"wJalr/Utn+" + KEY[:30], "letters and digits"),
        ("ключ".encode() * 8, "characters"),
        (b'{"type":"service_account"}' + KEY, "letters and digits"),
        (KEY * 200, "characters"),
    ],
)
def test_what_cannot_be_a_key_is_refused_with_a_reason_that_does_not_show_it(
    secret: bytes, reason: str
) -> None:
    with pytest.raises(BadSecret) as refused:
        COHERE.check_secret(secret)
    assert reason in refused.value.detail
    assert KEY[:8].decode() not in refused.value.detail


# ── paths ────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        (b"POST", b"/v2/chat", PathClass.INFERENCE),
        (b"POST", b"/v2/embed", PathClass.INFERENCE),
        (b"POST", b"/v2/rerank", PathClass.INFERENCE),
        (b"POST", b"/v2/audio/transcriptions", PathClass.INFERENCE),
        (b"POST", b"/v1/chat", PathClass.INFERENCE),
        (b"POST", b"/v1/generate", PathClass.INFERENCE),
        (b"POST", b"/v1/embed", PathClass.INFERENCE),
        (b"POST", b"/v1/rerank", PathClass.INFERENCE),
        (b"POST", b"/v1/classify", PathClass.INFERENCE),
        (b"POST", b"/v1/summarize", PathClass.INFERENCE),
        (b"POST", b"/v1/tokenize", PathClass.INFERENCE),
        (b"POST", b"/v1/detokenize", PathClass.INFERENCE),
        (b"POST", b"/v1/check-api-key", PathClass.FREE),
        (b"GET", b"/v1/models", PathClass.FREE),
        (b"GET", b"/v1/models?endpoint=chat&default_only=true", PathClass.FREE),
        (b"GET", b"/v1/models/command-r", PathClass.FREE),
        (b"DELETE", b"/v1/models/ours", PathClass.ADMIN),
        (b"GET", b"/v1/connectors", PathClass.ADMIN),
        (b"POST", b"/v1/connectors/c/oauth/authorize", PathClass.ADMIN),
        (b"POST", b"/v1/datasets", PathClass.STATEFUL),
        (b"GET", b"/v1/datasets/usage", PathClass.STATEFUL),
        (b"POST", b"/v1/embed-jobs/j/cancel", PathClass.STATEFUL),
        (b"POST", b"/v2/batches", PathClass.STATEFUL),
        (b"PATCH", b"/v1/finetuning/finetuned-models/m", PathClass.STATEFUL),
        (b"GET", b"/v2/chat", None),
        (b"POST", b"/v2/chat/", None),
        (b"POST", b"/v3/chat", None),
        (b"POST", b"/compatibility/v1/chat/completions", None),
        (b"POST", b"/v1/%63onnectors", None),
        (b"GET", b"/v1/models/../connectors", None),
    ],
)
def test_a_path_has_its_class_and_what_is_not_listed_has_none(
    method: bytes, path: bytes, kind: PathClass | None
) -> None:
    assert COHERE.classify(method, path) is kind


def test_counting_tokens_costs_nothing_and_the_second_version_wants_a_model() -> None:
    assert not COHERE.bills(b"/v1/tokenize")
    assert not COHERE.bills(b"/v1/detokenize")
    assert COHERE.bills(b"/v2/rerank")
    assert b"/v1/chat" in COHERE.model_optional
    assert not any(path.startswith(b"/v2/") for path in COHERE.model_optional)
    assert COHERE.model_in(b"/v1/models/command-r") is None


# ── the probe ────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("answer", "proven"),
    [
        (b'{"valid":true,"organization_id":"o","owner_id":"w"}', True),
        (b'{"valid":false}', False),
        (b'{"valid":null}', None),
        (b'{"valid":1}', None),
        (b"{}", None),
        (b"", None),
        (b"<html>", None),
    ],
)
def test_a_probe_is_free_and_only_a_yes_proves_the_key(answer: bytes, proven: bool | None) -> None:
    probe = COHERE.probe
    assert COHERE.classify(probe.method, probe.target) is PathClass.FREE
    assert (probe.body, probe.proves(answer)) == (b"", proven)
