"""Samples the stacks of any Python process that is started with this directory on PYTHONPATH.

Law: once the process has used two seconds of CPU time (its start is another matter), SIGPROF notes the running
function and its callers, every millisecond of CPU time or as often as the kernel's tick allows; the counts go to
`$BENCHMARK_SAMPLES/<pid>.json` every 250 samples and at the end. Children of a fork sample on. Standard library
only: it runs inside the process that is measured.
"""

import atexit
import json
import os
import signal
import threading
from collections import Counter
from types import FrameType

_DIRECTORY = os.environ.get("BENCHMARK_SAMPLES")
_SECONDS = 0.001
_START_SECONDS = 2.0
_own: Counter[str] = Counter()
_total: Counter[str] = Counter()


def _name(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_filename}:{code.co_firstlineno}:{code.co_qualname}"


def _sample(_: int, frame: FrameType | None) -> None:
    if frame is None:
        return
    _own[_name(frame)] += 1
    seen = set()
    caller: FrameType | None = frame
    while caller is not None:
        seen.add(_name(caller))
        caller = caller.f_back
    _total.update(seen)
    if sum(_own.values()) % 250 == 0:
        _write()


def _write() -> None:
    if not _own:
        return
    signal.setitimer(signal.ITIMER_PROF, 0)  # a sample must not change what is being written
    path = os.path.join(_DIRECTORY or ".", f"{os.getpid()}.json")
    with open(path + ".part", "w", encoding="utf-8") as sink:
        json.dump({"own": _own, "total": _total}, sink)
    os.replace(path + ".part", path)
    signal.setitimer(signal.ITIMER_PROF, _SECONDS, _SECONDS)


def _start() -> None:
    _own.clear()
    _total.clear()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGPROF, _sample)
        signal.setitimer(signal.ITIMER_PROF, _START_SECONDS, _SECONDS)


if _DIRECTORY:
    _start()
    atexit.register(_write)
    os.register_at_fork(after_in_child=_start)
