"""Whole bodies: which strings are looked at, and what redaction changes and does not change."""

import base64
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenone.detect import SecretsDetector, inspect_body
from tokenone.detect.leaves import byte_offsets, leaves, text_of
from tokenone.testing.recording import RecordingDetector
from tokenone.types import Action

RANDOM = random.Random(7)
KEY = "sk-" + "proj-" + "".join(RANDOM.choices("abcdefghkmnpqrstuvwxyzABCDEFGHKMN23456789", k=60))
MARK = "[redacted:openai-key]"
PEM_LINES = ["".join(RANDOM.choices("abcdefghABCDEFGH23456789+/", k=64)) for _ in range(8)]
PEM = "\n".join(["-----BEGIN " + "PRIVATE KEY-----", *PEM_LINES, "-----END " + "PRIVATE KEY-----"])
DETECTORS = (SecretsDetector(),)


def chat(text, **options):
    return json.dumps(
        {"model": "gpt-4.1", "messages": [{"role": "user", "content": text}]}, **options
    ).encode()


def redacted(body):
    return inspect_body(body, DETECTORS, Action.REDACT).body


def test_a_clean_body_comes_back_as_the_same_object():
    body = chat("Hello, how are you?")
    for action in Action:
        inspection = inspect_body(body, DETECTORS, action)
        assert inspection.body is body
        assert (inspection.verdict, inspection.findings) == (Action.ALLOW, ())


def test_allow_means_that_no_detector_sees_anything():
    recorder = RecordingDetector("needle")
    assert inspect_body(b'{"a":"needle"}', [recorder], Action.ALLOW).findings == ()
    assert recorder.texts == []


@pytest.mark.parametrize("action", [Action.FLAG, Action.BLOCK])
def test_flag_and_block_report_and_leave_the_bytes(action):
    body = chat(f"my key is {KEY}")
    inspection = inspect_body(body, DETECTORS, action)
    assert inspection.verdict is action
    assert inspection.body is body
    (finding,) = inspection.findings
    assert body[finding.start : finding.end] == KEY.encode()


@pytest.mark.parametrize("ensure_ascii", [True, False])
@pytest.mark.parametrize("indent", [None, 2])
def test_redaction_changes_the_span_and_nothing_else(ensure_ascii, indent):
    before, after = 'Grüße 🎈\n\t"', "\\ und 世界\u2028"
    body = chat(before + KEY + after, ensure_ascii=ensure_ascii, indent=indent)
    assert redacted(body) == body.replace(KEY.encode(), MARK.encode())
    assert json.loads(redacted(body))["messages"][0]["content"] == before + MARK + after


def test_a_credential_spelled_in_escapes_is_redacted():
    spelled = "".join(f"\\u{ord(c):04x}" if i % 3 == 0 else c for i, c in enumerate(KEY))
    body = b'{"messages":[{"content":"a\\/b ' + spelled.encode() + b' c"}] }'
    assert redacted(body) == b'{"messages":[{"content":"a\\/b ' + MARK.encode() + b' c"}] }'


def test_a_private_key_with_escaped_line_breaks_is_redacted_whole():
    body = chat(f"see: {PEM} end")
    content = json.loads(redacted(body))["messages"][0]["content"]
    assert content == "see: [redacted:private-key] end"


def test_json_inside_a_json_string_is_looked_into():
    body = chat(json.dumps({"api_key": KEY, "note": "x"}))
    inner = json.loads(json.loads(redacted(body))["messages"][0]["content"])
    assert inner == {"api_key": MARK, "note": "x"}


def test_every_string_value_is_inspected_and_no_key_of_an_object():
    recorder = RecordingDetector()
    body = b'{"k1":"v1","k2":["v2",{"k3" : "v\\u0033"},1,null,true],"k4":{"k5":""}}'
    inspect_body(body, [recorder], Action.FLAG)
    assert recorder.texts == ["v1", "v2", "v3", ""]


def test_an_image_as_base64_is_not_read():
    recorder = RecordingDetector()
    image = base64.b64encode(random.Random(1).randbytes(200_000)).decode()
    body = json.dumps({"a": f"data:image/png;base64,{image}", "data": image, "text": "hello"}).encode()
    inspect_body(body, [recorder], Action.FLAG)
    assert recorder.texts == ["hello"]


