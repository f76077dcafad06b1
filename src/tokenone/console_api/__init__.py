"""The management API: a FastAPI application from `create_app(ConsoleDeps(...))`.

app       builds it             guard    the one way in: who, may they, once, refusals
sessions scopes endpoints keys assignments tokens records plain    the routes
shapes    bodies, in and out    rows     between bodies and rows      pages    cursors
problems  every error           rim      ids, limits, headers, one log line
"""

from tokenone.console_api.app import create_app
from tokenone.console_api.deps import ConsoleDeps, Control

__all__ = ["ConsoleDeps", "Control", "create_app"]
