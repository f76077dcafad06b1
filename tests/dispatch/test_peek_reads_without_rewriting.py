"""Laws of the peek: model and stream flag, bad bodies refused, repeated models refused, forms understood."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenone.dispatch.members import members
from tokenone.dispatch.peek import NOTHING, Peek, peek
from tokenone.dispatch.text import text_bytes
from tokenone.errors import BodyTooDeep, MalformedBody

FORM = "multipart/form-data; boundary=XX"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{}", Peek()),
        (b'{"model":"gpt-4o"}', Peek("gpt-4o")),
        (b' {"stream":true,"model":"a/b:c"} ', Peek("a/b:c", True)),
        (b'{"model":null,"stream":null}', Peek()),
        (b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}', Peek("m", True, True, True)),
        (
            b'{"model":"m","stream":true,"stream_options":{"include_usage":false}}',
            Peek("m", True, False, True),
        ),
        (b'{"model":"m","stream":true,"stream_options":null}', Peek("m", True, False, True)),
        (b'{"messages":[{"model":"nested"}],"model":"outer"}', Peek("outer")),
        ('{"model":"modèle"}'.encode(), Peek("modèle")),
        (b'{"mod\\u0065l":"escaped"}', Peek("escaped")),
        (b"", NOTHING),
    ],
)
def test_model_and_stream_are_peeked(body: bytes, expected: Peek) -> None:
    assert peek(body, "application/json") == expected


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b'"text"',
        b"{",
        b'{"model":5}',
        b'{"model":["gpt-4o"]}',
        b'{"stream":"true"}',
        b'{"model":"a"} {"model":"b"}',
        b'{"model":"\xff\xfe"}',
        b"model=gpt-4o",
        b'\xef\xbb\xbf{"model":"m"}',
        b'{"model":"allowed","model":"denied"}',
        b'{"model":"allowed","x":{"model":1},"model":"denied"}',
        b'{"model":"allowed","\\u006dodel":"denied"}',
        b'{"mod\\u0065l":"denied","model":"allowed"}',
        b'{"\\u006Dodel":"denied","mo\\u0064el":"allowed"}',
    ],
)
def test_a_body_that_is_no_unambiguous_object_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        peek(body, "application/json")


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_a_body_too_deep_is_refused_without_harm(opening: bytes) -> None:
    with pytest.raises(BodyTooDeep):
        peek(b'{"model":"m","x":' + opening * 100_000, "application/json")


def form(*parts: tuple[str, bytes]) -> bytes:
    head = 'Content-Disposition: form-data; name="{}"'
    pieces = [
        b"--XX\r\n" + head.format(name).encode() + b"\r\n\r\n" + value + b"\r\n" for name, value in parts
    ]
    return b"".join(pieces) + b"--XX--\r\n"


def test_a_form_names_its_model_among_files() -> None:
    body = form(("file", b"\x00RIFF\r\n--X\r\n"), ("model", b"whisper-1"), ("stream", b"true"))
    assert peek(body, FORM) == Peek("whisper-1", True)
    assert peek(b"preamble\r\n" + body, 'Multipart/Form-Data; boundary="XX"') == Peek("whisper-1", True)
    assert peek(form(("file", b"x")), FORM) == Peek()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (form(("model", b"m")), "multipart/form-data"),
        (form(("model", b"m")), "multipart/form-data; boundary=YY"),
        (form(("model", b"m"))[:-12], FORM),
        (form(("model", b"allowed"), ("model", b"denied")), FORM),
        (form(("model", b"\xff")), FORM),
        (b"--XX\r\n" + b"h" * 20_000, FORM),
        (form(("model", b"m")), "multipart/form-data; xboundary=YY; boundary=XX; boundary=YY"),
        (form(("model", b"m")), "multipart/form-data; boundary=XX; boundary*=utf-8''YY"),
        (form(("model", b"allowed")).replace(b"--XX--", b"--XX--more") + form(("model", b"denied")), FORM),
        (
            form(("file", b"\n--XX\nContent-Disposition: form-data; name=model\n\ndenied"), ("model", b"m")),
            FORM,
        ),
        (form(("file", b"\r\n--XXY\r\n\r\n")), FORM),
    ],
)
def test_a_broken_form_is_refused(body: bytes, content_type: str) -> None:
    with pytest.raises(MalformedBody):
        peek(body, content_type)


@pytest.mark.parametrize(
    "disposition",
    [
        b'form-data; name="model"; x="; name=other"; name="other"',
        b"form-data; name*=utf-8''model",
        b"form-data; name=other; name*=utf-8''model",
        b'form-data; filename="a\\"; name="model"; x="b"; name="other"',
        b'form-data; name="other"\r\nContent-Disposition: form-data; name="model"',
        b'form-data;\r\n name="model"',
        b'form-data; name="other"\nContent-Disposition: form-data; name="model"',
        b'attachment; name="model"',
    ],
)
def test_a_part_whose_name_two_parsers_read_differently_is_refused(disposition: bytes) -> None:
    other = b"--XX\r\nContent-Disposition: " + disposition + b"\r\n\r\ndenied\r\n"
    with pytest.raises(MalformedBody):
        peek(other + form(("model", b"allowed")), FORM)


@pytest.mark.parametrize(
    "file_part",
    [
        b'form-data; name="file"; filename="a%22b; name=model.wav"\r\nContent-Type: audio/wav',
        b"form-data; name=file; filename=a.wav; filename*=utf-8''a.wav",
        b'form-data; filename="a.wav"; name="file"\r\nContent-Length: 3',
        b'form-data; name="file"; filename="C:\\a.wav"',
    ],
)
def test_files_as_clients_write_them_are_understood(file_part: bytes) -> None:
    body = b"--XX\r\nContent-Disposition: " + file_part + b"\r\n\r\nabc\r\n" + form(("model", b"m"))
    assert peek(body, FORM) == Peek("m")
    assert peek(body, "multipart/form-data; charset=utf-8; boundary=XX") == Peek("m")


LARGE = {
    "nested values": (b'"x":[' + b"[]," * 1_000_000 + b"1]", True),
    "thousands of members": (b",".join(b'"k%d":1' % number for number in range(100_000)), False),
    "repeated members": (b'"x":[' + b"1," * 1_000_000 + b'1],"y":1,"y":2', False),
}


@pytest.mark.parametrize("case", LARGE)
def test_a_large_body_that_needs_a_second_look_does_not_hold_up_the_others(case: str) -> None:
    """A parser in Python over such a body took seconds, during which a worker served nobody."""
    inside, good = LARGE[case]
    body = b'{"model":"m","z":{"model":"nested"},' + inside + b"}"
    began = time.process_time()
    try:
        assert peek(body, "application/json") == Peek("m")
        assert good
    except MalformedBody:
        assert not good
    assert time.process_time() - began < 1.0


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=5), st.sampled_from([None, 0, 3]), st.booleans())
def test_members_are_located_as_a_parser_sees_them(
    value: dict[str, object], indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    found = {json.loads(member.key): json.loads(text[member.start : member.end]) for member in members(text)}
    assert found == value


@given(st.binary(max_size=120))
def test_any_body_is_peeked_or_refused(raw: bytes) -> None:
    try:
        found = peek(raw, "application/json")
    except MalformedBody:
        return
    assert raw == b"" or isinstance(json.loads(raw), dict)
    assert found.model is None or isinstance(found.model, str)


def test_only_text_counts_as_text() -> None:
    picture = "data:image/png;base64," + "A" * 5000
    content = [{"type": "text", "text": "hällo"}, {"image_url": {"url": picture}}, {"data": "QUJD" * 400}]
    body = json.dumps({"model": "not counted", "messages": [{"role": "user", "content": content}]}).encode()
    assert text_bytes(body) == len("user" + "text") + len("hällo".encode())
    assert text_bytes(b"\x00not json") == 0
    assert text_bytes(b"[1]") == 0
