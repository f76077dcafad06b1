"""The management API as a client sees it: documents in and out, problems as errors, signed in by itself.

Law: what a route answers is handed on as the JSON object it is: the CLI shows what the console says and does
not know better. Every POST carries an idempotency key, so that sending it twice does it once.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import quote, urlencode

from tokenone.cli.exits import ProblemAnswer
from tokenone.cli.session import SessionFile, Tokens
from tokenone.cli.transport import Answer, ConsoleUnreachable, Transport
from tokenone.errors import NotSignedIn

Document: TypeAlias = dict[str, Any]
"""A JSON object of the API, by the field names of docs/management-api.md."""

Query: TypeAlias = Mapping[str, str | int | None]

_BASE: Final = "/api/v1"
_PAGE: Final = 200
_EARLY_US: Final = 30_000_000
"""Renew this long before the access token ends, for clocks differ."""


class SignedOut(NotSignedIn):
    advice = "Sign in with `tokenone login`."


class Client:
    """Speaks for one person to one console."""

    def __init__(self, transport: Transport, sessions: SessionFile) -> None:
        self._transport = transport
        self._sessions = sessions

    @property
    def url(self) -> str:
        return self._transport.url

    def sign_in(self, name: str, password: str) -> None:
        """Opens a session and keeps it."""
        answer = self._send("POST", "/session", {"name": name, "password": password}, {})
        with self._sessions.locked():
            self._sessions.put(self.url, _tokens(_document(answer)))

    def sign_out(self) -> None:
        """Ends the session, here and at the console; a session that has ended already is no error."""
        with self._sessions.locked():
            tokens = self._sessions.get(self.url)
            self._sessions.put(self.url, None)
        if tokens is not None:
            answer = self._send("DELETE", "/session", None, _bearer(tokens), refused_as_error=False)
            if answer.status not in (204, 401):
                raise _problem(answer)

    def get(self, path: str, query: Query | None = None) -> Document:
        """Fetches one document."""
        return _document(self._call("GET", path + _query(query or {}), None, {}))

    def pages(self, path: str, query: Query | None = None, *, limit: int | None = None) -> Iterator[Document]:
        """Yields a list's items, page by page; at most `limit` of them."""
        left, cursor = limit, None
        while left is None or left > 0:
            size = _PAGE if left is None else min(left, _PAGE)
            page = self.get(path, {**(query or {}), "limit": size, "cursor": cursor})
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return
            left = None if left is None else left - len(page["items"])

    def post(self, path: str, body: Document | None = None) -> Document:
        """Makes or does something, once, however often it has to be sent."""
        key = {"idempotency-key": str(uuid.uuid4())}
        return _document(self._call("POST", path, body or {}, key))

    def patch(self, path: str, body: Document, *, revision: int | None = None) -> Document:
        """Changes a row; with `revision` only if it is still that one."""
        match = {"if-match": f'"{revision}"'} if revision is not None else {}
        return _document(self._call("PATCH", path, body, match))

    def put(self, path: str, body: Document) -> Document:
        """Makes a row or replaces it: sending it twice does it once."""
        return _document(self._call("PUT", path, body, {}))

    def delete(self, path: str) -> None:
        """Removes a row."""
        self._call("DELETE", path, None, {})

    def _call(self, method: str, path: str, body: Document | None, headers: Mapping[str, str]) -> Answer:
        """Sends as the person signed in, renewing the session where that is due."""
        tokens = self._sessions.get(self.url)
        if tokens is None:
            raise SignedOut(f"nobody is signed in at {self.url}")
        if tokens.expires_us - _EARLY_US < _now_us():
            tokens = self._renew(tokens)
        given = {**headers, **_bearer(tokens)}
        answer = self._send(method, path, body, given, refused_as_error=False)
        if answer.status == 401:
            # The console ended the access token earlier than it had said: renewing once is worth a try.
            given.update(_bearer(self._renew(tokens)))
            answer = self._send(method, path, body, given, refused_as_error=False)
        if answer.status >= 400:
            raise _problem(answer)
        return answer

    def _renew(self, stale: Tokens) -> Tokens:
        self._transport.close()  # on a fresh connection nothing is ever sent twice
        with self._sessions.locked():
            current = self._sessions.get(self.url)
            if current is None:
                raise SignedOut(f"nobody is signed in at {self.url}")
            if current != stale:  # another process was faster
                return current
            body = {"refresh_token": stale.refresh_token}
            answer = self._send("POST", "/session/refresh", body, {}, refused_as_error=False)
            if answer.status == 401:
                self._sessions.put(self.url, None)
                raise SignedOut("the session has ended")
            if answer.status >= 400:
                raise _problem(answer)
            fresh = _tokens(_document(answer))
            self._sessions.put(self.url, fresh)
            return fresh

    def _send(
        self,
        method: str,
        path: str,
        body: Document | None,
        headers: Mapping[str, str],
        *,
        refused_as_error: bool = True,
    ) -> Answer:
        given = {"accept": "application/json", **headers}
        content = None
        if body is not None:
            given["content-type"] = "application/json"
            content = json.dumps(body).encode("utf-8")
        answer = self._transport.send(method, _BASE + path, given, content)
        if refused_as_error and answer.status >= 400:
            raise _problem(answer)
        return answer


def path_of(*parts: str) -> str:
    """Joins path segments, each escaped whole."""
    return "".join("/" + quote(part, safe="") for part in parts)


def _query(query: Query) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return "?" + urlencode(given) if given else ""


def _bearer(tokens: Tokens) -> dict[str, str]:
    return {"authorization": f"Bearer {tokens.access_token}"}


def _tokens(document: Document) -> Tokens:
    try:
        return Tokens(
            access_token=str(document["access_token"]),
            refresh_token=str(document["refresh_token"]),
            expires_us=_now_us() + int(document["expires_in"]) * 1_000_000,
        )
    except (KeyError, ValueError, TypeError):
        raise ConsoleUnreachable("it does not answer like a console") from None


def _document(answer: Answer) -> Document:
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ConsoleUnreachable("it does not answer like a console")
    return document


def _problem(answer: Answer) -> ProblemAnswer:
    """Reads a problem document; anything else is told by its status alone."""
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        document = None
    told: Document = document if isinstance(document, dict) else {}
    detail = _faults(told.get("errors")) or told.get("detail") or f"the console answered {answer.status}"
    return ProblemAnswer(
        code=str(told.get("code") or f"http_{answer.status}"),
        status=answer.status,
        title=str(told.get("title") or "Ask whoever runs the gateway."),
        detail=str(detail),
        request_id=told.get("request_id") or answer.headers.get("x-request-id"),
    )


def _faults(errors: object) -> str:
    """Joins the fields at fault, as people name them, and what is wrong with each."""
    rows = errors if isinstance(errors, list) else []
    faults = [(str(row.get("at")), row.get("problem")) for row in rows if isinstance(row, dict)]
    return "; ".join(f"{at.removeprefix('body.').removeprefix('query.')}: {fault}" for at, fault in faults)


def _now_us() -> int:
    return time.time_ns() // 1000
