"""Caller tokens, endpoints, calls, costs and the audit trail."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from cli.console_stub import Stub, Tokenone
from tokenone.cli.moments import now_us


@pytest.fixture
def acme(signed_in: Tokenone) -> Tokenone:
    for path in ("acme", "acme/web", "acme/web/ingest", "acme/web/batch"):
        assert signed_in("scope", "add", path).code == 0
    return signed_in


def test_a_tokens_text_is_alone_on_stdout(acme: Tokenone, console: Stub) -> None:
    ended = acme("token", "add", "acme/web/ingest")
    (token,) = console.rows["tokens"].values()
    assert ended.out == f"to_live_{token['id']}\n"
    assert f"to_live_{token['id']}" not in ended.err


def test_a_token_takes_expiry_addresses_and_grants(acme: Tokenone, console: Stub) -> None:
    acme(
        "token", "add", "acme/web/ingest", "--expires", "2d", "--address", "10.0.0.0/8", "--stateful", "--dev"
    )
    (token,) = console.rows["tokens"].values()
    assert 0 < token["expires_us"] - now_us() <= 2 * 86_400_000_000
    assert token["addresses"] == ["10.0.0.0/8"]
    assert token["grants"] == ["inference", "stateful"]
    assert token["mode"] == "dev"


def test_a_token_belongs_to_a_workload_and_to_nothing_else(acme: Tokenone) -> None:
    assert acme("token", "add", "acme/web").code == 2


def test_a_text_that_got_lost_is_not_hidden(acme: Tokenone, console: Stub) -> None:
    console.lose_text = True
    ended = acme("token", "add", "acme/web/ingest")
    assert (ended.code, ended.out) == (5, "")
    assert "rotate" in ended.err


def test_tokens_are_listed_by_any_scope(acme: Tokenone) -> None:
    acme("token", "add", "acme/web/ingest")
    acme("token", "add", "acme/web/batch")
    assert len(acme("token", "list", "--json").json) == 2
    assert len(acme("token", "list", "acme", "--json").json) == 2
    assert len(acme("token", "list", "acme/web", "--json").json) == 2
    assert len(acme("token", "list", "acme/web/batch", "--json").json) == 1


def test_rotating_prints_the_successors_text(acme: Tokenone, console: Stub) -> None:
    acme("token", "add", "acme/web/ingest")
    (old,) = console.rows["tokens"]
    ended = acme("token", "rotate", old, "--grace", "1h")
    assert console.seen[-1][3] == {"grace_us": 3_600_000_000}
    assert ended.out.startswith("to_live_")
    assert old not in ended.out


def test_revoking_is_shown_in_the_list(acme: Tokenone, console: Stub) -> None:
    acme("token", "add", "acme/web/ingest")
    (token,) = console.rows["tokens"]
    assert acme("token", "revoke", token).code == 0
    assert "\trevoked\t" in acme("token", "list").out


def test_presets_are_those_of_nobody(acme: Tokenone) -> None:
    acme(
        "endpoint", "add", "lab", "--provider", "custom", "--origin", "https://l.example", "--tenant", "acme"
    )
    assert [row["name"] for row in acme("endpoint", "presets", "--json").json] == ["openai"]
    assert {row["name"] for row in acme("endpoint", "list", "--json").json} == {"openai", "lab"}
    by_name = acme("endpoint", "show", "lab", "--json").json
    assert by_name == acme("endpoint", "show", by_name["id"], "--json").json
    assert acme("endpoint", "show", "nothing-like-it").code == 4


def test_an_endpoints_ca_comes_from_a_file(acme: Tokenone, console: Stub, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("PEM")
    added = acme(
        "endpoint", "add", "lab", "--provider", "custom", "--origin", "https://l.example",
        "--endpoint-ca", str(tmp_path / "ca.pem"), "--model", "llama",
    )  # fmt: skip
    row = console.rows["endpoints"][added.out.strip()]
    assert (row["ca_pem"], row["models"]) == ("PEM", ["llama"])


CALL = {
    "id": "call0_1",
    "at_us": 1_790_000_000_000_000,
    "provider": "openai",
    "model": "gpt-4o-mini",
    "key": "key_1",
    "ver": 2,
    "attempts": 1,
    "outcome": "ok",
    "status": 200,
    "cost_nano": 1_234_500,
    "fee_nano": None,
}


def test_calls_show_money_exactly_and_what_is_absent_as_nothing(acme: Tokenone, console: Stub) -> None:
    console.listed["calls"] = [CALL]
    heading, line = acme("call", "list").out.splitlines()
    shown = dict(zip(heading.split("\t"), line.split("\t"), strict=True))
    assert shown["cost"] == "$0.001234500"
    assert shown["fee"] == ""
    assert shown["key"] == "key_1 v2"
    assert shown["at"] == "2026-09-21 14:13:20Z"


def test_the_limit_holds_over_pages_and_zero_means_all(acme: Tokenone, console: Stub) -> None:
    console.listed["calls"] = [{**CALL, "id": f"call{number}"} for number in range(9)]
    assert len(acme("call", "list", "--limit", "3", "--json").json) == 3
    assert len(acme("call", "list", "--limit", "0", "--json").json) == 9


def test_calls_are_filtered_by_scope_and_time(acme: Tokenone, console: Stub) -> None:
    console.listed["calls"] = []
    acme("call", "list", "--scope", "acme/web", "--since", "2026-11-01", "--outcome", "refused")
    asked = console.seen[-1][1]
    assert "project=prj_" in asked
    assert "from_us=1793491200000000" in asked
    assert "outcome=refused" in asked


def test_one_call_shows_its_attempts(acme: Tokenone, console: Stub) -> None:
    attempt = {"attempt": 1, "key": "key_1", "ver": 2, "origin": "https://api.openai.com", "status": 200}
    console.listed["calls"] = [{**CALL, "attempts": [attempt]}]
    ended = acme("call", "show", "call0_1")
    assert "https://api.openai.com" in ended.out
    assert acme("call", "show", "call0_1", "--json").json["attempts"] == [attempt]
    assert acme("call", "show", "nope").code == 4


COSTS = [
    {"tenant": "ten_1", "model": "=cmd()", "calls": 3, "unpriced": 1, "cost_nano": 5_000_000, "fee_nano": 7}
]


def test_a_cost_report_is_grouped_and_counts_what_has_no_price(acme: Tokenone, console: Stub) -> None:
    console.listed["costs"] = COSTS
    heading, line = acme("cost", "report", "--by", "tenant,model").out.splitlines()
    shown = dict(zip(heading.split("\t"), line.split("\t"), strict=True))
    assert (shown["cost"], shown["fee"], shown["unpriced"]) == ("$0.005000", "$0.000000007", "1")
    assert any("group_by=tenant%2Cmodel" in target for _, target, *_ in console.seen)


def test_a_cost_report_shows_people_names_and_programs_ids(acme: Tokenone, console: Stub) -> None:
    owner = acme("scope", "show", "acme", "--json").json
    console.listed["costs"] = [COSTS[0] | {"tenant": owner["id"]}, COSTS[0]]
    _, named, unnamed = acme("cost", "report").out.splitlines()
    assert (named.split("\t")[0], unnamed.split("\t")[0]) == ("acme", "ten_1")
    assert acme("cost", "report", "--json").json[0]["tenant"] == owner["id"]


def test_costs_export_as_csv_that_no_spreadsheet_runs(acme: Tokenone, console: Stub) -> None:
    console.listed["costs"] = COSTS
    rows = list(csv.DictReader(io.StringIO(acme("cost", "export", "--by", "tenant,model").out)))
    assert rows[0]["cost_nano"] == "5000000"
    assert rows[0]["model"] == "'=cmd()"
    assert rows[0]["input"] == ""


def test_the_audit_trail_exports_whole_as_json_lines(acme: Tokenone, console: Stub) -> None:
    events = [{"id": f"evt_{n}", "at_us": n, "action": "key.take-in", "outcome": "ok"} for n in range(5)]
    console.listed["audit"] = events
    lines = acme("audit", "export").out.splitlines()
    assert [json.loads(line) for line in lines] == events
    assert len(acme("audit", "export", "--format", "csv").out.splitlines()) == 6


def test_the_audit_trail_is_filtered(acme: Tokenone, console: Stub) -> None:
    console.listed["audit"] = []
    acme("audit", "list", "--action", "key.suspend", "--outcome", "refused", "--until", "1h")
    asked = console.seen[-1][1]
    assert "action=key.suspend" in asked
    assert "outcome=refused" in asked
    assert "to_us=" in asked


def test_the_status_is_shown(acme: Tokenone) -> None:
    assert acme("status", "--json").json["version"] == "0.1.0"


@pytest.mark.parametrize("when", ["yesterday", "2026-13-01", "5x", ""])
def test_a_time_that_is_none_ends_with_2(acme: Tokenone, when: str) -> None:
    assert acme("call", "list", "--since", when).code == 2
