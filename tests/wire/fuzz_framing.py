"""A fuzz target for the framing of both sides: `python tests/wire/fuzz_framing.py [seconds] [seed]`.

Law: whatever bytes arrive and however they are cut, the reader raises FramingError or nothing, holds no more
than its limits allow, reads the same messages from every cutting, and accepts nothing that h11 reads otherwise.
It runs under atheris where that is installed and by random mutation of the vectors otherwise.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import h11

from tokenone.wire.bodies import request_body, response_body
from tokenone.wire.framing import FramingError, HeadBuffer, parse_request_head, parse_response_head

VECTORS = Path(__file__).parents[2] / "vectors" / "framing.json"
LIMIT = 4096
Event = tuple[Any, ...]


def read_requests(pieces: Iterable[bytes], limit: int = LIMIT) -> list[Event]:
    """Reads pipelined requests as the edge does; the last event may be `("refused", reason, answer)`."""
    events: list[Event] = []
    buffer, body = HeadBuffer(limit), None
    try:
        for piece in pieces:
            data = piece
            while data:
                if body is None:
                    raw = buffer.feed(data)
                    if raw is None:
                        assert len(buffer._held or b"") <= limit
                        break
                    data, buffer.rest = buffer.rest, b""
                    head = parse_request_head(raw, 200)
                    body = request_body(head.length)
                    events.append(("head", head))
                    events.append(("body", b""))
                else:
                    payload, data = body.feed(data), b""
                    events[-1] = ("body", events[-1][1] + payload)
                if body.done:
                    data, body = body.rest or data, None
                    events.append(("end",))
    except FramingError as error:
        events.append(("refused", error.reason, error.answer))
    return events


def read_response(pieces: Iterable[bytes], method: bytes, *, eof: bool, limit: int = LIMIT) -> list[Event]:
    """Reads one response as the client does; surplus bytes are the event `("surplus",)`."""
    events: list[Event] = []
    buffer, body, over = HeadBuffer(limit), None, False
    try:
        for piece in pieces:
            data = piece
            while data:
                if over:
                    events.append(("surplus",))
                    return events
                if body is None:
                    raw = buffer.feed(data)
                    if raw is None:
                        break
                    data, buffer.rest = buffer.rest, b""
                    head = parse_response_head(raw, 200, to_head=method == b"HEAD")
                    if head.status < 200:
                        if head.status == 101:
                            raise FramingError("interim", "unasked")
                        continue
                    body = response_body(head.length)
                    events += [("head", head), ("body", b"")]
                else:
                    payload, data = body.feed(data), b""
                    events[-1] = ("body", events[-1][1] + payload)
                if body.done:
                    data, over = body.rest or data, True
                    events.append(("end",))
        if eof and not over:
            if body is None:
                raise FramingError("truncated", "no head")
            body.close()
            events.append(("end",))
    except FramingError as error:
        events.append(("refused", error.reason, error.answer))
    return events


def plain(events: Sequence[Event]) -> list[Event]:
    """Makes events comparable: heads become tuples of what they mean."""
    return [_plain_head(event[1]) if event[0] == "head" else event for event in events]


def _plain_head(head: Any) -> Event:
    start = (head.method, head.target) if hasattr(head, "method") else (head.status, head.reason)
    return ("head", *start, head.http_version, [_plain_field(*field) for field in head.headers])


def _plain_field(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Names in lower case, and the one value that h11 normalises as well."""
    name = name.lower()
    return name, value.lower() if name == b"transfer-encoding" else value


def h11_requests(raw: bytes) -> list[Event]:
    """Reads pipelined requests with h11, in the same form as `plain`."""
    events: list[Event] = []
    while raw:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        connection.receive_data(raw)
        ended, more = _h11_message(connection, events)
        if not ended:
            break
        raw = more
    return events


