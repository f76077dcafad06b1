"""The wheel: complete, and useful to an auditor with `cryptography` alone."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
ALONE = """
import sys
from importlib.abc import MetaPathFinder

class Only(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names | {"tokenone", "cryptography", "_cffi_backend", "cffi"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Only())
"""
"""Startup code of an interpreter in which nothing but the base install can be imported."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked wheel, with a sitecustomize that hides every other package."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (made,) = folder.glob("*.whl")
    with zipfile.ZipFile(made) as packed:
        packed.extractall(folder / "unpacked")
    (folder / "unpacked/sitecustomize.py").write_text(ALONE)
    return folder / "unpacked"


def run(wheel: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=wheel, env={**os.environ, "PYTHONPATH": str(wheel)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_wheel_holds_what_is_read_at_run_time(wheel: Path) -> None:
    inside = {str(path.relative_to(wheel)) for path in wheel.rglob("*") if path.is_file()}
    wanted = {"py.typed", "store/migrations/env.py", "store/migrations/management/0001_first.py"}
    assert {f"tokenone/{name}" for name in wanted} <= inside
    assert not any(name.startswith(("tests/", "benchmarks/")) for name in inside)


def test_the_verifiers_command_runs_alone_and_says_what_it_checked(wheel: Path, forge_log: Path) -> None:
    done = run(wheel, "-m", "tokenone.ledger.verify", str(forge_log))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("verified: ")
    assert "log.json's" in done.stdout


def test_the_verifiers_command_finds_a_changed_byte(wheel: Path, forge_log: Path) -> None:
    segment = next(forge_log.glob("0/*.seg"))
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)
    done = run(wheel, "-m", "tokenone.ledger.verify", str(forge_log), "--json")
    assert done.returncode == 7
    assert '"ok": false' in done.stdout


def test_an_empty_directory_is_not_a_verified_ledger(wheel: Path, tmp_path: Path) -> None:
    assert run(wheel, "-m", "tokenone.ledger.verify", str(tmp_path)).returncode == 7
    assert run(wheel, "-m", "tokenone.ledger.verify", str(tmp_path / "missing")).returncode == 1


def test_the_base_install_says_what_the_command_line_needs(wheel: Path) -> None:
    done = run(wheel, "-m", "tokenone", "serve")
    assert done.returncode == 1
    assert "tokenone[server]" in done.stderr


def test_sealing_needs_the_base_install_alone(wheel: Path) -> None:
    assert run(wheel, "-c", "import tokenone; tokenone.seal, tokenone.SealContext").returncode == 0


@pytest.fixture
def forge_log(tmp_path: Path) -> Path:
    """A lawful ledger with its public facts, made by the vectors' forge."""
    make = (
        "import sys; from pathlib import Path; import ledger_vectors as forge;"
        "from tokenone.ledger.facts import Facts, keep_facts;"
        "place = Path(sys.argv[1]); forge.honest().write(place);"
        "keep_facts(place, Facts(forge.ORIGIN, forge.PUBLIC, None))"
    )
    subprocess.run([sys.executable, "-c", make, str(tmp_path)], cwd=REPOSITORY / "tools", check=True)
    return tmp_path
