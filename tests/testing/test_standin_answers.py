"""The stand-in speaks both protocols: shapes, keys, usage that adds up, the same answer to the same request."""

import json
import os
import signal
import socket
import subprocess
import sys

import anthropic
import openai
import pytest

from tokenone.testing.authority import Authority
from tokenone.testing.standin import StandIn, ThreadedListener

OPENAI = {"authorization": "Bearer sk-openai-one", "content-type": "application/json"}
ANTHROPIC = {"x-api-key": "sk-ant-one", "anthropic-version": "2023-06-01", "content-type": "application/json"}
USER = [{"role": "user", "content": "echo one two three four"}]
CHAT = {"model": "gpt-4.1", "messages": USER}
MESSAGE = {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": USER}
TOOL = {"type": "function", "function": {"name": "note", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/v1/chat/completions", CHAT, OPENAI),
        ("/v1/responses", {"model": "gpt-5", "input": "hello"}, OPENAI),
        ("/v1/completions", {"model": "gpt-3.5-turbo-instruct", "prompt": "hello"}, OPENAI),
        ("/v1/embeddings", {"model": "text-embedding-3-small", "input": ["a", "b"]}, OPENAI),
        ("/v1/moderations", {"input": "hello"}, OPENAI),
        ("/openai/v1/chat/completions", CHAT, OPENAI),
        ("/v1/messages", MESSAGE, ANTHROPIC),
        ("/v1/messages/count_tokens", MESSAGE, ANTHROPIC),
        ("/anthropic/v1/messages", MESSAGE, ANTHROPIC),
    ],
)
def test_the_same_request_gets_the_same_answer(talker, path, body, headers):
    assert talker.json(path, body, headers) == talker.json(path, body, headers)


def test_the_stream_says_what_the_plain_answer_says(talker):
    plain = talker.json("/v1/chat/completions", CHAT)["choices"][0]["message"]["content"]
    rows = [json.loads(row) for row in talker.events("/v1/chat/completions", CHAT | {"stream": True})[:-1]]
    assert (
        "".join(row["choices"][0]["delta"].get("content") or "" for row in rows)
        == plain
        == "one two three four"
    )


def test_a_chat_stream_tells_usage_only_if_asked(talker):
    silent = talker.events("/v1/chat/completions", CHAT | {"stream": True})
    told = talker.events(
        "/v1/chat/completions", CHAT | {"stream": True, "stream_options": {"include_usage": True}}
    )
    assert silent[-1] == told[-1] == "[DONE]"
    assert all("usage" not in row for row in silent)
    last = json.loads(told[-2])
    assert last["choices"] == []
    assert last["usage"] == talker.json("/v1/chat/completions", CHAT)["usage"]
    assert len(told) == len(silent) + 1


def test_usage_adds_up(talker):
    usage = talker.json("/v1/chat/completions", CHAT | {"model": "gpt-5"})["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 16
    long = talker.json(
        "/v1/chat/completions", {"model": "gpt-4.1", "messages": [{"role": "user", "content": "x" * 9000}]}
    )
    assert 0 < long["usage"]["prompt_tokens_details"]["cached_tokens"] < long["usage"]["prompt_tokens"]


def test_a_responses_stream_ends_with_the_whole_response(talker):
    body = {"model": "gpt-4.1", "input": "hello"}
    rows = [json.loads(row) for row in talker.events("/v1/responses", body | {"stream": True})]
    assert [row["sequence_number"] for row in rows] == list(range(len(rows)))
    assert rows[-1]["type"] == "response.completed"
    assert rows[-1]["response"] == talker.json("/v1/responses", body)


def test_a_messages_stream_says_usage_first_and_last(talker):
    rows = [json.loads(row) for row in talker.events("/v1/messages", MESSAGE | {"stream": True}, ANTHROPIC)]
    plain = talker.json("/v1/messages", MESSAGE, ANTHROPIC)
    assert rows[0]["message"]["usage"]["input_tokens"] == plain["usage"]["input_tokens"]
    assert rows[-2]["usage"]["output_tokens"] == plain["usage"]["output_tokens"]
    assert rows[-1] == {"type": "message_stop"}


def test_anthropics_cached_tokens_are_beside_the_input_tokens(talker):
    block = {"type": "text", "text": "y" * 2000, "cache_control": {"type": "ephemeral"}}
    body = MESSAGE | {"messages": [{"role": "user", "content": [block]}]}
    usage = talker.json("/v1/messages", body, ANTHROPIC)["usage"]
    parts = (usage["input_tokens"], usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"])
    assert all(parts)
    assert sum(parts) == talker.json("/v1/messages/count_tokens", body, ANTHROPIC)["input_tokens"]


def test_a_tool_is_called_in_either_dialect(talker):
    asked = [{"role": "user", "content": "tool remember"}]
    call = talker.json("/v1/chat/completions", CHAT | {"messages": asked, "tools": [TOOL]})["choices"][0]
    assert call["finish_reason"] == "tool_calls"
    assert json.loads(call["message"]["tool_calls"][0]["function"]["arguments"]) == {"text": "remember"}
    block = talker.json("/v1/messages", MESSAGE | {"messages": asked, "tools": [{"name": "note"}]}, ANTHROPIC)
    assert block["content"][0]["input"] == {"text": "remember"}


def test_models_are_listed_for_whoever_asks(talker):
    assert talker.json("/v1/models")["object"] == "list"
    assert talker.json("/v1/models", headers=ANTHROPIC)["has_more"] is False
    assert talker.json("/v1/models/gpt-4.1")["id"] == "gpt-4.1"
    assert talker.ask("/v1/models/gpt-0")[0] == 404


@pytest.mark.parametrize("key", ["", "sk-wrong", "sk-ant-one"])
def test_a_wrong_key_gets_openais_401(talker, key):
    headers = {"authorization": f"Bearer {key}"} if key else {}
    status, _, body = talker.ask("/v1/chat/completions", CHAT, headers)
    assert status == 401
    assert json.loads(body)["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize(
    "headers", [{}, {"x-api-key": "sk-openai-one"}, {"authorization": "Bearer sk-wrong"}]
)
def test_a_wrong_key_gets_anthropics_401(talker, headers):
    status, _, body = talker.ask("/v1/messages", MESSAGE, {"anthropic-version": "2023-06-01"} | headers)
    assert status == 401
    assert json.loads(body)["error"]["type"] == "authentication_error"


def test_anthropic_accepts_both_header_styles(talker):
    bearer = {"authorization": "Bearer sk-ant-one", "anthropic-version": "2026-10-21"}
    assert talker.json("/v1/messages", MESSAGE, bearer) == talker.json("/v1/messages", MESSAGE, ANTHROPIC)


def test_the_new_anthropic_version_refuses_sampling_parameters(talker):
    body = MESSAGE | {"temperature": 0.5}
    assert talker.ask("/v1/messages", body, ANTHROPIC)[0] == 200
    assert talker.ask("/v1/messages", body, ANTHROPIC | {"anthropic-version": "2026-10-21"})[0] == 400


def test_a_revoked_key_is_refused_from_then_on_and_an_accepted_one_taken(talker):
    talker.json("/v1/models")
    talker.standin.revoke("openai", "sk-openai-one")
    assert talker.ask("/v1/models")[0] == 401
    talker.standin.accept("openai", "sk-openai-two")
    assert talker.ask("/v1/models", headers={"authorization": "Bearer sk-openai-two"})[0] == 200
    assert talker.json("/v1/models", headers=ANTHROPIC)["data"]


@pytest.mark.parametrize(
    "body", [b"not json", b"[1]", b"", b'{"model": 3}', b'{"model":"gpt-4.1"}', b"[" * 100_000]
)
def test_a_bad_body_gets_400_in_the_providers_shape(talker, body):
    status, _, answer = talker.ask("/v1/chat/completions", body, OPENAI)
    assert status == 400
    assert "message" in json.loads(answer)["error"]
    status, _, answer = talker.ask("/v1/messages", body, ANTHROPIC)
    assert status == 400
    assert json.loads(answer)["type"] == "error"


def test_what_was_received_is_remembered_credentials_included(talker):
    talker.json("/v1/chat/completions?x=%2F", CHAT, OPENAI | {"X-Unknown": "kept"})
    (record,) = talker.standin.received
    assert (record.provider, record.key, record.status, record.finished) == (
        "openai",
        "sk-openai-one",
        200,
        True,
    )
    assert record.request.target == "/v1/chat/completions?x=%2F"
    assert record.request.header("x-unknown") == "kept"
    assert json.loads(record.request.body) == CHAT


def test_requests_on_one_connection_are_answered_in_order(talker):
    head = b"GET /v1/models/%s HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-openai-one\r\n%s\r\n"
    with socket.create_connection(("127.0.0.1", talker.upstream.port), 10) as connection:
        connection.sendall(head % (b"gpt-4.1", b"") + head % (b"gpt-5", b"connection: close\r\n"))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.index(b'"gpt-4.1"') < answer.index(b'"gpt-5"')
    assert answer.count(b"HTTP/1.1 200") == 2


def test_a_chunked_request_is_read_however_it_is_cut(talker):
    body = json.dumps(CHAT).encode()
    chunks = b"".join(
        b"%x;e=1\r\n%s\r\n" % (len(body[at : at + 9]), body[at : at + 9]) for at in range(0, len(body), 9)
    )
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-openai-one\r\n"
    head += b"connection: close\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n"
    data = head + chunks + b"0\r\n\r\n"
    for step in (1, 50, len(data)):
        with socket.create_connection(("127.0.0.1", talker.upstream.port), 10) as connection:
            for at in range(0, len(data), step):
                connection.sendall(data[at : at + step])
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"one two three four" in answer


def test_the_official_sdks_are_content_over_tls(tmp_path):
    authority = Authority()
    trust = authority.client_context()
    with ThreadedListener(StandIn(), tls=authority.server_context(tmp_path)) as upstream:
        assert upstream.origin.startswith("https://")
        with openai.OpenAI(
            api_key="k", base_url=f"{upstream.origin}/v1", http_client=openai.DefaultHttpxClient(verify=trust)
        ) as client:
            stream = client.chat.completions.create(**CHAT, stream=True)
            assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "one two three four"
            assert client.responses.create(model="gpt-4.1", input="echo hi").output_text == "hi"
            assert len(client.embeddings.create(model="text-embedding-3-small", input=["a", "b"]).data) == 2
        with anthropic.Anthropic(
            api_key="k", base_url=upstream.origin, http_client=anthropic.DefaultHttpxClient(verify=trust)
        ) as claude:
            asked = {"model": "claude-sonnet-5", "max_tokens": 9, "messages": USER}
            assert claude.messages.create(**asked).content[0].text == "one two three four"
            with claude.messages.stream(**asked) as events:
                assert events.get_final_text() == "one two three four"


def test_the_stand_in_runs_as_a_process_of_its_own(tmp_path):
    command = [sys.executable, "-m", "tokenone.testing.standin", "--control", "--tls", str(tmp_path / "tls")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    try:
        told = json.loads(process.stdout.readline())
        assert told["origin"].startswith("https://127.0.0.1:")
        assert told["pid"] == process.pid
        assert "BEGIN CERTIFICATE" in (tmp_path / "tls" / "ca.pem").read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        process.stdout.close()
