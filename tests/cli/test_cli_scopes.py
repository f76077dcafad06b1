"""Scopes by path: added, found, listed, restricted, closed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.console_stub import Stub, Tokenone


@pytest.fixture
def acme(signed_in: Tokenone) -> Tokenone:
    """A tenant, a project and a workload."""
    for path in ("acme", "acme/web", "acme/web/ingest"):
        assert signed_in("scope", "add", path).code == 0
    return signed_in


def test_adding_prints_the_id_alone_on_stdout(signed_in: Tokenone, console: Stub) -> None:
    ended = signed_in("scope", "add", "acme")
    (tenant,) = console.rows["tenants"].values()
    assert ended.out == tenant["id"] + "\n"
    assert "Added the tenant acme." in ended.err


def test_the_paths_length_decides_the_kind(acme: Tokenone, console: Stub) -> None:
    del acme
    tenant, project, workload = (
        next(iter(console.rows[k].values())) for k in ("tenants", "projects", "workloads")
    )
    assert project["tenant"] == tenant["id"]
    assert workload["project"] == project["id"]


def test_a_parent_that_is_missing_ends_with_4(signed_in: Tokenone) -> None:
    ended = signed_in("scope", "add", "nobody/web")
    assert ended.code == 4
    assert "there is no tenant nobody" in ended.err


@pytest.mark.parametrize("path", ["a/b/c/d", "", "/x", "a//b", "a/"])
def test_a_path_that_is_none_ends_with_2(signed_in: Tokenone, path: str) -> None:
    assert signed_in("scope", "add", path).code == 2


def test_the_list_shows_paths_over_all_pages(acme: Tokenone) -> None:
    for name in ("b", "c", "d", "e"):
        acme("scope", "add", name)
    lines = acme("scope", "list").out.splitlines()
    assert [line.split("\t")[0] for line in lines] == [
        "scope", "acme", "acme/web", "acme/web/ingest", "b", "c", "d", "e",
    ]  # fmt: skip


def test_the_list_below_a_scope_leaves_out_namesakes(acme: Tokenone) -> None:
    acme("scope", "add", "acme2")
    rows = acme("scope", "list", "acme", "--json").json
    assert [row["path"] for row in rows] == ["acme", "acme/web", "acme/web/ingest"]


def test_a_scope_is_found_by_path_and_by_id(acme: Tokenone, console: Stub) -> None:
    (workload,) = console.rows["workloads"].values()
    by_path = acme("scope", "show", "acme/web/ingest", "--json").json
    by_id = acme("scope", "show", workload["id"], "--json").json
    assert by_path == by_id == workload


def test_an_unknown_id_ends_with_4(acme: Tokenone) -> None:
    assert acme("scope", "show", "ten_00000000000000009999").code == 4


def test_two_rows_of_one_name_are_never_guessed(signed_in: Tokenone, console: Stub) -> None:
    console.new("tenants", name="twin")
    console.new("tenants", name="twin")
    ended = signed_in("scope", "show", "twin")
    assert ended.code == 5
    assert "give its id" in ended.err


def test_a_taken_name_ends_with_5(acme: Tokenone) -> None:
    assert acme("scope", "add", "acme").code == 5


def test_closing_and_opening(acme: Tokenone, console: Stub) -> None:
    (project,) = console.rows["projects"].values()
    assert acme("scope", "close", "acme/web").code == 0
    assert project["closed"] is True
    assert "closed" in acme("scope", "list").out
    assert acme("scope", "open", "acme/web").code == 0
    assert project["closed"] is False


def test_renaming_keeps_the_id_and_insists_on_the_revision(acme: Tokenone, console: Stub) -> None:
    (tenant,) = console.rows["tenants"].values()
    assert acme("scope", "rename", "acme", "acme corp").code == 0
    assert tenant["name"] == "acme corp"
    assert console.seen[-1][2]["if-match"] == f'"{tenant["revision"] - 1}"'


def test_a_restriction_that_is_not_named_stays(acme: Tokenone, console: Stub) -> None:
    (project,) = console.rows["projects"].values()
    acme("scope", "restrict", "acme/web", "--model", "gpt-*", "--model", "claude-*", "--per-minute", "60")
    acme("scope", "restrict", "acme/web", "--provider", "openai", "--lift", "per-minute")
    assert project["restrictions"] == {
        "models": ["gpt-*", "claude-*"],
        "providers": ["openai"],
        "requests_per_minute": None,
        "concurrent": None,
    }


def test_lifting_what_is_no_restriction_ends_with_2(acme: Tokenone) -> None:
    assert acme("scope", "restrict", "acme", "--lift", "everything").code == 2


def test_a_tenants_policies_are_set_one_by_one(acme: Tokenone, console: Stub, tmp_path: Path) -> None:
    (tenant,) = console.rows["tenants"].values()
    (tmp_path / "rates.json").write_text(json.dumps([{"provider": "openai", "model": "*", "input": 1}]))
    acme("scope", "set", "acme", "--fee-flat", "0.0005", "--detect-request", "block")
    ended = acme(
        "scope", "set", "acme", "--fee-share", "1.5%", "--staleness", "20m", "--rates", f"{tmp_path}/rates.json",
    )  # fmt: skip
    assert ended.code == 0
    assert tenant["fee"] == {"flat_nano": 500_000, "share_ppm": 15_000}
    assert tenant["detect"] == {"request": "block", "response": "flag"}
    assert tenant["staleness_us"] == 1_200_000_000
    assert tenant["rates"] == [{"provider": "openai", "model": "*", "input": 1}]


@pytest.mark.parametrize(
    "option",
    [
        ("--fee-flat", "-1"), ("--fee-flat", "NaN"), ("--fee-flat", "much"), ("--fee-share", "1.5"),
        ("--fee-share", "0.00001%"), ("--staleness", "ten"), ("--rates", "/nowhere"),
    ],
)  # fmt: skip
def test_a_policy_that_cannot_be_read_ends_with_2(
    acme: Tokenone, console: Stub, option: tuple[str, str]
) -> None:
    before = len(console.seen)
    assert acme("scope", "set", "acme", *option).code == 2
    assert all(method == "GET" for method, *_ in console.seen[before:])


def test_nothing_to_set_ends_with_2(acme: Tokenone) -> None:
    assert acme("scope", "set", "acme").code == 2


def test_policies_belong_to_tenants(acme: Tokenone) -> None:
    assert acme("scope", "set", "acme/web", "--fee-flat", "1").code == 2
