"""Every verb of the command line against a real console: `--json` is JSON and nothing else, in one long story."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner, Result

from kit.installation import PASSWORD, Installation
from kit.until import until
from tokenone.cli.app import app
from tokenone.cli.desk import Desk
from tokenone.cli.settings import CliSettings
from tokenone.testing.standin import StandIn, ThreadedListener

SECRET = "sk-proj-" + "0a1B2c3D" * 6
REFUSED = "sk-proj-" + "9z8Y7x6W" * 6
QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}


@dataclass(frozen=True)
class Step:
    """One command line; `{names}` stand for what earlier steps kept under `keep`."""

    line: str
    stdin: str = ""
    code: int = 0
    keep: str | None = None
    lines: bool = False
    """Answers with one JSON object a line."""


ADD_KEY = "key add {name} --tenant shop --provider openai --endpoint shop-lab --pin {pin}"
STORY = (
    Step("login admin", PASSWORD),
    Step("whoami"),
    Step("status"),
    Step("scope add shop", keep="tenant"),
    Step("scope add shop/web"),
    Step("scope add shop/web/cart", keep="workload"),
    Step("scope list"),
    Step("scope show shop/web/cart"),
    Step("scope set shop --fee-flat 0.0005 --fee-share 2% --detect-request redact --staleness 5m"),
    Step("scope restrict shop/web --model 'gpt-4o*' --per-minute 600"),
    Step("scope rename shop/web/cart basket"),
    Step("scope close shop/web"),
    Step("scope open shop/web"),
    Step("endpoint add shop-lab --provider openai --origin {origin} --tenant shop --base-path /openai"),
    Step("endpoint list --tenant shop"),
    Step("endpoint presets"),
    Step("endpoint show shop-lab"),
    Step("key sealing-key", keep="sealing"),
    Step("key seal --tenant shop --provider openai --endpoint shop-lab", SECRET),
    Step(ADD_KEY.replace("{name}", "main"), SECRET, keep="key"),
    Step(ADD_KEY.replace("{name}", "spare") + " --assign shop", REFUSED),
    Step("key list --tenant shop"),
    Step("key test main"),
    Step("key test spare", code=1),
    Step("key assign main shop/web --weight 70"),
    Step("key show main"),
    Step("key unassign spare shop"),
    Step("route set shop/web quick --to openai/gpt-4o-mini"),
    Step("route list shop/web"),
    Step("route show shop/web quick"),
    Step("route explain shop/web/basket quick"),
    Step("route remove shop/web quick"),
    Step("token add shop/web/basket --expires 1d", keep="token"),
    Step("token list shop/web"),
    Step("token show {token}"),
    Step("call list --scope shop"),
    Step("call show {call}"),
    Step("cost report --by workload,model --tenant shop"),
    Step("cost export --tenant shop", lines=True),
    Step("audit list --limit 3"),
    Step("audit export --since 1h", lines=True),
    Step("ledger verify"),
    Step("ledger receipt {receipt}"),
    Step("token rotate {token} --grace 1h", keep="successor"),
    Step("token revoke {successor} --reason drill"),
    Step("key suspend main --reason drill"),
    Step("key resume main"),
    Step("key compromise main --yes"),
    Step("key destroy main --yes"),
    Step("logout"),
)


@dataclass
class Told:
    """The story as it was told: each step's end, and what was kept."""

    ends: list[tuple[Step, Result]] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)

    def of(self, start: str) -> Any:
        """Returns the decoded answer of the first step that starts so."""
        return next(json.loads(end.stdout) for step, end in self.ends if step.line.startswith(start))


@dataclass(frozen=True)
class Shell:
    """The command line without the start of a process."""

    installation: Installation
    home: Path

    def run(self, line: str, stdin: str = "") -> Result:
        settings = CliSettings(
            url=self.installation.console,
            data_dir=self.installation.directory,
            session_file=self.home / "session.json",
        )
        return CliRunner().invoke(app, shlex.split(line), input=stdin, obj=Desk(lambda _: settings))


