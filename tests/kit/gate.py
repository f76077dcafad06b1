"""An upstream whose streams go on when a test says so: OpenAI chat events through a gate.

Law: real sockets, one thread per request; nothing is sent before `let`, nothing ends before `finish`.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

EVENT = {
    "id": "chatcmpl-gate",
    "object": "chat.completion.chunk",
    "created": 1_790_000_000,
    "model": "gate",
    "choices": [{"index": 0, "delta": {"content": "on "}, "finish_reason": None}],
}
USAGE = {**EVENT, "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}


class Gate:
    """Streams are let on all together."""

    def __init__(self) -> None:
        self.origin = ""
        self.opened = 0
        """Requests received."""
        self.cut = 0
        """Streams whose reader went away before their end."""
        self._streams: list[queue.SimpleQueue[bytes | None]] = []
        self._lock = threading.Lock()

    def let(self, events: int = 1) -> None:
        """Sends so many events on every open stream."""
        for stream in self._open():
            for _ in range(events):
                stream.put(b"data: " + json.dumps(EVENT).encode() + b"\n\n")

    def finish(self) -> None:
        """Ends every open stream as the provider does: usage, then [DONE]."""
        for stream in self._open():
            stream.put(b"data: " + json.dumps(USAGE).encode() + b"\n\ndata: [DONE]\n\n")
            stream.put(None)
        with self._lock:
            self._streams.clear()

    def _open(self) -> list[queue.SimpleQueue[bytes | None]]:
        with self._lock:
            return list(self._streams)

    def enter(self) -> queue.SimpleQueue[bytes | None]:
        stream: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        with self._lock:
            self._streams.append(stream)
            self.opened += 1
        return stream


@contextmanager
def gated() -> Iterator[Gate]:
    """Listens on a loopback port."""
    gate = Gate()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            stream = gate.enter()
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            try:
                while (piece := stream.get()) is not None:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.write(b"0\r\n\r\n")
            except OSError:
                gate.cut += 1
                self.close_connection = True

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    gate.origin = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield gate
    finally:
        gate.finish()
        server.shutdown()
        server.server_close()
