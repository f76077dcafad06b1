"""Laws of the Gemini API's facts: which paths are known, which header a key goes on, which pastes are keys."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.dispatch.credential import Unsigned
from tokenone.dispatch.providers import PROVIDERS
from tokenone.dispatch.providers.google_compatible import CompatibleEvents, read_compatible
from tokenone.dispatch.streams import EVENT_STREAM, StreamMeter
from tokenone.errors import BadSecret, PathDenied
from tokenone.rows import Endpoint
from tokenone.types import Dialect, PathClass, Provider, Usage

GEMINI = PROVIDERS[Provider.GEMINI]
ENDPOINT = Endpoint("e", None, Provider.GEMINI, "gemini", (GEMINI.default_origin,))
CHAT = b"/v1beta/openai/chat/completions"
KEY = b"AIza" + b"Sy0" * 11 + b"Zz"
NEW_KEY = b"AQ.Ab8RN6" + b"x" * 44


@pytest.mark.parametrize("version", [b"v1", b"v1beta", b"v1alpha"])
@pytest.mark.parametrize(
    ("verb", "kind", "bills"),
    [
        (b"generateContent", PathClass.INFERENCE, True),
        (b"streamGenerateContent", PathClass.INFERENCE, True),
        (b"embedContent", PathClass.INFERENCE, True),
        (b"batchEmbedContents", PathClass.INFERENCE, True),
        (b"predict", PathClass.INFERENCE, True),
        (b"countTokens", PathClass.INFERENCE, False),
        (b"batchGenerateContent", PathClass.STATEFUL, True),
        (b"asyncBatchEmbedContent", PathClass.STATEFUL, True),
        (b"predictLongRunning", PathClass.STATEFUL, True),
        (b"bidiGenerateContent", None, True),
        (b"setIamPolicy", None, True),
        (b"generatecontent", None, True),
    ],
)
def test_a_models_methods_are_classed(
    version: bytes, verb: bytes, kind: PathClass | None, bills: bool
) -> None:
    path = b"/" + version + b"/models/gemini-2.5-flash:" + verb
    assert GEMINI.classify(b"POST", path + b"?alt=sse") is kind
    assert GEMINI.classify(b"GET", path) is None
    assert GEMINI.bills(path + b"?x=1") is bills
    if kind is PathClass.INFERENCE:
        assert GEMINI.model_in(path + b"?alt=sse") == "gemini-2.5-flash"


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "/v1beta/models", PathClass.FREE),
        ("GET", "/v1beta/models?pageSize=1", PathClass.FREE),
        ("GET", "/v1/models/gemini-2.5-flash", PathClass.FREE),
        ("GET", "/v1beta/openai/models", PathClass.FREE),
        ("POST", "/v1beta/openai/chat/completions", PathClass.INFERENCE),
        ("POST", "/v1beta/openai/embeddings", PathClass.INFERENCE),
        ("POST", "/v1beta/interactions", PathClass.INFERENCE),
        ("GET", "/v1beta/interactions/v1_x", PathClass.STATEFUL),
        ("DELETE", "/v1beta/interactions/v1_x", PathClass.STATEFUL),
        ("POST", "/v1beta/tunedModels/mine-1:generateContent", PathClass.INFERENCE),
        ("GET", "/v1beta/tunedModels/mine-1", PathClass.STATEFUL),
        ("POST", "/v1beta/tunedModels", PathClass.STATEFUL),
        ("POST", "/v1beta/tunedModels/mine-1:transferOwnership", None),
        ("POST", "/v1beta/tunedModels/mine-1/permissions", None),
        ("POST", "/v1beta/cachedContents", PathClass.STATEFUL),
        ("PATCH", "/v1beta/cachedContents/c", PathClass.STATEFUL),
        ("GET", "/v1beta/files/f", PathClass.STATEFUL),
        ("GET", "/download/v1beta/files/f:download?alt=media", PathClass.STATEFUL),
        ("POST", "/upload/v1beta/files", PathClass.STATEFUL),
        ("POST", "/v1beta/batches/b:cancel", PathClass.STATEFUL),
        ("GET", "/v1beta/models/veo-3/operations/o", PathClass.STATEFUL),
        ("POST", "/v1alpha/auth_tokens", None),
        ("POST", "/v1alpha/authTokens", None),
        ("POST", "/v1beta/corpora/c/permissions", None),
        ("DELETE", "/v1beta/models/gemini-2.5-flash", None),
        ("POST", "/v2/models/gemini:generateContent", None),
        ("POST", "/models/gemini:generateContent", None),
        ("GET", "/v1beta/models/gemini:generateContent?$httpMethod=POST", None),
        ("GET", "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent", None),
    ],
)
def test_paths_are_classed(method: str, path: str, kind: PathClass | None) -> None:
    assert GEMINI.classify(method.encode(), path.encode()) is kind


@pytest.mark.parametrize(
    "model",
    [
        "..",
        ".",
        "",
        "a/../b",
        "a%2Fb",
        "a%3AgenerateContent",
        "%61",
        "a b",
        "a:b",
        "a\\b",
        "ä",
        "tunedModels/x",
        "a;b",
    ],
)
def test_a_disguised_model_has_no_class(model: str) -> None:
    path = f"/v1beta/models/{model}:generateContent".encode()
    assert GEMINI.classify(b"POST", path) is None
    assert GEMINI.model_in(path) is None


@given(st.sampled_from([b"GET", b"POST", b"DELETE", b"PATCH"]), st.binary(max_size=60))
def test_an_inference_path_always_names_its_model_or_leaves_it_to_the_body(
    method: bytes, rest: bytes
) -> None:
    path = b"/v1beta/models/" + rest.replace(b"?", b"")
    kind = GEMINI.classify(method, path)
    if kind is PathClass.INFERENCE:
        model = GEMINI.model_in(path)
        assert model is not None
        assert path.startswith(b"/v1beta/models/" + model.encode() + b":")
    assert kind is not PathClass.FREE or method == b"GET"


def unsigned(target: bytes) -> Unsigned:
    return Unsigned(b"POST", b"h", target, [(b"x-goog-api-client", b"genai")], b"{}", 0)


@pytest.mark.parametrize("key", [KEY, NEW_KEY])
def test_a_key_goes_on_the_header_that_its_path_knows(key: bytes) -> None:
    sent = GEMINI.authorise(unsigned(b"/v1beta/models/m:generateContent?alt=/v1beta/openai/"), key)
    assert sent == [(b"x-goog-api-client", b"genai"), (b"x-goog-api-key", key)]
    sent = GEMINI.authorise(unsigned(CHAT), key)
    assert sent == [(b"x-goog-api-client", b"genai"), (b"authorization", b"Bearer " + key)]


@pytest.mark.parametrize("key", [KEY, NEW_KEY, b"GK2027-a-shape-to-come-0123456789"])
def test_googles_keys_of_any_shape_pass(key: bytes) -> None:
    GEMINI.check_secret(key)


@pytest.mark.parametrize(
    ("paste", "reason"),
    [
        (b"", "empty"),
        (KEY + b"\n", "white space"),
        (b"GEMINI_API_KEY=" + KEY, "variable"),
        (b'"' + KEY + b'"', "quotes"),
        (KEY[:-1], "39 characters"),
        (KEY + b"x", "39 characters"),
        (b"AIza...Zz", "shortened"),
        (b"sk-proj-" + b"x" * 40, "OpenAI key"),
        (b"sk-ant-api03-" + b"x" * 40, "Anthropic key"),
        (b"sk-ant-admin01-" + b"x" * 40, "admin key"),
        (b"sk-or-v1-" + b"x" * 40, "OpenRouter key"),
        (b"AKIA" + b"X" * 16, "AWS access-key id"),
        (b"to_live_" + b"x" * 40, "caller token"),
        (b"ya29.a0" + b"x" * 40, "lives for an hour"),
        (b"GOCSPX-" + b"x" * 28, "OAuth client"),
        (b"1//0g" + b"x" * 40, "refresh token"),
        (b"auth_tokens/" + b"x" * 40, "live session"),
        (b"-----BEGIN PRIVATE KEY-----\nMII", "whole JSON file"),
        (b'{"type":"service_account"}', "takes an API key"),
        (b"AQ.short", "characters"),
        (b"\xff" * 40, "characters"),
    ],
)
def test_what_is_no_key_of_googles_is_refused_with_the_reason_and_without_the_paste(
    paste: bytes, reason: str
) -> None:
    with pytest.raises(BadSecret) as refused:
        GEMINI.check_secret(paste)
    assert reason in refused.value.detail
    assert not any(
        len(word) > 12 and word in refused.value.detail for word in paste.decode("latin-1").split()
    )


def test_an_upload_is_refused_where_it_would_be_placed() -> None:
    with pytest.raises(PathDenied, match="absolute address"):
        GEMINI.place(ENDPOINT, b"/upload/v1beta/files")
    assert GEMINI.place(ENDPOINT, b"/v1beta/files") == b"/v1beta/files"


def test_googles_front_speaks_googles_errors_and_its_probe_is_free() -> None:
    assert GEMINI.dialect is Dialect.GOOGLE
    assert GEMINI.classify(GEMINI.probe.method, GEMINI.probe.target) is PathClass.FREE
    assert GEMINI.mint is None


# ── the OpenAI-compatible paths ──────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109},
            Usage(input=35, output=74, reasoning=62),
        ),
        ({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 47}, Usage(input=35, output=12)),
        ({"prompt_tokens": 35, "completion_tokens": 12}, Usage(input=35, output=12)),
        ({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 1}, Usage(input=35, output=12)),
        ({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": "x"}, Usage(input=35, output=12)),
        ({"prompt_tokens": 35, "total_tokens": 35}, Usage(input=35)),
        (None, None),
    ],
)
def test_hidden_thoughts_are_what_the_total_leaves(
    usage: dict[str, object] | None, expected: Usage | None
) -> None:
    body = {"model": "google/gemini-2.5-pro", "choices": [], "usage": usage}
    reading = read_compatible(json.dumps(body).encode(), CHAT, [])
    assert (reading.model, reading.usage) == ("gemini-2.5-pro", expected)
    reader = CompatibleEvents(CHAT)
    assert reader.read(b"data: " + json.dumps(body).encode() + b"\n\n") is (expected is not None)
    assert (reader.model, reader.usage) == ("gemini-2.5-pro", expected)


def test_a_compatible_streams_usage_is_asked_for_and_withheld() -> None:
    body = b'{"model":"gemini-2.5-flash","stream":true}'
    spliced = GEMINI.splice(body, GEMINI.peek(body, None), CHAT)
    assert spliced == b'{"stream_options":{"include_usage":true},"model":"gemini-2.5-flash","stream":true}'
    native = b"/v1beta/models/m:streamGenerateContent"
    assert GEMINI.splice(body, GEMINI.peek(body, None), native) is body
    meter = GEMINI.open_meter(CHAT, EVENT_STREAM, True)
    assert isinstance(meter, StreamMeter)
    text = b'data: {"model":"m","choices":[{"delta":{"content":"x"}}]}\n\n'
    usage = b'data: {"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":9}}\n\n'
    assert meter.feed(text + usage + b"data: [DONE]\n\n") + meter.finish() == text + b"data: [DONE]\n\n"
    assert meter.usage == Usage(input=1, output=8, reasoning=6)
    assert meter.ended
