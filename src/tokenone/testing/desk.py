"""Drives an installation over its management API, as a person at a desk would: sign in, add, seal, assign.

Law: secrets are sealed on this side; what the API refuses is raised with its code. For the demo, the tests
and the benchmarks.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx2

from tokenone.canonical import b64, unb64
from tokenone.vault.seal import SealContext, seal


class Refused(Exception):
    """The management API refused; `code` is the problem's stable code."""

    def __init__(self, method: str, path: str, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{method} {path}: {status} {problem.get('code')}: {problem.get('detail')}")
        self.status = status
        self.code = str(problem.get("code"))


@dataclass(frozen=True, slots=True)
class Workplace:
    """A tenant with a project, a workload and a caller token."""

    tenant: str
    project: str
    workload: str
    token: str
    token_id: str


class Desk:
    """A signed-in client of one console."""

    def __init__(self, url: str, name: str, password: str, *, verify: Any = True) -> None:
        self._client = httpx2.Client(base_url=url, timeout=30, trust_env=False, verify=verify)
        answer = self.api("POST", "/session", {"name": name, "password": password})
        self._client.headers["authorization"] = f"Bearer {answer['access_token']}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connections; the session lapses by itself."""
        self._client.close()

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Calls `/api/v1` and returns the decoded answer; raises Refused."""
        answer = self._client.request(method, f"/api/v1{path}", json=body)
        decoded = answer.json() if answer.content else None
        if answer.is_error:
            raise Refused(method, path, answer.status_code, decoded if isinstance(decoded, dict) else {})
        return decoded

    def tenant(self, name: str, **fields: object) -> str:
        """Makes a tenant and returns its id."""
        return str(self.api("POST", "/tenants", {"name": name, **fields})["id"])

    def place(self, tenant: str, name: str, **token: object) -> Workplace:
        """Makes a project, a workload and a caller token in a tenant."""
        project = str(self.api("POST", "/projects", {"tenant": tenant, "name": f"{name} project"})["id"])
        workload = str(self.api("POST", "/workloads", {"project": project, "name": f"{name} workload"})["id"])
        minted = self.token(workload, **token)
        return Workplace(tenant, project, workload, minted["text"], minted["id"])

    def token(self, workload: str, **fields: object) -> dict[str, Any]:
        """Mints a caller token; its `text` is in this answer alone."""
        minted: dict[str, Any] = self.api("POST", "/tokens", {"workload": workload, **fields})
        return minted

    def endpoint(self, provider: str, origin: str, *, tenant: str | None = None, **fields: object) -> str:
        """Makes an endpoint and returns its id."""
        body = {
            "tenant": tenant,
            "provider": provider,
            "name": f"{provider} at {origin}",
            "origins": [origin],
        }
        return str(self.api("POST", "/endpoints", {**body, **fields})["id"])

    def key(self, tenant: str, provider: str, endpoint: str, secret: str, **fields: object) -> str:
        """Seals a secret here, adds the key and returns its id."""
        asked = self.api("POST", "/challenges", {"tenant": tenant, "endpoint": endpoint})
        sealed = seal(unb64(asked["sealing_key"]["public"]), secret.encode(), SealContext(**asked["context"]))
        body = {
            "key_id": asked["key_id"],
            "challenge": asked["challenge"],
            "tenant": tenant,
            "provider": provider,
            "endpoint": endpoint,
            "name": f"{provider} {asked['key_id'][-6:]}",
            "sealed": b64(sealed),
        }
        return str(self.api("POST", "/keys", {**body, **fields})["id"])

    def assign(self, key: str, kind: str, scope: str, **fields: object) -> str:
        """Assigns a key to a scope and returns the assignment's id."""
        return str(
            self.api("POST", "/assignments", {"key": key, "kind": kind, "scope": scope, **fields})["id"]
        )
