"""A leak test is worth something only if a planted leak is found: in each encoding, wrapping and place."""

import base64
import gzip
import random
import sqlite3
import textwrap
import zlib

import pytest

from tokenone.testing.leak import LeakScanner, encodings

SECRET = (
    b"sk-"
    + b"canary-"
    + bytes(random.Random(3).choices(b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMN23456789", k=34))
)
OTHER = SECRET[:10] + bytes(random.Random(4).choices(b"abcdefghijkmnpqrstuvwxyz23456789", k=34))
SCANNER = LeakScanner({"canary": SECRET})
PLANTED = encodings(SECRET)


def found_as(data):
    return {leak.encoding for leak in SCANNER.scan_bytes(data)}


@pytest.mark.parametrize("encoding", PLANTED)
@pytest.mark.parametrize("around", [(b"", b""), (b'{"a":"', b'"}'), (b"x" * 70_001, b"\xff\x00")])
def test_a_planted_leak_is_found_in_every_encoding(encoding, around):
    assert SCANNER.scan_bytes(PLANTED[encoding].join(around))


@pytest.mark.parametrize("encoding", PLANTED)
@pytest.mark.parametrize(
    "wrap", [gzip.compress, zlib.compress, lambda data: gzip.compress(gzip.compress(data))]
)
def test_a_planted_leak_is_found_inside_compressed_members(encoding, wrap):
    assert SCANNER.scan_bytes(b"head" + wrap(b"before " + PLANTED[encoding] + b" after") + b"tail")


def test_a_planted_leak_is_found_in_the_part_of_a_broken_member():
    noise = random.Random(5).randbytes(100_000)
    assert SCANNER.scan_bytes(gzip.compress(SECRET + noise)[:50_000])


@pytest.mark.parametrize("encoding", PLANTED)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"=\r\n", b"\\n"])
def test_a_planted_leak_is_found_over_line_breaks(encoding, end):
    if encoding in ("json-escapes", "backslash-x") and end == b"\\n":
        return  # its own backslashes are part of the encoding
    planted = PLANTED[encoding]
    assert SCANNER.scan_bytes(end.join(planted[at : at + 20] for at in range(0, len(planted), 20)))


@pytest.mark.parametrize("shift", range(3))
def test_base64_is_found_at_every_alignment(shift):
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        assert SCANNER.scan_bytes(encode(b"k" * shift + SECRET + b"zz"))


def test_half_a_secret_is_a_leak():
    half = len(SECRET) // 2
    assert found_as(b"it starts with " + SECRET[:half]) == {"first half"}
    assert found_as(b"it ends in " + SECRET[-half:]) == {"second half"}


@pytest.mark.parametrize("encoding", PLANTED)
def test_another_secret_is_no_leak(encoding):
    assert SCANNER.scan_bytes(encodings(OTHER)[encoding] + gzip.compress(encodings(OTHER)[encoding])) == []


def test_random_bytes_are_no_leak():
    assert SCANNER.scan_bytes(random.Random(9).randbytes(500_000)) == []


def test_the_masked_form_is_no_leak():
    assert SCANNER.scan_bytes(SECRET[:6] + "…".encode() + SECRET[-4:]) == []


def test_a_planted_leak_is_found_in_a_folder_a_file_name_and_a_database(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "app.log").write_bytes(b"line\n" + SECRET)
    (tmp_path / f"{SECRET.decode()}.txt").write_text("nothing inside")
    with sqlite3.connect(tmp_path / "rows.db") as database:
        database.execute("create table t (a text, b blob)")
        database.execute("insert into t values (?, ?)", ("x" * 500, gzip.compress(SECRET)))
    database.close()
    (tmp_path / "clean.txt").write_text(textwrap.dedent("harmless"))
    where = {leak.where for leak in SCANNER.scan_folders(tmp_path)}
    assert any(place.endswith("app.log") for place in where)
    assert any(place.startswith("name of") for place in where)
    assert any("rows.db, gzip" in place for place in where)
    assert not any("clean.txt" in place for place in where)


def test_a_report_names_the_canary_and_never_shows_it():
    assert "canary" in repr(SCANNER.scan_bytes(SECRET, "a log"))
    assert SECRET[10:20].decode() not in repr(SCANNER.scan_bytes(SECRET, "a log"))


def test_a_canary_too_short_to_be_told_from_chance_is_refused():
    with pytest.raises(ValueError, match="too short"):
        LeakScanner({"short": b"abc"})
