"""A child for the supervisor's own tests: does what its spec says and nothing else. Starts in a blink.

The spec is JSON: `ready` (say so), `code` (end with it at once), `stubborn` (ignore SIGTERM), `hold` (a file: do not
get ready before it exists), `note` (a file to which the process id is appended at the start).
"""

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("--spec-fd", "--ready-fd", "--life-fd", "--listen-fd"):
        parser.add_argument(name, type=int)
    given = parser.parse_args()
    with os.fdopen(given.spec_fd) as pipe:
        spec = json.load(pipe)
    if spec.get("stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "note" in spec:
        with Path(spec["note"]).open("a") as note:
            note.write(f"{os.getpid()}\n")
    if "code" in spec:
        sys.exit(spec["code"])
    pause = threading.Event()
    while "hold" in spec and not Path(spec["hold"]).exists():
        pause.wait(0.01)
    if spec.get("ready"):
        os.write(given.ready_fd, b"\n")
    os.close(given.ready_fd)
    os.read(given.life_fd, 1)


if __name__ == "__main__":
    main()
