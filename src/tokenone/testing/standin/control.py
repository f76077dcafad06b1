"""The stand-in's control over HTTP, for tests that run it as a process of its own.

Law: only below `/__standin__/`, only where `Manner.control` allows it, never on the way of a request that a
gateway forwards. GET `health`, `received`; POST `keys`, `fault`, `reset`.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final

from tokenone.testing.standin.http import Request
from tokenone.testing.standin.reply import Reply, json_reply

if TYPE_CHECKING:
    from tokenone.testing.standin.service import Received, StandIn

PREFIX: Final = "/__standin__/"


def answer(standin: StandIn, request: Request) -> Reply:
    """Carries out one control request; errors are 400 with a sentence."""
    verb = (request.method, request.path.removeprefix(PREFIX))
    try:
        given: dict[str, Any] = json.loads(request.body) if request.body else {}
        return json_reply(_carry_out(standin, verb, given))
    except (KeyError, TypeError, ValueError) as refused:
        return json_reply({"error": f"{type(refused).__name__}: {refused}"}, 400)


def _carry_out(standin: StandIn, verb: tuple[str, str], given: dict[str, Any]) -> object:
    if verb == ("GET", "health"):
        traffic = standin.traffic
        return {
            "ok": True,
            "answered": standin.answered,
            "connections": traffic.connections,
            "open": traffic.open,
        }
    if verb == ("GET", "received"):
        return [shown(record) for record in standin.received]
    if verb == ("POST", "keys"):
        standin.accept(given["provider"], *given.get("accept", ()))
        standin.revoke(given["provider"], *given.get("revoke", ()))
        return {"ok": True}
    if verb == ("POST", "fault"):
        wanted = {name: given[name] for name in ("times", "path_contains", "key") if name in given}
        standin.fault(given["fault"], **wanted)
        return {"ok": True}
    if verb == ("POST", "reset"):
        standin.reset()
        return {"ok": True}
    raise ValueError("no such control")


def shown(record: Received) -> dict[str, Any]:
    """One received request as JSON, body in base64."""
    request = record.request
    return {
        "provider": record.provider,
        "method": request.method,
        "target": request.target,
        "headers": [list(pair) for pair in request.headers],
        "body": base64.b64encode(request.body).decode("ascii"),
        "key": record.key,
        "status": record.status,
        "finished": record.finished,
        "abandoned": record.abandoned,
    }
