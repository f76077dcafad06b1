"""A Secret cannot be shown, by any of the ways in which Python shows, copies or compares a value."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import logging
import pickle
import string
import traceback
from collections.abc import Callable
from typing import Any

import msgspec
import orjson
import pytest

from tokenone.secret import Secret, SecretShown, reveal

CANARY = b"sk-canary-0123456789"

WAYS: dict[str, Callable[[Secret], object]] = {
    "repr": repr,
    "str": str,
    "format": lambda s: f"{s}",
    "format with a width": lambda s: f"{s:>40}",
    "repr in a format": lambda s: f"{s!r}",
    "percent": lambda s: "%s" % s,  # noqa: UP031 - the old way is a way, too
    "percent r": lambda s: "%r" % s,  # noqa: UP031
    "template": lambda s: string.Template("$s").substitute(s=s),
    "in a list": lambda s: repr([s]),
    "in a dict": lambda s: str({"secret": s}),
    "bytes": bytes,
    "list": list,
    "len": len,
    "iteration": lambda s: [byte for byte in s],  # noqa: C416 - iteration is the point
    "index": lambda s: s[0],
    "slice": lambda s: s[:4],
    "containment": lambda s: b"sk" in s,
    "equality": lambda s: s == Secret(CANARY),
    "equality with bytes": lambda s: s == CANARY,
    "inequality": lambda s: s != CANARY,
    "order": lambda s: s < Secret(b"z"),
    "hash": hash,
    "set": lambda s: {s},
    "copy": copy.copy,
    "deep copy": copy.deepcopy,
    "json": json.dumps,
    "json with default=str": lambda s: json.dumps(s, default=str),
    "json with default=repr": lambda s: json.dumps({"a": s}, default=repr),
    "orjson": orjson.dumps,
    "orjson with default": lambda s: orjson.dumps(s, default=str),
    "msgspec json": msgspec.json.encode,
    "msgspec msgpack": msgspec.msgpack.encode,
    "msgspec builtins": msgspec.to_builtins,
    "vars": vars,
    "the instance's dict": lambda s: s.__dict__,
    "a private name": lambda s: s.__held,
    "a dataclass around it": lambda s: repr(dataclasses.make_dataclass("D", ["s"])(s)),
    "an f-string's equals sign": lambda s: f"{s=}",
    **{f"pickle {n}": (lambda s, n=n: pickle.dumps(s, n)) for n in range(pickle.HIGHEST_PROTOCOL + 1)},
}


@pytest.mark.parametrize("way", WAYS)
def test_no_way_shows_a_secret(way: str) -> None:
    with pytest.raises((SecretShown, TypeError, AttributeError, pickle.PicklingError)) as caught:
        WAYS[way](Secret(CANARY))
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_reveal_is_the_one_way() -> None:
    assert reveal(Secret(CANARY)) == CANARY


def test_a_secret_keeps_its_own_copy() -> None:
    held = bytearray(CANARY)
    secret = Secret(bytes(held))
    held[:] = bytes(len(held))
    assert reveal(secret) == CANARY


@pytest.mark.parametrize("name", ["held", "_Secret__held", "__held", "more"])
def test_a_secret_takes_no_new_attributes_but_is_always_true(name: str) -> None:
    secret = Secret(b"")
    assert bool(secret) is True
    if name != "_Secret__held":
        with pytest.raises(AttributeError):
            setattr(secret, name, b"x")


def test_a_secret_cannot_be_subclassed() -> None:
    with pytest.raises(SecretShown):
        type("Loud", (Secret,), {})


def test_logging_a_secret_writes_no_secret(capfd: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("test.secret")
    logger.propagate = False  # pytest's own handler turns formatting errors into failures
    handler = logging.StreamHandler()
    logger.addHandler(handler)
    try:
        logger.warning("a key: %s %r", Secret(CANARY), Secret(CANARY))
    finally:
        logger.removeHandler(handler)
    written = "".join(capfd.readouterr())
    assert "SecretShown" in written
    assert "canary" not in written


def test_a_traceback_with_locals_shows_no_secret() -> None:
    def fail(secret: Secret) -> Any:
        raise ValueError("on the way")

    with pytest.raises(ValueError, match="on the way") as caught:
        fail(Secret(CANARY))
    # Python 3.11 calls repr on locals and fails; later versions write `<local repr() failed>`.
    shown = ""
    with contextlib.suppress(SecretShown):
        report = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        shown = "".join(report.format())
    assert CANARY.decode() not in shown