def h11_response(raw: bytes, method: bytes, *, eof: bool) -> list[Event]:
    """Reads one response with h11, in the same form as `plain`."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    connection.send(h11.Request(method=method, target=b"/", headers=[(b"host", b"a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(raw)
    if eof:
        connection.receive_data(b"")
    events: list[Event] = []
    _h11_message(connection, events)
    return events


def _h11_message(connection: h11.Connection, events: list[Event]) -> tuple[bool, bytes]:
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            events.append(("refused",))
            return False, b""
        if isinstance(event, (h11.Request, h11.Response)):
            start = (
                (event.method, event.target)
                if isinstance(event, h11.Request)
                else (event.status_code, bytes(event.reason))
            )
            fields = [(bytes(name), bytes(value)) for name, value in event.headers]
            events.append(("head", *start, b"HTTP/" + event.http_version, fields))
            events.append(("body", b""))
        elif isinstance(event, h11.Data):
            events[-1] = ("body", events[-1][1] + bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            events.append(("end",))
            return True, connection.trailing_data[0]
        elif not isinstance(event, h11.InformationalResponse):
            return False, b""


def agrees(ours: Sequence[Event], theirs: Sequence[Event]) -> bool:
    """What we read before refusing, h11 reads too; where we refuse nothing, h11 does not either."""
    ours = [event for event in ours if event[0] not in ("refused", "surplus")]
    theirs = [event for event in theirs if event[0] != "refused"]
    if ours and ours[-1][0] == "body" and len(theirs) >= len(ours) and theirs[len(ours) - 1][0] == "body":
        return ours[:-1] == theirs[: len(ours) - 1] and theirs[len(ours) - 1][1].startswith(ours[-1][1])
    return ours == theirs[: len(ours)]


def check(raw: bytes, cuts: Sequence[int]) -> None:
    """The fuzz target: raises AssertionError where a law is broken."""
    edges = [0, *sorted(cut % (len(raw) + 1) for cut in cuts), len(raw)]
    pieces = [raw[a:b] for a, b in itertools.pairwise(edges)]
    whole, cut = plain(read_requests([raw])), plain(read_requests(pieces))
    assert _same(whole, cut), (raw, edges, whole, cut)
    assert agrees(whole, h11_requests(raw)), (raw, whole, h11_requests(raw))
    for method in (b"GET", b"HEAD"):
        whole = plain(read_response([raw], method, eof=False))
        cut = plain(read_response(pieces, method, eof=False))
        assert _same(whole, cut), (raw, edges, whole, cut)
        theirs = h11_response(raw, method, eof=False)
        assert agrees(whole, theirs), (raw, method, whole, theirs)


def _same(whole: Sequence[Event], cut: Sequence[Event]) -> bool:
    """Equal but for two freedoms: which sentence refuses, and how much body came before a refusal."""
    if whole and cut and whole[-1][0] == cut[-1][0] == "refused":
        return [event for event in whole[:-1] if event[0] != "body"] == [
            event for event in cut[:-1] if event[0] != "body"
        ]
    return list(whole) == list(cut)


def seeds() -> list[bytes]:
    """The vectors' messages."""
    return [vector["raw"].encode("latin-1") for vector in json.loads(VECTORS.read_text())["vectors"]]


def mutate(rng: random.Random, corpus: Sequence[bytes]) -> bytes:
    """One random message: a seed, or two spliced, with a few bytes changed."""
    raw = bytearray(rng.choice(corpus))
    if rng.random() < 0.4:
        other = rng.choice(corpus)
        raw = raw[: rng.randrange(len(raw) + 1)] + other[rng.randrange(len(other) + 1) :]
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        place = rng.randrange(len(raw) + 1)
        piece = rng.choice(
            (
                b"\r\n",
                b"\n",
                b"\r",
                b" ",
                b"\t",
                b":",
                b"0",
                b"\0",
                b"\xff",
                b";",
                b",",
                bytes([rng.randrange(256)]),
            )
        )
        raw[place : place + rng.choice((0, 0, 1, 2))] = piece
    return bytes(raw)


def campaign(seconds: float, seed: int, rounds: int | None = None) -> int:
    """Mutates for so long (or so many rounds) and returns how many messages were tried."""
    rng, corpus, tried = random.Random(seed), seeds(), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end and tried != rounds:
        raw = mutate(rng, corpus)
        check(raw, [rng.randrange(1 << 16) for _ in range(rng.randrange(5))])
        tried += 1
    return tried


def main() -> None:
    try:
        import atheris  # noqa: PLC0415 - optional, and only here
    except ImportError:
        seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
        seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
        print(f"fuzz_framing: seed {seed}, {campaign(seconds, seed)} messages, no law broken")
        return

    def one_input(data: bytes) -> None:
        provider = atheris.FuzzedDataProvider(data)
        cuts = [provider.ConsumeIntInRange(0, 1 << 16) for _ in range(3)]
        check(provider.ConsumeBytes(1 << 16), cuts)

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
