"""Provider keys: sealed on this side, never an argument, never shown; assigned, changed, ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.console_stub import Stub, Tokenone
from tokenone.vault.seal import fingerprint

SECRET = "sk-proj-canary-0123456789"


@pytest.fixture
def acme(signed_in: Tokenone) -> Tokenone:
    for path in ("acme", "acme/web", "acme/web/ingest"):
        assert signed_in("scope", "add", path).code == 0
    return signed_in


def add(tokenone: Tokenone, *more: str, **settings: str) -> str:
    """Adds a key with the secret on standard input and returns its id."""
    ended = tokenone(
        "key",
        "add",
        "main",
        "--tenant",
        "acme",
        "--provider",
        "openai",
        *more,
        input=SECRET + "\n",
        **settings,
    )
    assert ended.code == 0, ended.err
    return ended.out.strip()


def test_a_key_is_sealed_here_and_opens_at_the_gateway_alone(acme: Tokenone, console: Stub) -> None:
    key = add(acme)
    assert console.secrets == {key: SECRET.encode()}
    assert SECRET not in json.dumps([(path, headers, body) for _, path, headers, body in console.seen])


def test_neither_output_has_the_secret(acme: Tokenone) -> None:
    ended = acme("key", "add", "main", "--tenant", "acme", "--provider", "openai", input=SECRET)
    assert SECRET not in ended.out + ended.err
    assert "sk-…wxyz" in ended.err


def test_where_it_is_sealed_to_is_shown_first(acme: Tokenone, console: Stub) -> None:
    ended = acme("key", "add", "main", "--tenant", "acme", "--provider", "openai", input=SECRET)
    assert "https://api.openai.com" in ended.err
    assert fingerprint(console.public) in ended.err


def test_the_secret_can_come_from_a_file(acme: Tokenone, console: Stub, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    key = add(acme, "--secret-file", str(tmp_path / "secret"))
    assert console.secrets[key] == SECRET.encode()


@pytest.mark.parametrize("option", ["--secret", "--key", "--value"])
def test_there_is_no_option_that_takes_the_secret(acme: Tokenone, option: str) -> None:
    ended = acme("key", "add", "main", "--tenant", "acme", "--provider", "openai", option, SECRET)
    assert ended.code == 2


@pytest.mark.parametrize("given", ["", "\n", "x" * 65_537])
def test_no_secret_or_a_giant_one_ends_with_2(acme: Tokenone, console: Stub, given: str) -> None:
    ended = acme("key", "add", "main", "--tenant", "acme", "--provider", "openai", input=given)
    assert ended.code == 2
    assert not any(path.endswith("/challenges") for _, path, _, _ in console.seen)


def test_the_pinned_sealing_key_is_accepted(acme: Tokenone, console: Stub) -> None:
    assert add(acme, "--pin", fingerprint(console.public)) in console.secrets


@pytest.mark.parametrize("way", ["option", "configuration"])
def test_another_sealing_key_than_the_pinned_one_seals_nothing(
    acme: Tokenone, console: Stub, way: str
) -> None:
    pin = "sha256:" + "0" * 64
    more, settings = (["--pin", pin], {}) if way == "option" else ([], {"pin": pin})
    ended = acme(
        "key", "add", "main", "--tenant", "acme", "--provider", "openai", *more, input=SECRET, **settings
    )
    assert ended.code == 7
    assert "nothing was sealed" in ended.err
    assert console.secrets == {}


def test_a_pin_that_is_none_ends_with_2(acme: Tokenone) -> None:
    ended = acme("key", "add", "m", "--tenant", "acme", "--provider", "openai", "--pin", "abc", input=SECRET)
    assert ended.code == 2


@pytest.mark.parametrize(
    "lie",
    [
        {"endpoint_digest": "0" * 64}, {"tenant": "ten_other"}, {"key": "key_other"}, {"endpoint": "ep_other"},
        {"provider": "anthropic"}, {"purpose": "commitment"}, {"challenge": "other"},
    ],
)  # fmt: skip
def test_a_challenge_for_something_else_seals_nothing(
    acme: Tokenone, console: Stub, lie: dict[str, str]
) -> None:
    console.challenge_lie = lie
    ended = acme("key", "add", "main", "--tenant", "acme", "--provider", "openai", input=SECRET)
    assert ended.code == 7
    assert next(iter(lie)) in ended.err
    assert console.secrets == {}


def test_a_key_is_assigned_as_it_is_added(acme: Tokenone, console: Stub) -> None:
    key = add(acme, "--assign", "acme/web", "--assign", "acme/web/ingest")
    assert [(row["key"], row["kind"]) for row in console.rows["assignments"].values()] == [
        (key, "project"),
        (key, "workload"),
    ]


def test_a_scope_that_does_not_exist_is_found_out_before_anything_is_sealed(
    acme: Tokenone, console: Stub
) -> None:
    ended = acme(
        "key", "add", "k", "--tenant", "acme", "--provider", "openai", "--assign", "acme/x", input=SECRET
    )
    assert ended.code == 4
    assert console.secrets == {}


def test_a_provider_without_a_preset_needs_an_endpoint(acme: Tokenone) -> None:
    ended = acme("key", "add", "k", "--tenant", "acme", "--provider", "custom", input=SECRET)
    assert ended.code == 2
    assert "--endpoint" in ended.err


def test_an_endpoint_of_the_tenant_is_chosen_by_name(acme: Tokenone, console: Stub) -> None:
    acme(
        "endpoint",
        "add",
        "lab",
        "--provider",
        "openai",
        "--origin",
        "https://lab.example",
        "--tenant",
        "acme",
    )
    key = add(acme, "--endpoint", "lab")
    lab = next(row for row in console.rows["endpoints"].values() if row["name"] == "lab")
    assert console.rows["keys"][key]["endpoint"] == lab["id"]


def test_sealing_alone_prints_the_body_for_the_api(acme: Tokenone, console: Stub) -> None:
    ended = acme("key", "seal", "--tenant", "acme", "--provider", "openai", input=SECRET)
    body = ended.json
    assert set(body) == {"key_id", "challenge", "tenant", "provider", "endpoint", "sealed"}
    made = console.take_in({**body, "name": "by hand", "mode": "live", "expires_us": None})
    assert console.secrets[made["id"]] == SECRET.encode()


def test_the_sealing_key_is_shown_for_pinning(acme: Tokenone, console: Stub) -> None:
    assert acme("key", "sealing-key", "--json").json["fingerprint"] == fingerprint(console.public)


def test_listing_shows_the_mask_and_no_more(acme: Tokenone) -> None:
    add(acme)
    lines = acme("key", "list", "--tenant", "acme").out.splitlines()
    assert lines[0].split("\t")[0] == "name"
    assert "sk-…wxyz" in lines[1]


def test_a_key_is_found_by_name_or_id_and_shows_its_assignments(acme: Tokenone) -> None:
    key = add(acme, "--assign", "acme")
    by_name, by_id = acme("key", "show", "main", "--json").json, acme("key", "show", key, "--json").json
    assert by_name == by_id
    assert by_name["assignments"][0]["kind"] == "tenant"


def test_assigning_again_changes_weight_and_priority(acme: Tokenone, console: Stub) -> None:
    add(acme)
    assert acme("key", "assign", "main", "acme/web").code == 0
    assert acme("key", "assign", "main", "acme/web", "--weight", "10", "--priority", "1").code == 0
    (assignment,) = console.rows["assignments"].values()
    assert (assignment["weight"], assignment["priority"]) == (10, 1)


def test_unassigning_removes_and_says_when_there_was_nothing(acme: Tokenone, console: Stub) -> None:
    add(acme, "--assign", "acme/web")
    assert acme("key", "unassign", "main", "acme/web").code == 0
    assert console.rows["assignments"] == {}
    assert acme("key", "unassign", "main", "acme/web").code == 4


@pytest.mark.parametrize(
    ("verb", "state"), [("suspend", "suspended"), ("compromise", "compromised"), ("destroy", "destroyed")]
)
def test_a_state_is_changed_with_its_reason(acme: Tokenone, console: Stub, verb: str, state: str) -> None:
    key = add(acme)
    yes = () if verb == "suspend" else ("--yes",)
    assert acme("key", verb, "main", "--reason", "drill", *yes).code == 0
    assert console.rows["keys"][key]["state"] == state
    assert console.seen[-1][3] == {"reason": "drill"}


def test_a_suspended_key_is_resumed(acme: Tokenone, console: Stub) -> None:
    key = add(acme)
    acme("key", "suspend", "main")
    assert acme("key", "resume", "main").code == 0
    assert console.rows["keys"][key]["state"] == "active"


@pytest.mark.parametrize("verb", ["compromise", "destroy"])
def test_what_is_final_asks_first(acme: Tokenone, console: Stub, verb: str) -> None:
    key = add(acme)
    for nobody_agrees in ("n\n", ""):
        ended = acme("key", verb, "main", input=nobody_agrees)
        assert ended.code == 2
        assert "--yes" in ended.err
    assert console.rows["keys"][key]["state"] == "active"


def test_a_name_means_the_key_that_still_lives(acme: Tokenone, console: Stub) -> None:
    old, new = add(acme), add(acme)
    ended = acme("key", "show", "main")
    assert ended.code == 5
    assert "shows the ids" in ended.err
    assert acme("key", "destroy", old, "--yes").code == 0
    assert acme("key", "show", "main", "--json").json["id"] == new


def test_a_key_is_shown_field_by_field_without_json(acme: Tokenone) -> None:
    add(acme)
    shown = dict(line.split("\t") for line in acme("key", "show", "main").out.splitlines())
    assert shown["versions.1.masked"] == "sk-…wxyz"
    assert shown["expires"] == ""
    assert not any("{" in value or name.endswith("_us") for name, value in shown.items())


def test_a_key_that_the_provider_refuses_ends_with_1(acme: Tokenone, console: Stub) -> None:
    add(acme)
    assert acme("key", "test", "main").code == 0
    console.usable = False
    assert acme("key", "test", "main", "--json").code == 1
