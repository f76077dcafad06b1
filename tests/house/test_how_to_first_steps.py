"""The page for newcomers does what it says: its commands run, in order, against a real installation."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kit.installation import free_port

PAGE = Path(__file__).parents[2] / "docs/how-to/first-steps.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.M | re.S)


@pytest.mark.skipif(
    shutil.which("curl") is None, reason="the page calls with curl, which is not installed here"
)
def test_every_command_of_the_first_steps_works_as_written(tmp_path: Path) -> None:
    script = "\n".join(BLOCK.findall(PAGE.read_text(encoding="utf-8")))
    ports = {port: str(free_port()) for port in ("8484", "8485", "8399")}
    for written, free in ports.items():
        script = script.replace(written, free)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    told = {
        "PATH": path,
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "TOKENONE_GATEWAY__LISTEN": f"127.0.0.1:{ports['8484']}",
        "TOKENONE_CONSOLE__LISTEN": f"127.0.0.1:{ports['8485']}",
    }
    shell = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path, env={**os.environ, **told}, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        said, _ = shell.communicate(timeout=200)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
    assert shell.returncode == 0, said
    assert "Verified." in said
    assert "The stand-in read" in said
    assert "key_not_usable" in said
    assert said.rstrip().endswith("0 wrong")
