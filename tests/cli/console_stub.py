"""A console to talk to: a real HTTP server on loopback that keeps the management API's contract, in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tokenone.canonical import b64, unb64
from tokenone.rows import Endpoint
from tokenone.vault.envelope import origin_digest
from tokenone.vault.seal import SealContext, fingerprint, unseal

Row = dict[str, Any]
PASSWORD = "correct horse"
PREFIXES = {
    "tenants": "ten",
    "projects": "prj",
    "workloads": "wrk",
    "endpoints": "ep",
    "keys": "key",
    "assignments": "asg",
    "tokens": "tok",
    "routes": "rte",
}
DEFAULTS: dict[str, Row] = {
    "tenants": {
        "closed": False,
        "restrictions": dict.fromkeys(("models", "providers", "requests_per_minute", "concurrent")),
        "detect": {"request": "flag", "response": "flag"},
        "fee": {"flat_nano": 0, "share_ppm": 0},
        "staleness_us": 600_000_000,
        "rates": [],
    },
    "projects": {
        "closed": False,
        "restrictions": dict.fromkeys(("models", "providers", "requests_per_minute", "concurrent")),
    },
    "workloads": {
        "closed": False,
        "restrictions": dict.fromkeys(("models", "providers", "requests_per_minute", "concurrent")),
    },
    "endpoints": {"base_path": "", "ca_pem": None, "models": [], "fidelity": {}},
    "keys": {"mode": "live", "state": "active", "expires_us": None},
    "assignments": {"weight": 100, "priority": 0},
    "tokens": {
        "mode": "live",
        "expires_us": None,
        "revoked_us": None,
        "addresses": [],
        "grants": ["inference"],
    },
    "routes": {},
}


class ProblemError(Exception):
    def __init__(self, status: int, code: str, detail: str = "", **more: Any) -> None:
        super().__init__(code)
        self.status = status
        self.body = {"code": code, "status": status, "title": "Do this.", "detail": detail or code, **more}


@dataclass
class Stub:
    """The console's state, and levers to make it misbehave."""

    url: str = ""
    rows: dict[str, dict[str, Row]] = field(default_factory=lambda: {name: {} for name in PREFIXES})
    access: set[str] = field(default_factory=set)
    refresh: set[str] = field(default_factory=set)
    seen: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    secrets: dict[str, bytes] = field(default_factory=dict)
    listed: dict[str, list[Row]] = field(default_factory=dict)
    """Answers of /calls, /audit and /costs."""
    explanation: Row = field(default_factory=dict)
    next_problem: ProblemError | None = None
    raw: bytes | None = None
    challenge_lie: Row = field(default_factory=dict)
    lose_text: bool = False
    close_after_answer: bool = False
    usable: bool = True
    page: int = 2
    sealing: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)
    count: int = 0

    def new(self, table: str, **given: Any) -> Row:
        self.count += 1
        row = {
            "id": f"{PREFIXES[table]}_{self.count:020d}",
            **json.loads(json.dumps(DEFAULTS[table])),
            "revision": self.count,
        }
        row.update(given)
        self.rows[table][row["id"]] = row
        return row

    def sessions(self) -> Row:
        self.count += 1
        access, refresh = f"access{self.count}", f"refresh{self.count}"
        self.access.add(access)
        self.refresh.add(refresh)
        return {
            "access_token": access,
            "refresh_token": refresh,
            "token_type": "Bearer",
            "expires_in": 900,
        }

    @property
    def public(self) -> bytes:
        return self.sealing.public_key().public_bytes_raw()

    # ── routes ──
    def answer(self, method: str, path: list[str], query: Row, body: Row, headers: Row) -> Row | None:
        if path[0] == "session":
            return self.session(method, path, body, headers)
        if headers.get("authorization", "").removeprefix("Bearer ") not in self.access:
            raise ProblemError(401, "session_expired")
        if self.next_problem is not None:
            problem, self.next_problem = self.next_problem, None
            raise problem
        if path == ["me"]:
            return {"id": "usr_1", "name": "olga", "role": "owner", "tenant": None, "session": "ses_1"}
        if path == ["sealing-key"]:
            return {"public": b64(self.public), "fingerprint": fingerprint(self.public)}
        if path == ["challenges"]:
            return self.challenge(body)
        if path == ["status"]:
            return {
                "version": "0.1.0",
                "revision": self.count,
                "database_us": 1,
                "index": {},
                "gateway": None,
            }
        if path[0] in self.listed:
            return self.records(path, query)
        if path == ["routes", "explain"]:
            return {**self.explanation, "model": body["model"]}
        if path == ["routes"] and method == "PUT":
            return self.routed(body)
        return self.resource(method, path, query, body)

    def session(self, method: str, path: list[str], body: Row, headers: Row) -> Row | None:
        if method == "DELETE":
            self.access.discard(headers["authorization"].removeprefix("Bearer "))
            return None
        if path == ["session", "refresh"]:
            if body["refresh_token"] not in self.refresh:
                self.access.clear()
                self.refresh.clear()
                raise ProblemError(401, "session_expired")
            self.refresh.discard(body["refresh_token"])
            return self.sessions()
        if body != {"name": "olga", "password": PASSWORD}:
            raise ProblemError(401, "sign_in_refused", "Check name and password.")
        return self.sessions()

    def routed(self, body: Row) -> Row:
        if body["model"].startswith(" "):
            raise ProblemError(422, "invalid_request")
        for row in self.rows["routes"].values():
            if (row["scope"], row["model"]) == (body["scope"], body["model"]):
                row["rules"] = body["rules"]
                return row
        return self.new("routes", tenant="ten_1", **body)

    def challenge(self, body: Row) -> Row:
        self.count += 1
        row = self.rows["endpoints"][body["endpoint"]]
        endpoint = msgspec.convert(row, Endpoint)
        context = {
            "purpose": "provider-key",
            "tenant": body["tenant"],
            "provider": row["provider"],
            "endpoint": row["id"],
            "endpoint_digest": origin_digest(endpoint).hex(),
            "key": f"key_{self.count:020d}",
            "challenge": f"challenge{self.count}",
        }
        return {
            "challenge": context["challenge"],
            "key_id": context["key"],
            "version": 1,
            "context": {**context, **self.challenge_lie},
            "sealing_key": {"public": b64(self.public), "fingerprint": fingerprint(self.public)},
        }

    def records(self, path: list[str], query: Row) -> Row:
        items = self.listed[path[0]]
        if len(path) == 2:
            found = [item for item in items if item["id"] == path[1]]
            if not found:
                raise ProblemError(404, "not_found")
            return dict(found[0])
        return {"items": items, "from_us": 0, "to_us": 1} if path == ["costs"] else self.cut(items, query)

    def cut(self, items: list[Row], query: Row) -> Row:
        start = int(query.get("cursor", 0))
        end = start + min(int(query.get("limit", 50)), self.page)
        return {"items": items[start:end], "next": str(end) if end < len(items) else None}

    def resource(self, method: str, path: list[str], query: Row, body: Row) -> Row | None:
        kind = path[0]
        if kind not in self.rows:
            raise ProblemError(404, "not_found")
        if method == "GET" and len(path) == 1:
            return self.cut([row for row in self.rows[kind].values() if self.fits(kind, row, query)], query)
        if method == "POST" and len(path) == 1:
            return self.make(kind, body)
        row = self.rows[kind].get(path[1])
        if row is None:
            raise ProblemError(404, "not_found", "no such row")
        if len(path) == 3:
            return self.act(kind, row, path[2], body)
        if method == "DELETE":
            del self.rows[kind][row["id"]]
            return None
        if method == "PATCH":
            row.update(body, revision=row["revision"] + 1)
        return row

    def fits(self, kind: str, row: Row, query: Row) -> bool:
        filters = {name: value for name, value in query.items() if name not in ("limit", "cursor")}
        if kind == "endpoints" and row["tenant"] is None:
            filters.pop("tenant", None)
        if kind == "tokens" and "tenant" in filters:
            workload = self.rows["workloads"][row["workload"]]
            return bool(workload["tenant"] == filters["tenant"])
        return all(row.get(name) == value for name, value in filters.items())

    def make(self, kind: str, body: Row) -> Row:
        if kind == "keys":
            return self.take_in(body)
        if kind == "workloads":
            body = {**body, "tenant": self.rows["projects"][body["project"]]["tenant"]}
        if any(
            kind.endswith("s") and row.get("name") == body.get("name", 0) for row in self.rows[kind].values()
        ):
            raise ProblemError(409, "conflict", "that name is taken")
        row = self.new(kind, **body)
        if kind == "tokens":
            return {**row, "text": None if self.lose_text else f"to_live_{row['id']}"}
        return row

    def take_in(self, body: Row) -> Row:
        endpoint = self.rows["endpoints"][body["endpoint"]]
        digest = origin_digest(msgspec.convert(endpoint, Endpoint)).hex()
        context = SealContext(
            body["tenant"], body["provider"], body["endpoint"], digest, body["key_id"], body["challenge"]
        )
        self.secrets[body["key_id"]] = unseal(self.sealing, unb64(body["sealed"]), context)
        versions = [{"version": 1, "state": "active", "masked": "sk-…wxyz", "fingerprint": "f"}]
        kept = {name: body[name] for name in ("tenant", "provider", "endpoint", "name", "mode", "expires_us")}
        return self.new("keys", id=body["key_id"], versions=versions, **kept)

    def act(self, kind: str, row: Row, action: str, body: Row) -> Row:
        del body
        if action == "test":
            return {"usable": self.usable, "status": 200, "class": None, "detail": "", "elapsed_us": 5}
        if action == "rotate":
            return self.make("tokens", {"workload": row["workload"]})
        state = {
            "suspend": "suspended",
            "resume": "active",
            "compromise": "compromised",
            "destroy": "destroyed",
        }
        if kind == "tokens":
            row["revoked_us"] = 1_790_000_000_000_000
        else:
            row["state"] = state[action]
        return row


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub: ClassVar[Stub]

    def handle_any(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length) or b"null") or {}
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.stub.seen.append((self.command, self.path, headers, body))
        path = parts.path.removeprefix("/api/v1/").split("/")
        kind = "application/json"
        try:
            answer = self.stub.answer(self.command, path, dict(parse_qsl(parts.query)), body, headers)
            status = 204 if answer is None else 200
            content = b"" if answer is None else json.dumps(answer).encode()
        except ProblemError as problem:
            status, content, kind = (
                problem.status,
                json.dumps(problem.body).encode(),
                "application/problem+json",
            )
        content = content if self.stub.raw is None else self.stub.raw
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.send_header("x-request-id", "req_stub")
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = self.close_connection or self.stub.close_after_answer

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


@dataclass(frozen=True)
class Ended:
    """How a command line ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Tokenone = Callable[..., Ended]
