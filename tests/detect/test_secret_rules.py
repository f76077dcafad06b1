"""What the secrets detector finds, and what it leaves alone."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenone.detect import SecretsDetector
from tokenone.detect.rules import ANCHORS

CASES = json.loads((Path(__file__).parents[2] / "vectors" / "secrets.json").read_text("utf-8"))["cases"]
FOUND = [case for case in CASES if case["finds"]]
TRAPS = [case for case in CASES if not case["finds"]]
DETECTOR = SecretsDetector()


def rules_in(text):
    return [finding.rule for finding in DETECTOR.inspect(text)]


@pytest.mark.parametrize("case", FOUND, ids=lambda case: case["name"])
def test_a_credential_is_found_by_its_rule(case):
    assert rules_in("".join(case["text"])) == case["finds"]


@pytest.mark.parametrize("case", TRAPS, ids=lambda case: case["name"])
def test_a_look_alike_is_left_alone(case):
    assert rules_in("".join(case["text"])) == []


def test_half_of_the_vectors_are_traps():
    assert len(TRAPS) >= len(FOUND) >= 40


@pytest.mark.parametrize("case", FOUND, ids=lambda case: case["name"])
@pytest.mark.parametrize("around", [("", ""), ("\n", "\n"), ('"', '"'), ("key=", ";"), ("é", "é")])
def test_a_credential_is_found_wherever_it_stands(case, around):
    assert rules_in("".join(case["text"]).join(around)) == case["finds"]


@pytest.mark.parametrize("case", FOUND, ids=lambda case: case["name"])
@pytest.mark.parametrize("escape", [json.dumps, lambda text: json.dumps(text, ensure_ascii=False)])
def test_what_is_found_in_a_text_is_suspected_in_its_json(case, escape):
    assert DETECTOR.suspects(escape("said:\n" + "".join(case["text"])).encode())


@pytest.mark.parametrize("case", FOUND, ids=lambda case: case["name"])
def test_a_credential_written_in_unicode_escapes_is_suspected(case):
    spelled = "".join(f"\\u{ord(character):04x}" for character in "".join(case["text"]))
    assert DETECTOR.suspects(f'{{"content":"{spelled}"}}'.encode())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_findings_are_sorted_and_do_not_overlap(case):
    text = "".join(case["text"]) * 3
    ends = [0]
    for finding in DETECTOR.inspect(text):
        assert ends[-1] <= finding.start < finding.end <= len(text)
        assert 0 < finding.score <= 1000
        ends.append(finding.end)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_what_is_settled_stays_decided_whatever_follows(case):
    """No finding of the whole text starts in a settled part and ends behind it."""
    text = "Well, here it is: " + "".join(case["text"]) + "\nand that was it."
    spans = [(finding.start, finding.end) for finding in DETECTOR.inspect(text)]
    for cut in range(len(text)):
        settled = DETECTOR.settled(text[:cut])
        assert 0 <= settled <= cut
        assert not any(start < settled and end > cut for start, end in spans), (cut, settled)


def test_prose_is_settled_up_to_its_last_word():
    text = "The quick brown fox jumps over the lazy dog"
    assert DETECTOR.settled(text) == text.rindex(" ") + 1


def test_nothing_undecided_is_longer_than_the_bound():
    for text in (
        "x" * 50_000,
        "sk-" + "aB3" * 20_000,
        "-----BEGIN PRIVATE KEY-----\n" + ("A1b2" * 16 + "\n") * 1000,
    ):
        assert len(text) - DETECTOR.settled(text) <= 8192


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_text_is_inspected_without_complaint(text):
    assert all(0 <= finding.start < finding.end <= len(text) for finding in DETECTOR.inspect(text))
    assert 0 <= DETECTOR.settled(text) <= len(text)


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz .,;:!?'()\n", max_size=2000))
@settings(max_examples=200, deadline=None)
def test_lower_case_prose_holds_no_credential(text):
    assert DETECTOR.inspect(text) == []


def test_every_anchor_leads_to_a_rule():
    assert all(anchor.finders for anchor in ANCHORS)
