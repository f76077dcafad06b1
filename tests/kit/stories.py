"""Every error branch of the gateway as a story: each provokes one kind of trouble and says what must come of it."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import msgspec
import pytest

from kit.echoes import ECHOES, SPELLINGS, failing_stream
from kit.fronts import ANTHROPIC, FRONTS, OPENAI
from kit.mishaps import rows
from kit.raw import RawCaller, post
from kit.scripted import answer, presented
from kit.until import until
from kit.walk import Walk
from tokenone.call.probe import probe
from tokenone.errors import TokenOneError

BLOCKED = "the stand-in must not say AKIAIOSFODNN7EXAMPLQ ghp_" + "a1B2" * 9


def everything_that_goes_wrong(walk: Walk) -> None:
    def provoke(pair: tuple[Any, str]) -> None:
        row, front = pair
        for _ in range(row.times):
            got = walk.http.send(
                row.request(walk.house.gateway, FRONTS[front], walk.grounds.places[row.place])
            )
            walk.watch.saw_answer(row.name, got)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(provoke, rows()))


def success(walk: Walk) -> None:
    for front in FRONTS.values():
        for stream in (False, True):
            got = walk.ask(
                walk.grounds.places["good"], front, stream=stream, text="echo the recorder sees this"
            )
            assert got.status_code == 200
    assert walk.get("/tokenone/whoami", walk.grounds.places["bare"]).json()["providers"] == []
    assert walk.get("/livez").status_code == 200
    walk.house.aggregates.count("anything", "not an address", walk.house.house.clock.now_us())


def echoes(walk: Walk) -> None:
    places = [walk.route(walk.scripted.origin, f"echo {front}") for front in FRONTS]
    for echo in ECHOES:
        walk.scripted.script = lambda request, echo=echo: echo.bytes_for(presented(request))
        for place, front in zip(places, FRONTS.values(), strict=True):
            assert walk.ask(place, front).status_code == echo.status, echo.name


def echoes_in_streams(walk: Walk) -> None:
    """An error event that gives the key away, for a caller who is told, and in an encoding that goes back as is."""
    place = walk.route(
        walk.scripted.origin, "echo in streams", detect={"request": "flag", "response": "flag"}
    )
    for name, front in FRONTS.items():
        for spell in SPELLINGS.values():
            make = failing_stream(name, spell)
            walk.scripted.script = lambda request, make=make: make(presented(request))
            got = walk.ask(place, front, stream=True)
            assert "was withdrawn" in got.text
            assert "[removed]" in got.text
    make = failing_stream("anthropic", SPELLINGS["plain"], zipped=True)
    walk.scripted.script = lambda request: make(presented(request))
    with pytest.raises(httpx2.RemoteProtocolError):
        walk.ask(place, ANTHROPIC, stream=True)


def stale_directory(walk: Walk) -> None:
    place = walk.route(walk.grounds.outside.plain, "stale", staleness_us=0)
    assert walk.code(walk.ask(place)) == "directory_stale"


def own_pages(walk: Walk) -> None:
    place = walk.grounds.places["good"]
    assert walk.code(walk.get("/v1/models/nobody-has-this", place)) == "model_not_found"
    assert walk.code(walk.get("/tokenone/calls/call0_nothing", place)) == "not_found"
    assert walk.code(walk.get("/v1/models", place, method="POST")) == "method_not_allowed"
    assert walk.code(walk.get("/tokenone/whoami")) == "invalid_token"
    walk.house.unready = "ledger_unavailable"
    assert walk.get("/readyz").status_code == walk.get("/v1/openai-proxy/health").status_code == 503
    walk.house.unready = None


def unified_front_without_an_endpoint(walk: Walk) -> None:
    place = walk.grounds.places["good"]
    walk.house.endpoint("openai", walk.grounds.outside.plain, tenant=place.tenant, models=["special-model"])
    got = walk.ask(place, path="/v1/chat/completions", model="special-model")
    assert walk.code(got) == "no_key_in_scope"


def ambiguous_and_hidden_bodies(walk: Walk) -> None:
    place = walk.grounds.places["good"]
    twice = [*OPENAI.headers(place.token).items(), ("content-type", "multipart/form-data; boundary=x")]
    got = walk.http.post(walk.house.gateway + OPENAI.chat, headers=twice, content=OPENAI.body())
    assert walk.code(walk.watch.saw_answer("two types", got)) == "malformed_body"
    strict = walk.grounds.places["strict"]
    hidden = OPENAI.headers(strict.token) | {"content-encoding": "zstd"}
    got = walk.http.post(walk.house.gateway + OPENAI.chat, headers=hidden, content=OPENAI.body())
    assert walk.code(walk.watch.saw_answer("hidden", got)) == "content_blocked"


def blocked_replies(walk: Walk) -> None:
    """What a tenant that blocks must not get: found, too long to look at, unreadable, damaged."""
    place = walk.route(walk.scripted.origin, "blocks", detect={"request": "allow", "response": "block"})
    said = json.dumps({"choices": [{"message": {"content": BLOCKED}}]}).encode()
    event = b"data: " + json.dumps({"choices": [{"delta": {"content": BLOCKED}}]}).encode() + b"\n\n"
    harmless = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n' * 50
    stream = b"text/event-stream"
    gzipped, brotli = b"content-encoding: gzip", b"content-encoding: br"
    cases: list[tuple[bytes, bool, str]] = [
        (answer(said), False, "content_blocked"),
        (answer(b'"' + b"a" * (17 << 20) + b'"'), False, "content_blocked"),
        (answer(said, brotli), False, "content_blocked"),
        (answer(event, kind=stream), True, "content_blocked"),
        (answer(event, brotli, kind=stream), True, "content_blocked"),
        (answer(gzip.compress(harmless)[:-12], gzipped, kind=stream), True, "upstream_broken"),
        (answer(_damaged(harmless), gzipped, kind=stream), True, "upstream_broken"),
        (answer(event[:-2], kind=stream), True, "content_blocked"),
    ]
    for reply, streamed, code in cases:
        walk.scripted.script = lambda _, reply=reply: reply
        got = walk.ask(place, stream=streamed)
        assert code in (walk.code(got) or got.text), (reply[:200], got.text[:300])


def _damaged(body: bytes) -> bytes:
    zipper = zlib.compressobj(wbits=31)
    whole = zipper.compress(body) + zipper.flush(zlib.Z_SYNC_FLUSH)
    return whole + b"\xff" * 40


def defects(walk: Walk) -> None:
    """A detector that fails on a request, on a reply, in a stream."""
    place = walk.grounds.places["good"]
    assert walk.ask(place, text="defect").status_code == 500
    requests_pass = walk.route(
        walk.scripted.origin, "defects", detect={"request": "allow", "response": "flag"}
    )
    walk.scripted.script = lambda _: answer(b'{"choices":[{"message":{"content":"defect"}}]}')
    assert walk.ask(requests_pass).status_code == 500
    chunk = b'data: {"choices":[{"delta":{"content":"defect"}}]}\n\n'
    walk.scripted.script = lambda _: answer(chunk, kind=b"text/event-stream")
    assert "internal" in walk.ask(requests_pass, stream=True).text


def odd_figures(walk: Walk) -> None:
    rates = [{"provider": "openai", "model": "*", "input": 2**53 - 1, "output": 2**53 - 1}]
    place = walk.route(walk.scripted.origin, "dear", rates=rates)
    usage = {"prompt_tokens": 10**9, "completion_tokens": 10**9}
    body = json.dumps({"model": OPENAI.model, "choices": [], "usage": usage}).encode()
    walk.scripted.script = lambda _: answer(body)
    got = walk.ask(place)
    assert (got.status_code, got.content) == (200, body)
    assert "cost" not in walk.logbook.closed(got.headers["x-tokenone-call"])[-1][1]


def second_tries(walk: Walk) -> None:
    """A first key whose endpoint is down or that is dead; and a second one that is taken away meanwhile."""
    house, world = walk.house, walk.grounds.outside
    place = walk.route(world.plain, "second")
    down = house.endpoint("openai", world.nowhere, tenant=place.tenant, base_path="/openai")
    first = house.key(place.tenant, "openai", down, walk.keys["openai"])
    house.assign(first, "workload", place.workload, priority=0)
    second = next(key.id for key in house.house.directory.keys_for(place.tenant) if key.id != first)
    for assignment in list(house.house.directory._shelf.assigned["workload"].of(place.workload)):
        if assignment.key != first:
            house.apply(msgspec.structs.replace(assignment, priority=1))
    assert walk.ask(place).headers["x-tokenone-attempts"] == "2"

    slow = house.endpoint("openai", world.silent, tenant=place.tenant, base_path="/openai")
    moved = house.key(place.tenant, "openai", slow, walk.keys["openai"])
    house.assign(moved, "workload", place.workload, priority=0)
    house.api("POST", f"/keys/{first}/suspend")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(walk.ask, place)
        until(lambda: walk.house.do(lambda: moved in house.house.running._by_key), "the first attempt")
        for key in list(house.house.directory.keys_for(place.tenant)):
            if key.id != moved:
                house.api("POST", f"/keys/{key.id}/suspend")
        assert walk.code(waiting.result()) == "key_not_usable"
    assert second != first


def broken_envelopes(walk: Walk) -> None:
    """A tenant's commitment key and a key's secret that do not open."""
    house = walk.house
    place = walk.route(walk.grounds.outside.plain, "broken")
    (key,) = (key for key in house.house.directory.keys_for(place.tenant) if key.provider.value == "openai")
    (version,) = house.house.directory.versions(key.id)
    house.apply(msgspec.structs.replace(version, envelope=version.envelope[:-1] + b"\0"))
    assert walk.code(walk.ask(place)) == "unopenable"
    tenant = house.house.directory.tenant(place.tenant)
    assert tenant is not None
    house.apply(msgspec.structs.replace(tenant, commitment=tenant.commitment[:-1] + b"\0"))
    got = walk.ask(place, ANTHROPIC)
    assert walk.code(got) == "unopenable"
    kinds = [kind for kind, _ in walk.logbook.closed(got.headers["x-tokenone-call"])]
    assert kinds == ["deny"], "nothing was opened, so the refusal is the entry"


def callers_and_keys_that_go(walk: Walk) -> None:
    """A caller that leaves in a stream, a key that is compromised in one, a task that is ended from outside."""
    place = walk.grounds.places["good"]
    key = walk.grounds.keys["good", "anthropic"]
    running = walk.house.house.running

    def endless() -> RawCaller:
        one = RawCaller(walk.house.gateway)
        one.send(post(ANTHROPIC, place, stream=True, fault="endless:0.005"))
        one.until(b"content_block_delta")
        return one

    leaving = endless()
    leaving.reset()
    until(lambda: walk.house.do(lambda: key not in running._by_key), "the call to end")
    cut = endless()
    walk.house.do(lambda: running.cut(key))
    walk.watch.saw("a stream whose key was compromised", cut.until(b"\r\n0\r\n\r\n"))
    ended = endless()
    walk.house.do(lambda: [call.task.cancel() for call in running._by_key[key] if call.task is not None])
    walk.watch.saw("a stream that was ended", ended.until(b"\r\n0\r\n\r\n"))
    until(lambda: walk.house.do(lambda: key not in running._by_key), "the call to end")


def probes(walk: Walk) -> None:
    place = walk.route(walk.scripted.origin, "probed")
    keys = {key.provider.value: key.id for key in walk.house.house.directory.keys_for(place.tenant)}
    walk.scripted.script = lambda _: answer(b"{}")
    assert tell(walk, keys["openai"])["usable"] is True
    for echo in ECHOES[::4]:
        walk.scripted.script = lambda request, echo=echo: echo.bytes_for(presented(request))
        tell(walk, keys["anthropic"])
    walk.house.api("POST", f"/keys/{keys['openai']}/suspend")
    for key in (keys["openai"], "key_nobody"):
        tell(walk, key)


def tell(walk: Walk, key: str) -> dict[str, Any]:
    """Probes a key as the control socket's operation does."""

    async def asked() -> dict[str, Any]:
        try:
            return await probe(walk.house.house, key)
        except TokenOneError as error:
            return {"code": error.code, "detail": error.detail}

    told: dict[str, Any] = walk.house.run(asked)
    walk.watch.saw("a probe", json.dumps(told))
    return told


def full_disk(walk: Walk) -> None:
    """Nothing can be recorded: calls and refusals alike are 503, and come back with the disk."""
    walk.disk.full = True
    place = walk.grounds.places["good"]
    until(lambda: walk.code(walk.ask(place)) == "ledger_unavailable", "the full disk to be noticed")
    sent = len(walk.grounds.outside.standin.received)
    assert walk.code(walk.ask(walk.grounds.places["bare"])) == "ledger_unavailable"
    assert walk.code(walk.ask(place)) == "ledger_unavailable"
    assert len(walk.grounds.outside.standin.received) == sent
    walk.disk.full = False
    until(lambda: walk.ask(place).status_code == 200, "the disk to be back")


STORIES: tuple[Callable[[Walk], None], ...] = (
    success, everything_that_goes_wrong, echoes, echoes_in_streams, stale_directory, own_pages,
    unified_front_without_an_endpoint, ambiguous_and_hidden_bodies, blocked_replies, defects, odd_figures,
    second_tries, broken_envelopes, callers_and_keys_that_go, probes, full_disk,
)  # fmt: skip
