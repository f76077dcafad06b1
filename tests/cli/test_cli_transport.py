"""Reaching the console: where plain http is refused, what a bad answer is called, what is sent twice."""

from __future__ import annotations

import json
import socket

import pytest

from cli.console_stub import ProblemError, Stub, Tokenone


def test_plain_http_to_another_machine_is_refused(tokenone: Tokenone) -> None:
    ended = tokenone("--url", "http://192.0.2.1:8485", "login", "olga", input="secret")
    assert ended.code == 1
    assert "https" in ended.err


@pytest.mark.parametrize("url", ["", "ftp://localhost", "https://", "localhost:8485"])
def test_a_url_that_is_none_is_refused(tokenone: Tokenone, url: str) -> None:
    ended = tokenone("login", "olga", input="secret", url=url)
    assert ended.code == 1
    assert "https://host" in ended.err


def test_a_console_that_is_not_there_is_told_in_one_sentence(tokenone: Tokenone) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    ended = tokenone("login", "olga", input="secret", url=f"http://127.0.0.1:{port}")
    assert ended.code == 1
    assert "tokenone serve" in ended.err
    assert "Traceback" not in ended.err


def test_a_missing_ca_file_is_named_before_anything_is_sent(tokenone: Tokenone) -> None:
    ended = tokenone("--url", "https://127.0.0.1:1", "--ca-file", "/nowhere.pem", "login", "x", input="s")
    assert ended.code == 1
    assert "CA file" in ended.err


@pytest.mark.parametrize("raw", [b"<html>", b"[]", b"", b"null", b"{}"])
def test_an_answer_that_is_no_console_is_no_crash(tokenone: Tokenone, console: Stub, raw: bytes) -> None:
    console.raw = raw
    ended = tokenone("login", "olga", input="correct horse")
    assert ended.code == 1
    assert "does not answer like a console" in ended.err


def test_a_connection_closed_between_two_requests_is_dialed_again(signed_in: Tokenone, console: Stub) -> None:
    console.new("tenants", name="acme")
    console.close_after_answer = True
    assert signed_in("scope", "list").code == 0


def test_every_post_has_an_idempotency_key_of_its_own(signed_in: Tokenone, console: Stub) -> None:
    assert signed_in("scope", "add", "acme").code == 0
    assert signed_in("scope", "add", "beta").code == 0
    posts = [
        headers for method, path, headers, _ in console.seen if method == "POST" and "session" not in path
    ]
    keys = {headers["idempotency-key"] for headers in posts}
    assert len(posts) == len(keys) == 2


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 2), (401, 3), (403, 3), (404, 4), (409, 5), (412, 5), (422, 2), (429, 6), (503, 1)],
)
def test_a_problems_status_decides_the_exit_code(
    signed_in: Tokenone, console: Stub, status: int, code: int
) -> None:
    console.next_problem = ProblemError(status, "some_code", "what went wrong")
    if status == 401:
        console.refresh.clear()
    assert signed_in("whoami").code == code


def test_a_problem_is_one_sentence_with_advice_and_the_requests_id(
    signed_in: Tokenone, console: Stub
) -> None:
    console.next_problem = ProblemError(409, "conflict", "that name is taken")
    ended = signed_in("whoami")
    assert ended.err.strip() == "tokenone: that name is taken. Do this. [req_stub]"


def test_a_problem_names_the_fields_that_are_wrong(signed_in: Tokenone, console: Stub) -> None:
    errors = [{"at": "body.origins", "problem": "missing"}]
    console.next_problem = ProblemError(422, "invalid_request", "no", errors=errors)
    assert "origins: missing" in signed_in("whoami").err


def test_with_json_a_problem_is_json_on_stderr(signed_in: Tokenone, console: Stub) -> None:
    console.next_problem = ProblemError(404, "not_found", "no such tenant")
    ended = signed_in("whoami", "--json")
    assert (ended.code, ended.out) == (4, "")
    assert json.loads(ended.err) == {
        "code": "not_found",
        "status": 404,
        "detail": "no such tenant",
        "advice": "Do this.",
        "request_id": "req_stub",
    }


def test_control_characters_of_the_console_never_reach_the_terminal(
    signed_in: Tokenone, console: Stub
) -> None:
    console.new("tenants", name="evil\x1b[31m\nname")
    ended = signed_in("scope", "list")
    assert "\x1b" not in ended.out
    assert len(ended.out.splitlines()) == 2
