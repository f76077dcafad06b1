"""The command `tokenone` (`python -m tokenone`), which also tells whoever installed the verifier alone.

Law: it imports nothing but the standard library by itself.
"""

from __future__ import annotations

import sys
from importlib import import_module


def main() -> None:
    """Runs the command line where it is installed."""
    try:
        command = import_module("tokenone.main")
    except ModuleNotFoundError as missing:
        sys.exit(
            f"tokenone: {missing.name} is not installed, so this is the verifier alone: use `python -m "
            "tokenone.ledger.verify`, or install tokenone[server] for the gateway and its command line"
        )
    command.main()


if __name__ == "__main__":
    main()