def test_a_credential_beside_base64_in_one_string_is_found():
    body = chat("A" * 4000 + " " + KEY)
    assert [finding.rule for finding in inspect_body(body, DETECTORS, Action.FLAG).findings] == ["openai-key"]


def test_a_body_that_is_no_json_is_inspected_as_text():
    body = (
        b"--boundary\r\ncontent-disposition: form-data\r\n\r\n" + KEY.encode() + b"\r\n\xff\xfe--boundary--"
    )
    assert redacted(body) == body.replace(KEY.encode(), MARK.encode())


def test_broken_json_is_inspected_as_text():
    body = b'{"messages":[{"content":"unfinished ' + KEY.encode()
    assert redacted(body) == body.replace(KEY.encode(), MARK.encode())


def test_depth_costs_no_recursion():
    body = b'{"a":' * 100_000 + b'"' + KEY.encode() + b'"' + b"}" * 100_000
    assert redacted(body) == body.replace(KEY.encode(), MARK.encode())


def test_an_unsure_finding_is_flagged_whatever_the_action():
    recorder = RecordingDetector("maybe", score=300)
    for action in (Action.FLAG, Action.REDACT, Action.BLOCK):
        inspection = inspect_body(b'{"a":"maybe"}', [recorder], action)
        assert inspection.verdict is Action.FLAG
        assert inspection.body == b'{"a":"maybe"}'
        assert len(inspection.findings) == 1


def test_overlapping_findings_of_two_detectors_are_redacted_as_one():
    needle = RecordingDetector(f"is {KEY[:20]}", score=600)
    body = chat(f"it is {KEY}.")
    inspection = inspect_body(body, [needle, *DETECTORS], Action.REDACT)
    assert json.loads(inspection.body)["messages"][0]["content"] == f"it {MARK}."


def test_many_findings_are_all_redacted_and_a_hundred_listed():
    body = chat(" ".join([KEY] * 500))
    inspection = inspect_body(body, DETECTORS, Action.REDACT)
    assert KEY.encode() not in inspection.body
    assert len(inspection.findings) == 100


def test_no_finding_carries_the_text():
    inspection = inspect_body(chat(KEY), DETECTORS, Action.FLAG)
    assert KEY[5:] not in repr(inspection.findings)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.just(KEY)
    | st.text().map(lambda t: f"{t} {KEY} {t}"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def without_key(value):
    if isinstance(value, str):
        return value.replace(KEY, MARK)
    if isinstance(value, list):
        return [without_key(item) for item in value]
    return {key: without_key(item) for key, item in value.items()} if isinstance(value, dict) else value


@given(VALUES.map(lambda value: {"v": value}), st.booleans(), st.sampled_from([None, 0, 3]))
@settings(max_examples=200, deadline=None)
def test_redacted_json_is_the_json_of_the_redacted_values(value, ensure_ascii, indent):
    try:
        body = json.dumps(value, ensure_ascii=ensure_ascii, indent=indent).encode()
    except UnicodeEncodeError:
        body = json.dumps(value, indent=indent).encode()
    assert json.loads(redacted(body)) == without_key(value)


@given(VALUES.map(lambda value: {"v": value}), st.booleans())
@settings(max_examples=200, deadline=None)
def test_the_leaves_are_the_string_values_in_order(value, ensure_ascii):
    body = json.dumps(value, ensure_ascii=ensure_ascii).encode("utf-8", "surrogatepass")
    expected = []

    def collect(item):
        if isinstance(item, str):
            expected.append(item)
        for inner in item.values() if isinstance(item, dict) else item if isinstance(item, list) else ():
            collect(inner)

    collect(json.loads(json.dumps(value)))
    assert [text_of(body[start:end]) for start, end in leaves(body)] == expected


@given(st.text(), st.data())
@settings(max_examples=200, deadline=None)
def test_a_place_in_the_text_is_found_again_in_the_bytes(text, data):
    raw = json.dumps(text, ensure_ascii=data.draw(st.booleans())).encode("utf-8", "surrogatepass")[1:-1]
    decoded = text_of(raw)
    places = sorted(data.draw(st.lists(st.integers(0, len(decoded)), max_size=6)))
    for place, offset in zip(places, byte_offsets(raw, places), strict=True):
        assert text_of(raw[:offset]) == decoded[:place]
