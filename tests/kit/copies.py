"""Installations by copy: one is made, the others are copies of its folder, each with ports of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

from kit.installation import Installation


def copy_of(mould: Path, directory: Path, **options: object) -> Installation:
    """Returns an installation in `directory` with the roots, keys and databases of `mould`, not started."""
    shutil.copytree(mould, directory)
    return Installation(directory, **options)  # type: ignore[arg-type]
