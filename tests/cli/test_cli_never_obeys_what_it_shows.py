"""What a console or a caller wrote is shown and never obeyed: no control character reaches a terminal."""

from __future__ import annotations

import pytest

from tokenone.cli.exits import ProblemAnswer
from tokenone.cli.output import Output, sentence_of, write_csv

HOSTILE = "\x1b]0;owned\x07\x1b[2J"


def test_a_problem_shows_no_control_characters_whatever_its_parts() -> None:
    problem = ProblemAnswer(code="x", status=500, title=HOSTILE, detail=HOSTILE, request_id=HOSTILE)
    assert sentence_of(problem).isprintable()


def test_a_text_alone_on_its_line_is_one_line_and_printable(capsys: pytest.CaptureFixture[str]) -> None:
    Output().text(f"key_1{HOSTILE}\nsecond", {})
    assert capsys.readouterr().out.removesuffix("\n").isprintable()


def test_a_model_that_a_caller_named_is_harmless_in_a_csv(capsys: pytest.CaptureFixture[str]) -> None:
    write_csv([{"model": HOSTILE}, {"model": "=1+1"}], ["model"])
    lines = capsys.readouterr().out.splitlines()
    assert all(line.isprintable() for line in lines)
    assert lines[2] == "'=1+1"
