"""Makes a Python process say everything it can: every logger at its lowest level, and our own debug lines.

Law: what turns the level up again is ignored; the lines go to stderr. For tests that look for secrets in them.
"""

import logging
import os
import sys

_here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != _here]

if os.environ.get("SAY_EVERYTHING"):
    logging.basicConfig(level=logging.NOTSET, stream=sys.stderr, format="%(name)s %(levelname)s %(message)s")
    for name in ("sqlalchemy.engine", "asyncio", "uvicorn", "alembic"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    # It repeats every statement with its parameters, a name that somebody typed included; sqlalchemy's own
    # lines leave parameters out.
    for name in ("aiosqlite", "sqlalchemy.pool"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.Logger.setLevel = lambda *_: None  # type: ignore[method-assign]  # deaf from here on
