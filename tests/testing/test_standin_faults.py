"""The stand-in misbehaves on demand, and only then."""

import asyncio
import gzip
import http.client
import json
import socket

import pytest

from tokenone.testing.standin import MODES, Listener, StandIn, parse_fault

OPENAI = {"authorization": "Bearer sk-openai-one", "content-type": "application/json"}
ANTHROPIC = {"x-api-key": "sk-ant-one", "anthropic-version": "2023-06-01", "content-type": "application/json"}
USER = [{"role": "user", "content": "echo one two three four"}]
CHAT = {"model": "gpt-4.1", "messages": USER}
STREAM = CHAT | {"stream": True}
MESSAGE = {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": USER}


def raw(talker, body, fault, limit=1 << 20):
    """Sends one request and returns every byte that comes back (at most `limit`) and how it ended."""
    payload = json.dumps(body).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-openai-one\r\n"
    head += f"x-standin-fault: {fault}\r\n"
    received = b""
    with socket.create_connection(("127.0.0.1", talker.upstream.port), 10) as connection:
        connection.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(payload) + payload)
        connection.settimeout(0.5)
        try:
            while len(received) < limit:
                data = connection.recv(65536)
                if not data:
                    return received, "end"
                received += data
        except TimeoutError:
            return received, "open"
        except ConnectionResetError:
            return received, "reset"
    return received, "more"


@pytest.mark.parametrize(
    ("status", "kind"), [(429, "requests"), (503, "server_error"), (500, "server_error")]
)
def test_a_status_comes_in_openais_shape_with_retry_after(talker, status, kind):
    talker.standin.fault(f"status:{status}:7")
    got, headers, body = talker.ask("/v1/chat/completions", CHAT)
    assert (got, headers["retry-after"], json.loads(body)["error"]["type"]) == (status, "7", kind)
    assert talker.ask("/v1/chat/completions", CHAT)[0] == 200


@pytest.mark.parametrize(
    ("status", "kind"), [(429, "rate_limit_error"), (529, "overloaded_error"), (500, "api_error")]
)
def test_a_status_comes_in_anthropics_shape(talker, status, kind):
    got, _, body = talker.ask("/v1/messages", MESSAGE, ANTHROPIC | {"x-standin-fault": f"status:{status}"})
    assert (got, json.loads(body)["error"]["type"]) == (status, kind)


def test_a_model_name_asks_for_a_fault(talker):
    got, headers, _ = talker.ask("/v1/chat/completions", CHAT | {"model": "standin-status-429-3"})
    assert (got, headers["retry-after"]) == (429, "3")


def test_a_hostile_refusal_repeats_the_key(talker):
    talker.standin.fault("leak:401")
    got, headers, body = talker.ask("/v1/chat/completions", CHAT)
    assert got == 401
    assert "sk-openai-one" in json.loads(body)["error"]["message"]
    assert headers["x-standin-key"] == "sk-openai-one"


@pytest.mark.parametrize("body", [CHAT, STREAM])
@pytest.mark.parametrize("after", [0, 1, 100, 333])
def test_a_cut_closes_after_exactly_so_many_bytes(talker, body, after):
    whole, _ = raw(talker, body, "close")
    received, end = raw(talker, body, f"cut:{after}")
    assert (len(received), end) == (after, "end")
    assert received[:15] == whole[: min(after, 15)]


def test_a_reset_resets(talker):
    assert raw(talker, CHAT, "reset:0")[1] == "reset"
    assert raw(talker, STREAM, "drop") == (b"", "end")


def test_garbage_is_no_http_and_nonsense_no_json(talker):
    received, end = raw(talker, CHAT, "garbage")
    assert not received.startswith(b"HTTP")
    assert end == "end"
    status, headers, body = talker.ask("/v1/chat/completions", CHAT, OPENAI | {"x-standin-fault": "nonsense"})
    assert (status, headers["content-type"]) == (200, "application/json")
    with pytest.raises(ValueError):
        json.loads(body)


def test_a_stalled_answer_sends_nothing_and_a_hung_one_stops(talker):
    assert raw(talker, CHAT, "stall:5") == (b"", "open")
    received, end = raw(talker, STREAM, "hang:2:5")
    assert (received.count(b"data: "), end) == (2, "open")
    received, end = raw(talker, CHAT, "hang:0:5")
    assert (received.endswith(b"\r\n\r\n"), end) == (True, "open")


@pytest.mark.parametrize("body", [CHAT, STREAM])
def test_an_endless_answer_does_not_end(talker, body):
    assert raw(talker, body, "endless:0", limit=100_000)[1] == "more"


def test_a_stream_fails_in_the_middle_in_the_providers_shape(talker):
    events = talker.events("/v1/chat/completions", STREAM, OPENAI | {"x-standin-fault": "midstream:3"})
    assert len(events) == 4
    assert json.loads(events[-1])["error"]["type"] == "server_error"
    headers = ANTHROPIC | {"x-standin-fault": "midstream"}
    events = talker.events("/v1/messages", MESSAGE | {"stream": True}, headers)
    assert json.loads(events[-1])["error"]["type"] == "overloaded_error"


