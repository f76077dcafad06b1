"""The exit codes, and which error ends with which.

0 ok · 1 failure · 2 usage · 3 not signed in or not allowed · 4 not found · 5 conflict · 6 limit ·
7 verification failed
"""

from __future__ import annotations

from typing import Final

from tokenone.errors import IntegrityError, TokenOneError

FAILURE: Final = 1
USAGE: Final = 2
ACCESS: Final = 3
NOT_FOUND: Final = 4
CONFLICT: Final = 5
LIMIT: Final = 6
VERIFICATION: Final = 7

_BY_STATUS: Final = {
    400: USAGE,
    401: ACCESS,
    403: ACCESS,
    404: NOT_FOUND,
    409: CONFLICT,
    412: CONFLICT,
    422: USAGE,
    429: LIMIT,
}


class UsageError(TokenOneError):
    """What was asked for on the command line makes no sense; the sentence says what would."""

    code, status, advice = "usage", 400, "See --help."


class ProblemAnswer(TokenOneError):
    """The console's problem document (RFC 9457) as an error; keeps its code and status."""

    def __init__(self, *, code: str, status: int, title: str, detail: str, request_id: str | None) -> None:
        super().__init__(detail)
        self.answered_code = code
        self.answered_status = status
        self.title = title
        self.request_id = request_id


def exit_code(error: TokenOneError) -> int:
    """Returns the code that a command ends with for this error."""
    if isinstance(error, IntegrityError):
        return VERIFICATION
    return _BY_STATUS.get(status_of(error), FAILURE)


def status_of(error: TokenOneError) -> int:
    """Returns the HTTP status that was answered or that the error would have."""
    return error.answered_status if isinstance(error, ProblemAnswer) else error.status


def code_of(error: TokenOneError) -> str:
    """Returns the stable code that programs decide by."""
    return error.answered_code if isinstance(error, ProblemAnswer) else error.code


def advice_of(error: TokenOneError) -> str:
    """Returns what to do next."""
    return error.title if isinstance(error, ProblemAnswer) else error.advice
