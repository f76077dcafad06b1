"""`tokenone upgrade`: brings databases, presets and price book of an installation up to the installed version.

Law: running it again changes nothing; keys, roots, people and the ledger are left alone. Processes that run
go on with what they have read; the next start reads the new.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from tokenone.assemble.install import renew, say
from tokenone.config import CONFIG_NAME, load
from tokenone.errors import ConfigRefused, TokenOneError


def main() -> None:
    """`python -m tokenone.assemble.upgrade --dir DIR`."""
    parser = argparse.ArgumentParser(prog="tokenone upgrade")
    parser.add_argument("--dir", type=Path, required=True)
    directory: Path = parser.parse_args().dir
    try:
        if not (directory / CONFIG_NAME).exists():
            raise ConfigRefused(f"there is no installation in {directory}; make one with `tokenone init`")
        asyncio.run(renew(directory, load(directory), say))
    except TokenOneError as error:
        sys.exit(f"tokenone upgrade: {error.sentence}")
    say("ready: restart `tokenone serve` to use it")


if __name__ == "__main__":
    main()
