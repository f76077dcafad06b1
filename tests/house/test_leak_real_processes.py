"""Canary secrets go through the real processes, every error and every crash, and are nowhere afterwards.

The canaries: a provider key of each front, one that came in as plain text, caller tokens, the owner's
password. Looked through in a dozen encodings: what supervisor, workers, console and jobs say with every
logger at its lowest level, every file of the data directory, command lines and environments, every answer of
gateway, console, control socket and CLI, and the metrics.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from kit.canaries import Watch, of_token, provider_keys, random_text, tree
from kit.echoes import ECHOES, SPELLINGS, failing_stream
from kit.egress import HOOK
from kit.fronts import FRONTS, OPENAI, caller
from kit.grounds import Grounds, lay_out, outside
from kit.houses import IMPATIENT, caught_up, copy_of, gateway_pid
from kit.installation import PASSWORD, Installation
from kit.logbook import Logbook
from kit.mishaps import MISHAPS, rows
from kit.raw import post, raw_caller
from kit.scripted import Scripted, answer, presented
from kit.until import until
from tokenone.testing.desk import Workplace
from tokenone.testing.leak import encodings

VERBOSE = Path(__file__).parents[1] / "kit" / "verbose_hook"
SLOW = ("no first byte", "silence after the head", "silence in a stream", "connecting takes too long")


@dataclass
class Scene:
    """A running installation, what is watched, and where the canary keys may be used."""

    installation: Installation
    watch: Watch
    keys: dict[str, str]
    http: httpx2.Client
    grounds: Grounds
    scripted: Scripted
    echo: Workplace
    open_echo: Workplace
    """The same with the scrubbing of refusals switched off: a planted leak."""
    unscrubbed: Watch
    """What came out there."""
    scan_folders: list[Path] = field(default_factory=list)

    def ask(self, place: Workplace, name: str, front: str = "openai", **fields: Any) -> httpx2.Response:
        made = FRONTS[front]
        got = self.http.post(
            self.installation.gateway + made.chat,
            headers=made.headers(place.token),
            content=made.body(**fields),
        )
        return self.watch.saw_answer(f"answer to {name}", got)


def verbose_settings(folder: Path) -> dict[str, str]:
    """Everything speaks, and a person's files lie where they are looked at."""
    return {
        **IMPATIENT,
        "SAY_EVERYTHING": "1",
        "PYTHONASYNCIODEBUG": "1",
        "PYTHONPATH": os.pathsep.join([str(HOOK), str(VERBOSE)]),
        "XDG_CONFIG_HOME": str(folder / "home"),
        "TOKENONE_CONSOLE__ALLOW_PLAINTEXT_INTAKE": "true",
    }


