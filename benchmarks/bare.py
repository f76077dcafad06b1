"""The wire alone: edge and client as shipped, nothing governed, so that governance can be told apart.

Law: it serves one upstream named on its command line, puts a key on and forwards; it exists for the benchmarks.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from pathlib import Path

import uvloop

from tokenone.dispatch.forward import content_type, request_headers, response_headers
from tokenone.types import parse_origin
from tokenone.wire.client import Client, Outgoing
from tokenone.wire.edge import Edge
from tokenone.wire.egress import EgressRules
from tokenone.wire.exchange import Exchange
from tokenone.wire.limits import EdgeLimits

CREDENTIAL = (b"authorization", b"Bearer sk-proj-" + b"b" * 40)


async def _serve(origin_text: str, ca_file: str | None) -> None:
    origin = parse_origin(origin_text)
    ca_pem = None if ca_file is None else await asyncio.to_thread(Path(ca_file).read_text)
    client = Client(EgressRules(("127.0.0.0/8",)))

    async def forward_call(exchange: Exchange) -> None:
        head = exchange.head
        outgoing = Outgoing(
            origin=origin,
            pool=("bench", "bench", 1),
            method=head.method,
            target=head.target.removeprefix(b"/openai"),
            headers=[*request_headers(head.headers), CREDENTIAL],
            body=await exchange.body(),
            ca_pem=ca_pem,
        )
        reply = await client.send(outgoing)
        headers = response_headers(reply.headers)
        if content_type(reply.headers).startswith(b"text/event-stream"):
            exchange.start(reply.status, headers)
            while (chunk := await reply.chunk()) is not None:
                if not exchange.write(chunk):
                    await exchange.writable()
            exchange.finish()
            return
        exchange.respond(reply.status, headers, await reply.read(1 << 20))

    edge = Edge(forward_call, EdgeLimits(), on_refused=lambda _reason, _peer: None)
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    listener.setblocking(False)
    await edge.start(listener)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))