@pytest.fixture(scope="module")
def told(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    shell = Shell(installation, tmp_path_factory.mktemp("home"))
    made = Told()
    standin = StandIn()
    standin.accept("openai", SECRET)
    with ThreadedListener(standin) as upstream:
        made.kept["origin"] = upstream.origin
        for step in STORY:
            end = shell.run(step.line.format(**made.kept) + " --json", step.stdin)
            assert end.exit_code == step.code, (step, end.output)
            made.ends.append((step, end))
            _keep(step, end, made.kept)
            if step.line.startswith("token show"):
                _call(installation, made.kept)
                until(lambda: _shipped(shell, made.kept["call"]), "the call in the index", 20)
        yield made


def _keep(step: Step, end: Result, kept: dict[str, str]) -> None:
    if step.keep is None:
        return
    answer = json.loads(end.stdout)
    if step.keep == "sealing":
        kept["pin"] = answer["fingerprint"]
        return
    kept[step.keep] = answer["id"]
    if "text" in answer:
        kept[f"{step.keep} text"] = answer["text"]


def _call(installation: Installation, kept: dict[str, str]) -> None:
    """Makes the call that the rest of the story tells about."""
    installation.until_current()
    headers = {"authorization": f"Bearer {kept['token text']}"}
    url = f"{installation.gateway}/openai/v1/chat/completions"
    answer: httpx2.Response = installation.http.post(url, headers=headers, json=QUESTION)
    assert answer.status_code == 200, answer.text
    kept["call"] = answer.headers["x-tokenone-call"]
    kept["receipt"] = answer.headers["x-tokenone-receipt"]


def _shipped(shell: Shell, call: str) -> bool:
    end = shell.run(f"call show {call} --json")
    return end.exit_code == 0 and json.loads(end.stdout)["outcome"] == "ok"


def test_the_story_has_every_verb() -> None:
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    here = {"init", "serve", "doctor", "demo", "upgrade"}  # they start something on this machine
    verbs = {
        f"{noun} {verb}".strip()
        for noun, command in root.commands.items()
        if noun not in here
        for verb in (command.commands if isinstance(command, TyperGroup) else [""])
    }
    assert verbs == {
        " ".join(step.line.split()[: 1 if step.line.split()[0] in verbs else 2]) for step in STORY
    }


def test_json_is_all_that_is_said(told: Told) -> None:
    for step, end in told.ends:
        rows = end.stdout.splitlines() if step.lines else [end.stdout]
        assert rows, step.line
        for row in rows:
            json.loads(row)
        assert end.stderr == "", step.line


def test_no_answer_has_a_secret_and_a_tokens_text_is_in_the_one_that_made_it(told: Told) -> None:
    text = told.kept["token text"]
    for step, end in told.ends:
        assert SECRET not in end.output
        assert REFUSED not in end.output
        assert PASSWORD not in end.output
        assert (text in end.output) == (step.keep == "token")


def test_the_answers_tell_what_happened(told: Told) -> None:
    assert told.of("whoami")["name"] == "admin"
    assert told.of("scope set")["fee"] == {"flat_nano": 500_000, "share_ppm": 20_000}
    assert told.of("scope restrict")["restrictions"]["models"] == ["gpt-4o*"]
    assert told.of("scope close")["closed"] is True
    probed = told.of("key test main")
    assert (probed["usable"], probed["status"], probed["class"]) == (True, 200, None)
    assert told.of("key test spare")["class"] == "key-dead"
    (assignment,) = told.of("key show main")["assignments"]
    assert (assignment["kind"], assignment["weight"]) == ("project", 70)
    shown = told.of("call show")
    assert shown["key"] == told.kept["key"]
    assert shown["workload"] == told.kept["workload"]
    assert shown["fee_nano"] >= 500_000
    (report,) = told.of("cost report")
    assert (report["calls"], report["cost_nano"]) == (1, shown["cost_nano"])
    assert told.of("ledger verify")["ok"] is True
    assert told.of("ledger receipt")["slot"] == 0
    assert told.of("token revoke")["revoked_us"] > 0
    states = [told.of(f"key {verb} main")["state"] for verb in ("suspend", "resume", "compromise", "destroy")]
    assert states == ["suspended", "active", "compromised", "destroyed"]


def test_an_export_has_the_whole_trail_and_every_cost(told: Told) -> None:
    ends = {step.line.split(" --")[0]: end for step, end in told.ends if step.lines}
    events = [json.loads(line) for line in ends["audit export"].stdout.splitlines()]
    done = {event["action"] for event in events if event["actor_name"] == "admin"}
    assert {"tenant.create", "endpoint.create", "key.take-in", "key.test", "assignment.create"} <= done
    (cost,) = [json.loads(line) for line in ends["cost export"].stdout.splitlines()]
    assert cost["tenant"] == told.kept["tenant"]
    assert cost["fee_nano"] >= 500_000