@pytest.fixture(scope="module")
def scene(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The whole story, once; the tests look at what it left."""
    folder = tmp_path_factory.mktemp("scene")
    installation = copy_of(template, folder, **verbose_settings(folder))
    keys = provider_keys()
    watch = Watch({**keys, "password": PASSWORD})
    with outside(folder) as world, Scripted(lambda _: b"") as scripted, caller() as http:
        installation.start()
        try:
            grounds = lay_out(installation.desk(), world, keys)
            echo = route(installation, scripted.origin, keys, "echo")
            off = {"scrub_errors": False}
            open_echo = route(installation, scripted.origin, keys, "open", fidelity=off)
            for place in (grounds.places["good"], grounds.places["revoked"], grounds.places["strict"], echo):
                watch.add(f"token {place.token_id}", of_token(place.token))
            caught_up(installation)
            made = Scene(installation, watch, keys, http, grounds, scripted, echo, open_echo, Watch(keys))
            made.scan_folders = [installation.directory, folder / "home"]
            play(made)
            yield made
        finally:
            installation.stop()


def route(
    installation: Installation, origin: str, keys: dict[str, str], name: str, **fields: Any
) -> Workplace:
    desk = installation.desk()
    tenant = desk.tenant(name, detect={"request": "flag", "response": "flag"})
    place = desk.place(tenant, name)
    for front, secret in keys.items():
        endpoint = desk.endpoint(front, origin, tenant=tenant, base_path=f"/{front}", **fields)
        desk.assign(desk.key(tenant, front, endpoint, secret), "workload", place.workload)
    return place


def play(scene: Scene) -> None:
    """Uses the canaries in every way that goes right or wrong."""
    use(scene)
    mishaps(scene)
    echoes(scene)
    manage(scene)
    talk_to_the_control_socket(scene)
    run_the_command_line(scene)
    read_everything(scene)
    crash(scene)
    scene.installation.stop()
    scene.watch.saw("output of all processes", "\n".join(scene.installation.lines))


def use(scene: Scene) -> None:
    """Success, in every way to present a token."""
    place = scene.grounds.places["good"]
    for front in FRONTS:
        assert scene.ask(place, "success", front).status_code == 200
        assert scene.ask(place, "a stream", front, stream=True).status_code == 200
    url = scene.installation.gateway + OPENAI.chat
    for headers in (
        {"x-api-key": place.token}, {"api-key": place.token}, {"x-goog-api-key": place.token},
        {"authorization": f"Bearer {place.token}", "cookie": f"session={place.token}"},
    ):  # fmt: skip
        got = scene.http.post(url, headers=headers, content=OPENAI.body())
        assert scene.watch.saw_answer("a token elsewhere", got).status_code == 200
    got = scene.http.post(f"{url}?key={place.token}&api-version=1", content=OPENAI.body())
    assert scene.watch.saw_answer("a token in the query", got).status_code == 200


def mishaps(scene: Scene) -> None:
    def provoke(pair: tuple[Any, str]) -> None:
        row, front = pair
        for _ in range(row.times):
            place = scene.grounds.places[row.place]
            got = scene.http.send(row.request(scene.installation.gateway, FRONTS[front], place))
            scene.watch.saw_answer(row.name, got)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(provoke, rows()))


def echoes(scene: Scene) -> None:
    for echo in ECHOES:
        scene.scripted.script = lambda request, echo=echo: echo.bytes_for(presented(request))
        for front in FRONTS:
            got = scene.ask(scene.echo, echo.name, front)
            assert got.status_code == echo.status, echo.name
    scene.scripted.script = lambda request: answer(b"your key is " + presented(request), status=b"400 No")
    place = scene.open_echo
    got = scene.http.post(
        scene.installation.gateway + OPENAI.chat, headers=OPENAI.headers(place.token), content=OPENAI.body()
    )
    scene.unscrubbed.saw_answer("an echo without scrubbing", got)
    for name in FRONTS:
        for spell in SPELLINGS.values():
            make = failing_stream(name, spell)
            scene.scripted.script = lambda request, make=make: make(presented(request))
            assert "was withdrawn" in scene.ask(scene.echo, "an error event", name, stream=True).text
    assert {presented(request).decode() for request in scene.scripted.heard} == set(scene.keys.values())


def manage(scene: Scene) -> None:
    """The management API with secrets where they belong, and where they do not."""
    desk, watch = scene.installation.desk(), scene.watch
    tenant = desk.tenant("plain intake")
    plain = OPENAI.secret_prefix + random_text(44)
    watch.add("plain", plain.encode())
    watch.add(
        "signature of the access token",
        str(desk._client.headers["authorization"]).rpartition(".")[2].encode(),
    )
    body = {"tenant": tenant, "provider": "openai", "endpoint": "ep_openai", "name": "plain", "secret": plain}
    once = {"idempotency-key": "once"}
    for _ in range(2):
        watch.saw_answer("plain intake", desk._client.post("/api/v1/keys", json=body, headers=once))
    wrong: list[tuple[str, str, Any]] = [
        ("POST", "/keys", {**body, "secret": plain + " with words"}),
        ("POST", "/keys", {**body, "secret": [plain]}),
        ("POST", "/keys", {**body, "secret": plain, plain: 1}),
        ("POST", "/keys", {**body, "provider": "anthropic"}),
        ("POST", "/keys", {**body, "provider": plain}),
        ("POST", "/keys", {**body, "tenant": plain}),
        ("POST", "/keys", {**body, "secret": None, "sealed": plain, "challenge": plain, "key_id": plain}),
        ("POST", "/keys", {**body, "secret": None, "sealed": plain, "challenge": plain}),
        ("GET", f"/keys/{plain}", None),
        ("GET", f"/keys?tenant={plain}&cursor={plain}", None),
        ("POST", "/session", {"name": PASSWORD, "password": PASSWORD}),
        ("POST", "/session", {"name": "admin", "password": PASSWORD + "!"}),
        ("POST", "/session", {"name": "admin", "password": [PASSWORD]}),
        ("POST", "/session/refresh", {"refresh_token": PASSWORD}),
    ]
    for method, path, content in wrong:
        got = desk._client.request(method, f"/api/v1{path}", json=content)
        assert got.is_error, (method, path)
        watch.saw_answer(f"{method} {path.partition('?')[0]}", got)
    got = desk._client.post(
        "/api/v1/keys", content=f'{{"secret": "{plain}', headers={"content-type": "application/json"}
    )
    watch.saw_answer("half a body", got)
    probe(scene)


def probe(scene: Scene) -> None:
    """Tests keys while the provider gives them away."""
    desk = scene.installation.desk()
    for echo in ECHOES[::3]:
        scene.scripted.script = lambda request, echo=echo: echo.bytes_for(presented(request))
        keys = desk.api("GET", f"/keys?tenant={scene.echo.tenant}")["items"]
        got = desk._client.post(f"/api/v1/keys/{keys[0]['id']}/test")
        scene.watch.saw_answer(f"probe, {echo.name}", got)


def talk_to_the_control_socket(scene: Scene) -> None:
    key = scene.keys["openai"]
    (path,) = (scene.installation.directory / "run").glob("gateway-*.sock")
    for line in (
        f'{{"op": "{key}"}}', f'{{"op": "key.take-in", "sealed": "{key}"}}', f'{{"op": "key.probe", "key": "{key}"}}',
        f'{{"op": "tenant.new", "tenant": ["{key}"]}}', f'{{"op": "key.take-in", "key": {{"id": "{key}"}}}}',
        f'["{key}"]', f'{{"{key}', key, '{"op": "sealing-key"}', '{"op": "status"}',
    ):  # fmt: skip
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(10)
            control.connect(str(path))
            control.sendall(line.encode() + b"\n")
            control.shutdown(socket.SHUT_WR)
            scene.watch.saw("control socket", b"".join(iter(lambda: control.recv(65_536), b"")))


def run_the_command_line(scene: Scene) -> None:
    key = scene.keys["anthropic"]
    place = ["--tenant", "plain intake", "--secret-file", "-"]
    for stdin, code, arguments in (
        (PASSWORD + "\n", 0, ["login", "admin", "--password-file", "-"]),
        (key, 0, ["key", "add", "by CLI", "--provider", "anthropic", *place]),
        (key, 1, ["key", "add", "wrong", "--provider", "openai", *place]),
        (key + "\nsecond line", 1, ["key", "add", "two", "--provider", "anthropic", "--json", *place]),
        ("", 0, ["key", "list", "--json"]),
    ):
        done = scene.installation.command(*arguments, stdin=stdin)
        assert bool(done.returncode) == bool(code), done.stdout + done.stderr
        scene.watch.saw(f"tokenone {' '.join(arguments)}", done.stdout + done.stderr)


def read_everything(scene: Scene) -> None:
    """Every list of the API, the metrics, the gateway's own pages, and what other processes may see."""
    desk, watch = scene.installation.desk(), scene.watch
    for path in (
        "/keys", "/tokens", "/tenants", "/projects", "/workloads", "/endpoints", "/assignments", "/audit?limit=200",
        "/calls?limit=200", "/costs", "/status", "/me", "/sealing-key", "/openapi.json",
    ):  # fmt: skip
        got = watch.saw_answer(f"GET {path}", desk._client.get(f"/api/v1{path}"))
        assert got.status_code == 200, path
    for path in ("/metrics", "/healthz", "/readyz", "/tokenone/byok"):
        watch.saw_answer(path, desk._client.get(path))
    place = scene.grounds.places["good"]
    authorization = {"authorization": f"Bearer {place.token}"}
    logbook = Logbook(scene.installation.directory / "ledger")
    logbook.refresh()
    calls = {fields["call"] for kind, fields in logbook.entries if fields.get("workload") == place.workload}
    for path in (
        "/livez",
        "/readyz",
        "/tokenone/whoami",
        "/v1/models",
        *(f"/tokenone/calls/{call}" for call in calls),
    ):
        watch.saw_answer(path, scene.http.get(scene.installation.gateway + path, headers=authorization))
    assert scene.installation.process is not None
    watch.saw_processes(tree(scene.installation.process.pid))


def crash(scene: Scene) -> None:
    """Kills a worker in the middle of calls, and the others of the house; then everything serves again."""
    place = scene.grounds.places["good"]
    with raw_caller(scene.installation.gateway) as midway:
        midway.send(post(OPENAI, place, stream=True, fault="endless:0.01"))
        midway.until(b"data: ")
        os.kill(gateway_pid(scene.installation), signal.SIGKILL)
        midway.rest()
    assert scene.installation.process is not None
    for pid in tree(scene.installation.process.pid)[1:]:
        os.kill(pid, signal.SIGABRT)  # a core dump, where the machine makes them; ours are switched off

    def serves() -> bool:
        try:
            return scene.ask(place, "after the crash").status_code == 200
        except httpx2.HTTPError:
            return False

    until(serves, "the house to serve again", 60)


# ── what is left of it ─────────────────────────────────────────────────────────────────────────────────────
def test_the_canaries_were_really_used(scene: Scene) -> None:
    used = {record.key for record in scene.grounds.outside.standin.received}
    assert used >= set(scene.keys.values())
    said = "\n".join(scene.installation.lines)
    assert "sqlalchemy.engine" in said, "the most verbose level"
    assert '"answered"' in said
    assert scene.watch.size > 100_000
    assert len(MISHAPS) > 60


def test_the_canaries_are_nowhere(scene: Scene) -> None:
    assert scene.watch.leaks(*scene.scan_folders) == []


def test_no_provider_saw_a_callers_token(scene: Scene) -> None:
    watch = Watch({})
    for place in scene.grounds.places.values():
        watch.add(place.token_id, of_token(place.token))
    for record in scene.grounds.outside.standin.received:
        request = record.request
        watch.saw("request upstream", f"{request.target}\n{request.headers}".encode() + request.body)
    for request_bytes in scene.scripted.heard:
        watch.saw("request upstream", request_bytes)
    assert watch.leaks() == []


def test_no_core_is_left_and_no_defect_was_met(scene: Scene) -> None:
    left = [
        path.name
        for folder in scene.scan_folders
        for path in folder.rglob("*")
        if path.name.startswith("core")
    ]
    assert left == []
    frames = [
        line
        for line in scene.installation.lines
        if line.lstrip().startswith('File "') and "/tokenone/" in line
    ]
    assert frames == [], "a traceback through our own code"


@pytest.mark.parametrize("encoding", sorted(encodings(b"x" * 24)))
def test_a_planted_leak_is_found_in_output_and_in_files(scene: Scene, tmp_path: Path, encoding: str) -> None:
    written = encodings(scene.keys["openai"].encode())[encoding]
    in_output, in_file = Watch(scene.keys), Watch(scene.keys)
    lines = [*scene.installation.lines[:50], written.decode("latin-1"), *scene.installation.lines[50:60]]
    in_output.saw("output", "\n".join(lines).encode("latin-1"))
    (tmp_path / "0000000001.seg").write_bytes(b"\0" * 999 + written + b"\xff" * 99)
    for found in (in_output.leaks(), in_file.leaks(tmp_path)):
        assert {leak.canary for leak in found} == {"openai"}


def test_a_planted_leak_is_found_in_the_name_of_a_file(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / f"{scene.keys['openai']}.lock").touch()
    assert {leak.canary for leak in Watch(scene.keys).leaks(tmp_path)} == {"openai"}


def test_scrubbing_that_is_switched_off_is_found(scene: Scene) -> None:
    """The same echo from an endpoint without scrubbing: the walk above would fail on it."""
    assert {leak.canary for leak in scene.unscrubbed.leaks()} == {"openai"}