def test_unsolicited_bytes_stand_behind_the_answer(talker):
    received, _ = raw(talker, CHAT, "unsolicited")
    assert received.count(b"HTTP/1.1 200 OK") == 2


def test_an_answer_without_length_ends_with_the_connection(talker):
    for body in (CHAT, STREAM):
        received, end = raw(talker, body, "close")
        assert (b"content-length" in received, b"chunked" in received, end) == (False, False, "end")


def test_early_hints_come_before_the_answer(talker):
    received, _ = raw(talker, CHAT, "early")
    assert received.startswith(b"HTTP/1.1 103 ")
    assert received.count(b"HTTP/1.1 200 OK") == 1


def test_a_short_answer_promises_more_than_it_sends(talker):
    talker.standin.fault("short")
    with pytest.raises(http.client.IncompleteRead):
        talker.ask("/v1/chat/completions", CHAT)


def test_a_fat_answer_is_json_of_that_size(talker):
    _, _, body = talker.ask("/v1/chat/completions", CHAT, OPENAI | {"x-standin-fault": "fat:3000000"})
    assert len(body) == 3_000_000
    assert json.loads(body)["choices"][0]["message"]["content"] == "one two three four"


def test_gzip_says_the_same(talker):
    zipped = OPENAI | {"x-standin-fault": "gzip"}
    for body in (CHAT, STREAM):
        _, headers, answer = talker.ask("/v1/chat/completions", body, zipped)
        assert headers["content-encoding"] == "gzip"
        assert gzip.decompress(answer) == talker.ask("/v1/chat/completions", body)[2]


def test_a_trickled_answer_says_the_same(talker):
    slow = OPENAI | {"x-standin-fault": "trickle:0.0001"}
    for body in (CHAT, STREAM):
        assert (
            talker.ask("/v1/chat/completions", body, slow)[2] == talker.ask("/v1/chat/completions", body)[2]
        )


def test_an_ordered_fault_waits_for_its_path_and_key(talker):
    talker.standin.fault("status:500", path_contains="/messages", key="sk-ant-one", times=2)
    assert talker.ask("/v1/chat/completions", CHAT)[0] == 200
    statuses = [talker.ask("/v1/messages", MESSAGE, ANTHROPIC)[0] for _ in range(3)]
    assert statuses == [500, 500, 200]


@pytest.mark.parametrize("text", ["", "nothing", "cut:a", "status:1:2:3"])
def test_an_unknown_fault_is_refused(talker, text):
    with pytest.raises(ValueError):
        parse_fault(text)
    assert talker.ask("/v1/chat/completions", CHAT, OPENAI | {"x-standin-fault": text})[0] == 400


def test_every_mode_has_a_name_that_parses():
    assert {parse_fault(mode).mode for mode in MODES} == set(MODES)


def test_control_over_http_does_what_the_methods_do(talker):
    assert talker.json("/__standin__/health")["ok"] is True
    assert talker.json("/__standin__/keys", {"provider": "openai", "revoke": ["sk-openai-one"]}) == {
        "ok": True
    }
    assert talker.ask("/v1/models")[0] == 401
    talker.json("/__standin__/keys", {"provider": "openai", "accept": ["sk-openai-one"]})
    talker.json("/__standin__/fault", {"fault": "status:418", "times": 1})
    assert talker.ask("/v1/models")[0] == 418
    statuses = [record["status"] for record in talker.json("/__standin__/received")]
    assert statuses == [401, 418]
    talker.json("/__standin__/reset", {})
    assert talker.json("/__standin__/received") == []
    assert talker.ask("/__standin__/nothing", {})[0] == 400


def test_control_is_no_part_of_a_stand_in_that_did_not_ask_for_it():
    async def ask():
        async with Listener(StandIn()) as upstream:
            reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
            writer.write(b"GET /__standin__/received HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
            return answer

    assert asyncio.run(ask()).startswith(b"HTTP/1.1 401")


def test_a_caller_who_hangs_up_is_noticed(talker):
    async def hang_up():
        standin = StandIn()
        standin.fault("endless:0.001")
        async with Listener(standin) as upstream:
            reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
            body = json.dumps(STREAM).encode()
            head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n"
            writer.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
            await reader.readuntil(b"\n\n")
            writer.transport.abort()
            async with asyncio.timeout(10):
                while standin.traffic.open:  # noqa: ASYNC110 (the stand-in shows a count, not an event)
                    await asyncio.sleep(0)
            return standin.received[0]

    record = asyncio.run(hang_up())
    assert (record.finished, record.abandoned) == (False, True)


def test_each_event_arrives_by_itself():
    async def arrivals():
        standin = StandIn()
        standin.fault("hang:3:30")
        async with Listener(standin) as upstream:
            reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
            body = json.dumps(STREAM).encode()
            head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n"
            writer.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
            await reader.readuntil(b"\r\n\r\n")
            async with asyncio.timeout(10):
                events = [await reader.readuntil(b"\n\n") for _ in range(3)]
            writer.close()
            return events

    assert len(asyncio.run(arrivals())) == 3
