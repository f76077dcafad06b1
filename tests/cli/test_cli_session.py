"""Signing in, staying signed in, and what a session file may look like."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from cli.console_stub import PASSWORD, ProblemError, Stub, Tokenone


def age(session_file: Path) -> None:
    """Makes the kept access token look as if its time were over."""
    kept = json.loads(session_file.read_text())
    for tokens in kept.values():
        tokens["expires_us"] = 1
    session_file.write_text(json.dumps(kept))


def test_the_password_comes_from_standard_input_and_the_session_is_kept(tokenone: Tokenone) -> None:
    ended = tokenone("login", "olga", input=PASSWORD + "\n")
    assert (ended.code, ended.out) == (0, "")
    assert "Signed in" in ended.err
    assert "olga" in tokenone("whoami").out


def test_the_password_can_come_from_a_file(tokenone: Tokenone, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD + "\r\n")
    assert tokenone("login", "olga", "--password-file", str(tmp_path / "password")).code == 0


def test_there_is_no_option_that_takes_a_password(tokenone: Tokenone) -> None:
    assert tokenone("login", "olga", "--password", PASSWORD).code == 2


def test_the_session_file_is_its_owners_alone(signed_in: Tokenone, session_file: Path) -> None:
    del signed_in
    assert stat.S_IMODE(session_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(session_file.parent.stat().st_mode) == 0o700


def test_a_wrong_password_ends_with_3_and_keeps_nothing(tokenone: Tokenone, session_file: Path) -> None:
    ended = tokenone("login", "olga", input="wrong\n")
    assert ended.code == 3
    assert "Check name and password" in ended.err
    assert not session_file.exists()


def test_who_is_not_signed_in_is_told_what_to_do(tokenone: Tokenone) -> None:
    ended = tokenone("key", "list")
    assert (ended.code, ended.out) == (3, "")
    assert "tokenone login" in ended.err


def test_an_old_access_token_is_renewed_before_it_is_used(
    signed_in: Tokenone, session_file: Path, console: Stub
) -> None:
    age(session_file)
    assert signed_in("whoami").code == 0
    assert [path for _, path, _, _ in console.seen[1:]] == ["/api/v1/session/refresh", "/api/v1/me"]


def test_an_access_token_that_the_console_forgot_is_renewed_once(signed_in: Tokenone, console: Stub) -> None:
    console.access.clear()
    assert signed_in("whoami").code == 0


def test_a_session_that_has_ended_is_forgotten(
    signed_in: Tokenone, session_file: Path, console: Stub
) -> None:
    age(session_file)
    console.refresh.clear()
    ended = signed_in("whoami")
    assert ended.code == 3
    assert "tokenone login" in ended.err
    assert json.loads(session_file.read_text()) == {}


def test_signing_out_ends_the_session_at_the_console_too(signed_in: Tokenone, console: Stub) -> None:
    assert signed_in("logout").code == 0
    assert console.access == set()
    assert signed_in("whoami").code == 3


def test_signing_out_twice_is_no_error(signed_in: Tokenone) -> None:
    assert signed_in("logout").code == 0
    assert signed_in("logout").code == 0


def test_an_unreadable_session_file_is_named(tokenone: Tokenone, session_file: Path) -> None:
    session_file.parent.mkdir()
    session_file.write_text("not json")
    ended = tokenone("whoami")
    assert ended.code == 1
    assert "session.json" in ended.err


def test_a_limit_ends_with_6(tokenone: Tokenone, console: Stub) -> None:
    assert tokenone("login", "olga", input=PASSWORD).code == 0
    console.next_problem = ProblemError(429, "throttled")
    assert tokenone("whoami").code == 6
