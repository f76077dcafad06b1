"""Keys by reference in a real installation: resolved by gateways alone, stored nowhere, followed as they change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from kit.canaries import Watch, random_text, tree
from kit.installation import Installation
from kit.scripted import Scripted, answer, presented
from kit.stories_of_keys import reference
from kit.until import until
from tokenone.testing.desk import Refused, Workplace

FIRST, SECOND, VARIABLE = ("sk-proj-" + random_text(44) for _ in range(3))
BODY = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}).encode()


@dataclass
class Referring:
    """An installation whose operator allows a folder and a variable for one origin."""

    installation: Installation
    api: Scripted
    folder: Path
    outside: Path

    def place(self, name: str, *refs: str) -> Workplace:
        """A workload with keys by reference, the first one preferred."""
        desk = self.installation.desk()
        owner = desk.tenant(name)
        place = desk.place(owner, name)
        endpoint = desk.endpoint("openai", self.api.origin, tenant=owner)
        for priority, ref in enumerate(refs):
            key = desk.key(owner, "openai", endpoint, reference(ref))
            desk.assign(key, "workload", place.workload, priority=priority)
        self.installation.until_current()
        return place

    def chat(self, place: Workplace) -> httpx2.Response:
        headers = {"authorization": f"Bearer {place.token}", "content-type": "application/json"}
        url = f"{self.installation.gateway}/openai/v1/chat/completions"
        return self.installation.http.post(url, headers=headers, content=BODY)

    def sent(self) -> str:
        """The key that reached the provider last."""
        return presented(self.api.heard[-1]).decode()


def write(path: Path, secret: str) -> None:
    """Replaces a file as an agent does: whole."""
    fresh = path.with_name("fresh")
    fresh.touch(0o600)
    fresh.write_text(secret + "\n")
    fresh.replace(path)


@pytest.fixture(scope="module")
def referring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Referring]:
    folder = tmp_path_factory.mktemp("referring")
    secrets = folder / "secrets"
    secrets.mkdir(0o700)
    write(secrets / "openai", FIRST)
    write(folder / "elsewhere", FIRST)
    with Scripted(lambda _: answer(b'{"model": "gpt-4o", "choices": []}')) as api:
        rules = [
            {"ref": ref, "tenant": "*", "origins": [api.origin]}
            for ref in (f"file:{secrets}/", "env:TEAM_KEY")
        ]
        told = {"TOKENONE_REFERENCES__ALLOW": json.dumps(rules), "TEAM_KEY": VARIABLE}
        made = Installation(folder / "data", settings=told)
        made.init()
        made.start()
        yield Referring(made, api, secrets, folder / "elsewhere")
        made.stop()
        watch = Watch({"first": FIRST, "second": SECOND, "variable": VARIABLE})
        watch.saw("said", "\n".join(made.lines))
        assert watch.leaks(folder / "data") == [], "what a reference leads to is stored nowhere"


def test_a_variables_value_reaches_the_provider_and_no_childs_environment(referring: Referring) -> None:
    place = referring.place("variable", "env:TEAM_KEY")
    assert referring.chat(place).status_code == 200
    assert referring.sent() == VARIABLE
    assert referring.installation.process is not None
    _, *children = tree(referring.installation.process.pid)
    watch = Watch({"variable": VARIABLE})
    watch.saw_processes(children)
    assert len(children) >= 3
    assert watch.leaks() == []


def test_a_file_is_followed_as_it_changes(referring: Referring) -> None:
    place = referring.place("file", f"file:{referring.folder}/openai")
    assert referring.chat(place).status_code == 200
    assert referring.sent() == FIRST
    write(referring.folder / "openai", SECOND)

    def second_is_sent() -> bool:
        assert referring.chat(place).status_code == 200
        return referring.sent() == SECOND

    until(second_is_sent, "the new content to be sent")


def test_a_reference_that_leads_nowhere_is_the_operators_matter(referring: Referring) -> None:
    place = referring.place("nowhere", f"file:{referring.folder}/absent")
    got = referring.chat(place)
    assert (got.status_code, got.headers["x-tokenone-error"]) == (503, "reference_unresolved")
    assert str(referring.folder) not in got.text, "a caller learns no paths"


def test_another_key_is_tried_where_a_reference_leads_nowhere(referring: Referring) -> None:
    place = referring.place("second", f"file:{referring.folder}/absent", "env:TEAM_KEY")
    got = referring.chat(place)
    assert (got.status_code, got.headers["x-tokenone-attempts"]) == (200, "2")
    assert referring.sent() == VARIABLE


@pytest.mark.parametrize("ref", ["env:HOME", "file:{outside}", "file:/etc/shadow", "vault-kv:secret/openai"])
def test_what_the_operator_does_not_allow_is_not_taken_in(referring: Referring, ref: str) -> None:
    with pytest.raises(Refused) as caught:
        referring.place(f"not allowed {ref}", ref.format(outside=referring.outside))
    assert (caught.value.status, caught.value.code) == (422, "bad_secret")


def test_a_secret_is_not_brought_to_another_origin(referring: Referring) -> None:
    desk = referring.installation.desk()
    owner = desk.tenant("collector")
    elsewhere = desk.endpoint("openai", "http://127.0.0.1:9", tenant=owner)
    with pytest.raises(Refused):
        desk.key(owner, "openai", elsewhere, reference("env:TEAM_KEY"))
