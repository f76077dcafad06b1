"""The ways in which a stand-in misbehaves on demand, and how a test asks for one.

Law: a fault is a value; its text form is `mode[:argument[:argument]]`, e.g. `status:429:7`, `cut:200`. A
model name asks for one as `standin-status-429-7`, a request header as `x-standin-fault: status:429:7`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

MODES: Final = {
    "status": "answer with status A (default 500) in the provider's error shape; B is retry-after seconds",
    "leak": "as status (default 400), and the message and a header repeat the credential that was presented",
    "stall": "send nothing for A seconds (default 30), then answer",
    "hang": "stop for B seconds (default 30) after A events, or after the head of a plain answer",
    "cut": "close the connection after A bytes of the response, head included",
    "reset": "as cut, by a TCP reset",
    "drop": "close without a byte",
    "garbage": "answer with bytes that are not HTTP",
    "nonsense": "answer 200 with a JSON content type and a body that is no JSON",
    "endless": "an answer that never ends: events, or a chunked body; A seconds between pieces",
    "midstream": "after A events (default 2) an error event in the provider's shape, then the end",
    "trickle": "A seconds (default 0.01) between events, or between 16-byte pieces of a plain answer",
    "unsolicited": "a second response right behind the first",
    "close": "no length: the answer ends with the connection",
    "early": "a 103 before the answer",
    "short": "a content-length larger than the body, then the end",
    "fat": "a plain answer padded to A bytes (default 2 MiB) by white space",
    "gzip": "a gzip-encoded answer",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One misbehaviour; `a` and `b` as the mode's line in MODES says."""

    mode: str
    a: float | None = None
    b: float | None = None

    def first(self, default: float) -> float:
        return default if self.a is None else self.a

    def second(self, default: float) -> float:
        return default if self.b is None else self.b


NONE: Final = Fault("none")


def parse_fault(text: str) -> Fault:
    """Parses `mode[:a[:b]]`; raises ValueError for an unknown mode or argument."""
    mode, *arguments = text.split(":")
    if mode not in MODES or len(arguments) > 2:
        raise ValueError(f"no fault called {text!r}")
    return Fault(mode, *(float(argument) for argument in arguments))


def fault_of_model(model: object) -> Fault | None:
    """Reads a fault from a model name such as `standin-cut-200`; other names ask for none."""
    if not isinstance(model, str) or not model.startswith("standin-"):
        return None
    try:
        return parse_fault(model.removeprefix("standin-").replace("-", ":"))
    except ValueError:
        return None


def fault_of_header(text: str) -> Fault:
    """Reads a fault from a header's value; one that is none is answered by status 400."""
    try:
        return parse_fault(text)
    except ValueError:
        return Fault("status", 400)


@dataclass(slots=True)
class _Order:
    fault: Fault
    times: int
    path_contains: str
    key: str | None


class FaultQueue:
    """The faults that were ordered ahead of the requests they are for."""

    __slots__ = ("_orders",)

    def __init__(self) -> None:
        self._orders: deque[_Order] = deque()

    def order(self, fault: Fault, *, times: int = 1, path_contains: str = "", key: str | None = None) -> None:
        """Orders `fault` for the next `times` requests that match the path and, if given, the key."""
        self._orders.append(_Order(fault, times, path_contains, key))

    def take(self, path: str, key: str | None) -> Fault | None:
        """Takes the first order that matches."""
        for order in self._orders:
            if order.path_contains in path and order.key in (None, key):
                order.times -= 1
                if order.times <= 0:
                    self._orders.remove(order)
                return order.fault
        return None

    def clear(self) -> None:
        self._orders.clear()
