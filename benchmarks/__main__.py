"""`make bench`: measures, shows a table, writes JSON where asked and docs/performance.md after a full run."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from rich.console import Console

from benchmarks import campaign, document, tables
from benchmarks.processes import ROOT
from benchmarks.results import Results
from benchmarks.scenarios import QUICK, Pace

PAGE = ROOT / "docs" / "performance.md"


def main() -> int:
    given = _arguments().parse_args()
    if given.render is not None:
        results = msgspec.json.decode(given.render.read_bytes(), type=Results)
    else:
        results = _measured(given)
    tables.show(results, Console(width=None if sys.stdout.isatty() else 220))
    if given.json is not None:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
    if given.render is not None or not results.quick:
        PAGE.write_text(document.render(results), encoding="utf-8")
        Console(stderr=True).print(f"bench: wrote {PAGE.relative_to(ROOT)}")
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute: shows that everything runs")
    parser.add_argument("--peers", action="store_true", help="LiteLLM, HAProxy and nginx in the same run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results")
    parser.add_argument("--render", type=Path, metavar="FILE", help="write the page from results, no run")
    parser.add_argument(
        "--ledger-entries",
        type=int,
        metavar="N",
        help="longest ledger to grow to (1,000,000; the bar's: 10 M)",
    )
    parser.add_argument("--directory", type=Path, default=ROOT, help="the disk to work on (this checkout's)")
    return parser


def _measured(given: argparse.Namespace) -> Results:
    console = Console(stderr=True, highlight=False)
    began = time.monotonic()

    def say(sentence: str) -> None:
        console.print(f"bench: {time.monotonic() - began:5.0f} s  {sentence}")

    with tempfile.TemporaryDirectory(prefix="bench-", dir=given.directory) as work:
        return campaign.run(Path(work), _pace(given), with_peers=given.peers, say=say)


def _pace(given: argparse.Namespace) -> Pace:
    pace = QUICK if given.quick else Pace()
    if given.ledger_entries is None:
        return pace
    return msgspec.structs.replace(pace, growth_entries=(0, given.ledger_entries))


if __name__ == "__main__":
    sys.exit(main())
