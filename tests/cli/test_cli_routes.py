"""Routes by the command line: set, listed, shown, removed, explained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.console_stub import Stub, Tokenone


@pytest.fixture
def acme(signed_in: Tokenone) -> Tokenone:
    for path in ("acme", "acme/web", "acme/web/ingest"):
        assert signed_in("scope", "add", path).code == 0
    return signed_in


def test_a_route_is_set_from_options(acme: Tokenone, console: Stub) -> None:
    ended = acme(
        "route", "set", "acme/web", "fast", "--to", "openai/gpt-5=70", "--to", "bedrock/us.anthropic.claude:0",
        "--to", "azure/", "--strategy", "weighted", "--attempts", "3", "--sticky", "10m", "--within", "eu",
        "--fall-over", "rate", "--fall-over", "key-dead", "--cross-on-key-dead",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    (row,) = console.rows["routes"].values()
    (project,) = console.rows["projects"].values()
    assert ended.out == row["id"] + "\n"
    assert (row["kind"], row["scope"], row["model"]) == ("project", project["id"], "fast")
    assert row["rules"] == [
        {
            "targets": [
                {"provider": "openai", "model": "gpt-5", "weight": 70},
                {"provider": "bedrock", "model": "us.anthropic.claude:0", "weight": 100},
                {"provider": "azure", "model": None, "weight": 100},
            ],
            "strategy": "weighted", "attempts": 3, "sticky_s": 600, "within": ["eu"],
            "cross_on_key_dead": True, "fall_over": ["rate", "key-dead"],
        }
    ]  # fmt: skip
    assert "fast leads to openai/gpt-5, bedrock/us.anthropic.claude:0, azure/…" in ended.err


def test_a_route_is_set_from_a_file_and_replaced(acme: Tokenone, console: Stub, tmp_path: Path) -> None:
    rules = [{"targets": [{"provider": "openai", "model": "gpt-5"}], "strategy": "priority"}]
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(rules))
    first = acme("route", "set", "acme", "fast", "--rules", str(file), "--json").json
    again = acme("route", "set", "acme", "fast", "--to", "anthropic/claude-5", "--json").json
    assert first["rules"] == rules
    assert again["id"] == first["id"]
    assert len(console.rows["routes"]) == 1


@pytest.mark.parametrize(
    "options",
    [[], ["--to", "gpt-5"], ["--to", "/gpt-5"], ["--rules", "absent.json"], ["--to", "a/b", "--rules", "absent.json"],
     ["--to", "a/b", "--attempts", "6"], ["--to", "a/b", "--sticky", "soon"]],
)  # fmt: skip
def test_what_is_no_route_ends_with_2(acme: Tokenone, options: list[str]) -> None:
    assert acme("route", "set", "acme", "fast", *options).code == 2


def test_routes_are_listed_shown_and_removed(acme: Tokenone, console: Stub) -> None:
    acme("route", "set", "acme", "fast", "--to", "openai/gpt-5")
    acme("route", "set", "acme/web", "fast", "--to", "anthropic/claude-5")
    assert len(acme("route", "list", "--json").json) == 2
    (own,) = acme("route", "list", "acme/web", "--json").json
    assert acme("route", "show", "acme/web", "fast", "--json").json == own
    table = acme("route", "list", "acme").out.splitlines()
    assert table[1].split("\t")[:2] == ["fast", "tenant"]
    assert "openai/gpt-5" in table[1]
    assert acme("route", "remove", "acme/web", "fast").code == 0
    assert acme("route", "show", "acme/web", "fast").code == 4
    assert acme("route", "remove", "acme/web", "slow").code == 4
    assert len(console.rows["routes"]) == 1


def test_an_explanation_shows_every_line_and_why(acme: Tokenone, console: Stub) -> None:
    line = {"order": 1, "provider": "openai", "model": "gpt-5", "key": "key_1", "version": 2, "endpoint": "ep_1",
            "level": "tenant", "priority": 0, "weight": 9, "price_nano": 6_250_000, "first_byte_us": None}  # fmt: skip
    console.explanation = {
        "route": "rte_1", "rule": 1, "strategy": "priority", "attempts": 2, "refusal": None,
        "rules": [{"route": "rte_1", "number": 1, "verdict": "decides"}],
        "lines": [{**line, "why": "in the rule's order"}, {**line, "order": None, "key": None, "why": "no key"}],
    }  # fmt: skip
    ended = acme(
        "route", "explain", "acme/web/ingest", "fast", "--size", "9", "--stream", "--need", "tools", "--session", "s"
    )  # fmt: skip
    assert ended.code == 0
    assert "Rule 1 of rte_1: decides." in ended.err
    rows = [row.split("\t") for row in ended.out.splitlines()]
    assert rows[1][0] == "1"
    assert rows[1][-1] == "in the rule's order"
    assert any(cell.startswith("$0.00625") for cell in rows[1])
    assert (rows[2][0], rows[2][-1]) == ("", "no key")
    (workload,) = console.rows["workloads"].values()
    assert console.seen[-1][3] == {
        "workload": workload["id"], "model": "fast", "mode": "live", "provider": None, "body_bytes": 9,
        "stream": True, "needs": ["tools"], "session": "s",
    }  # fmt: skip
    assert (
        acme("route", "explain", "acme/web/ingest", "fast", "--json").json["lines"]
        == console.explanation["lines"]
    )


def test_a_refusal_is_told_and_is_no_failure_of_the_command(acme: Tokenone, console: Stub) -> None:
    console.explanation = {"rules": [], "lines": [], "refusal": "no catalogue knows the model"}
    ended = acme("route", "explain", "acme/web/ingest", "fast")
    assert ended.code == 0
    assert "The call would be refused: no catalogue knows the model." in ended.err
    assert acme("route", "explain", "acme/web", "fast").code == 2
