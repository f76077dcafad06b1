"""A real installation in a folder: `tokenone init` and `tokenone serve` as processes, driven by its REST API.

Law: everything runs on loopback, every process started here is ended here by its id, nothing is mocked.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tokenone.canonical import b64, unb64
from tokenone.vault.seal import SealContext, seal

PASSWORD = "correct horse battery staple"
START_SECONDS = 60


def free_port() -> int:
    """Returns a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Workplace:
    """A tenant with a project, a workload and a caller token."""

    tenant: str
    project: str
    workload: str
    token: str
    token_id: str


@dataclass
class Installation:
    """One installation; `start` it, talk to it, `stop` it."""

    directory: Path
    workers: int = 1
    egress: tuple[str, ...] = ("127.0.0.0/8",)
    settings: dict[str, str] = field(default_factory=dict)
    gateway_port: int = field(default_factory=free_port)
    console_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    lines: list[str] = field(default_factory=list)
    _client: httpx2.Client | None = None

    @property
    def gateway(self) -> str:
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def console(self) -> str:
        return f"http://127.0.0.1:{self.console_port}"

    def environment(self) -> dict[str, str]:
        """Returns what the processes are told by their environment."""
        told = {
            "TOKENONE_DIR": str(self.directory),
            "TOKENONE_GATEWAY__LISTEN": f"127.0.0.1:{self.gateway_port}",
            "TOKENONE_GATEWAY__WORKERS": str(self.workers),
            "TOKENONE_CONSOLE__LISTEN": f"127.0.0.1:{self.console_port}",
            "TOKENONE_EGRESS__ALLOW": json.dumps(list(self.egress)),
        }
        return {**os.environ, **told, **self.settings}

    def command(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Runs `tokenone …` to its end."""
        return subprocess.run(
            [sys.executable, "-m", "tokenone.main", *arguments],
            env=self.environment(), input=stdin, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def init(self) -> None:
        """Makes the installation, with the person `admin`."""
        done = self.command("init", "--admin", "admin", "--password-stdin", stdin=PASSWORD + "\n")
        if done.returncode:
            raise AssertionError(f"init failed: {done.stdout}{done.stderr}")

    def start(self) -> None:
        """Starts the supervisor and waits until everything is ready."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tokenone.main", "serve"],
            env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        ready = threading.Event()
        threading.Thread(target=self._read, args=(self.process, ready), daemon=True).start()
        if not ready.wait(START_SECONDS) or self.process.poll() is not None:
            self.stop()
            raise AssertionError("serve did not get ready:\n" + "\n".join(self.lines))

    def _read(self, process: subprocess.Popen[bytes], ready: threading.Event) -> None:
        assert process.stdout is not None
        for raw in process.stdout:
            line = raw.decode("utf-8", "replace").rstrip()
            self.lines.append(line)
            if line.startswith("ready"):
                ready.set()
        ready.set()

    def stop(self) -> None:
        """Ends the supervisor; it ends its children."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(10)
        self.process = None

    def kill(self) -> None:
        """Ends every process of the installation at once, as a power cut does."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self.process = None
        self._client = None

    # ── management ─────────────────────────────────────────────────────────────────────────────────────
    def api(self, method: str, path: str, body: object = None, *, expect: int | None = None) -> Any:
        """Calls the management API as the admin; returns the decoded answer."""
        answer = self.client().request(method, f"/api/v1{path}", json=body)
        if expect is not None and answer.status_code != expect:
            raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text}")
        if expect is None and answer.is_error:
            raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    def client(self) -> httpx2.Client:
        """Returns a signed-in client of the management API."""
        if self._client is None:
            client = httpx2.Client(base_url=self.console, timeout=30, trust_env=False)
            answer = client.post("/api/v1/session", json={"name": "admin", "password": PASSWORD})
            answer.raise_for_status()
            client.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
            self._client = client
        return self._client

    def tenant(self, name: str, **fields: object) -> str:
        """Makes a tenant and returns its id."""
        made: dict[str, Any] = self.api("POST", "/tenants", {"name": name, **fields})
        return str(made["id"])

    def workplace(
        self, name: str, *, mode: str = "live", grants: list[str] | None = None, **tenant: object
    ) -> Workplace:
        """Makes a tenant with one project, one workload and a token."""
        tenant_id = self.tenant(name, **tenant)
        return self.place(tenant_id, name, mode=mode, grants=grants)

    def place(
        self, tenant_id: str, name: str, *, mode: str = "live", grants: list[str] | None = None
    ) -> Workplace:
        """Makes a project, a workload and a token in a tenant."""
        project = self.api("POST", "/projects", {"tenant": tenant_id, "name": f"{name} project"})["id"]
        workload = self.api("POST", "/workloads", {"project": project, "name": f"{name} workload"})["id"]
        body = {"workload": workload, "mode": mode, "grants": grants or ["inference"]}
        token = self.api("POST", "/tokens", body)
        return Workplace(tenant_id, project, workload, token["text"], token["id"])

    def endpoint(self, provider: str, origin: str, *, tenant: str | None = None, **fields: object) -> str:
        """Makes an endpoint and returns its id."""
        body = {
            "tenant": tenant,
            "provider": provider,
            "name": f"{provider} at {origin}",
            "origins": [origin],
            **fields,
        }
        return str(self.api("POST", "/endpoints", body)["id"])

    def key(self, tenant: str, provider: str, endpoint: str, secret: str, **fields: object) -> str:
        """Seals a secret on this side, adds the key and returns its id."""
        asked = self.api("POST", "/challenges", {"tenant": tenant, "endpoint": endpoint})
        context = SealContext(**asked["context"])
        sealed = seal(unb64(asked["sealing_key"]["public"]), secret.encode(), context)
        body = {
            "key_id": asked["key_id"], "challenge": asked["challenge"], "tenant": tenant, "provider": provider,
            "endpoint": endpoint, "name": f"{provider} {asked['key_id'][-6:]}", "sealed": b64(sealed), **fields,
        }  # fmt: skip
        return str(self.api("POST", "/keys", body)["id"])

    def assign(self, key: str, kind: str, scope: str, **fields: object) -> str:
        """Assigns a key to a scope and returns the assignment's id."""
        return str(
            self.api("POST", "/assignments", {"key": key, "kind": kind, "scope": scope, **fields})["id"]
        )
