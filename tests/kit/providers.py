"""Every provider of the recorded exchanges: where callers reach it, what its keys look like, how it is laid out.

Law: keys are made here, of the providers' forms and known to nobody; Google's token server is a scripted one.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from kit.installation import Installation
from kit.routes import Route
from kit.scripted import Scripted, answer
from kit.shared import Exchange, exchanges
from tokenone.testing.authority import Authority
from tokenone.types import Provider

FOLDERS = {
    "azure": Provider.AZURE,
    "bedrock": Provider.BEDROCK,
    "cohere": Provider.COHERE,
    "gemini": Provider.GEMINI,
    "openrouter": Provider.OPENROUTER,
    "vertex": Provider.VERTEX,
    "ollama": Provider.CUSTOM,
    "openai-compat": Provider.CUSTOM,
}
"""Folders of recorded exchanges → whose facts serve them."""
PREFIXES = {Provider.GEMINI: "google"}
_SUFFIX = re.compile(r"/(?:chat/completions|completions|responses|embeddings|api/(?:chat|generate))$")
_VERSION = re.compile(r"/v[0-9]")


@dataclass(frozen=True)
class TokenServer:
    """A scripted token server by TLS, and the authority of its certificate."""

    scripted: Scripted
    ca_pem: str


@contextlib.contextmanager
def token_server(folder: Path) -> Iterator[TokenServer]:
    """Answers every request as Google's token server does."""
    authority = Authority()
    told = json.dumps({"access_token": "ya29." + "q" * 60, "expires_in": 3599, "token_type": "Bearer"})
    with Scripted(lambda _: answer(told.encode()), tls=authority.server_context(folder)) as scripted:
        yield TokenServer(scripted, authority.ca_pem)


@cache
def _private_key() -> str:
    made = rsa.generate_private_key(65537, 2048)
    form = serialization.PrivateFormat.PKCS8
    return made.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def service_account(token_uri: str) -> str:
    """A service account's file, made for this run."""
    return json.dumps(
        {
            "type": "service_account", "project_id": "a-project", "private_key_id": "0123456789abcdef",
            "private_key": _private_key(), "client_email": "caller@a-project.iam.gserviceaccount.com",
            "client_id": "100000000000000000000", "token_uri": token_uri,
            "auth_uri": "https://accounts.google.com/o/oauth2/auth", "universe_domain": "googleapis.com",
            "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
            "client_x509_cert_url": "https://www.googleapis.com/robot/v1/metadata/x509/caller",
        }
    )  # fmt: skip


def secret_for(provider: Provider, tokens: TokenServer) -> str:
    """A key of the provider's form."""
    access = {
        "type": "aws", "access_key_id": "AKIA" + "Q" * 16, "secret_access_key": "q" * 40, "region": "us-east-1",
    }  # fmt: skip
    return {
        Provider.AZURE: "azure" + "q" * 32,
        Provider.BEDROCK: json.dumps(access),
        Provider.COHERE: "c0here" + "q" * 34,
        Provider.GEMINI: "AIza" + "q" * 35,
        Provider.OPENROUTER: "sk-or-v1-" + "0" * 64,
        Provider.VERTEX: service_account(f"{tokens.scripted.origin}/token"),
        Provider.CUSTOM: "sk-" + "q" * 40,
    }[provider]


def base_of(exchange: Exchange) -> str:
    """What stands before the path that services of one's own choice have in common; empty elsewhere."""
    if FOLDERS[exchange.provider] is not Provider.CUSTOM:
        return ""
    return _SUFFIX.sub("", exchange.path)


def endpoint_name(folder: str, base: str) -> str:
    """A name that can stand in a path."""
    return f"{folder}{base}".replace("/", "-")


def front_path(exchange: Exchange) -> str:
    """Where a recorded request goes at the gateway; an empty segment of one recording is left out."""
    provider = FOLDERS[exchange.provider]
    path = exchange.path.replace("//", "/")
    if provider is not Provider.CUSTOM:
        return f"/{PREFIXES.get(provider, provider.value)}{path}"
    base = base_of(exchange)
    below = ("/v1" if _VERSION.search(base) else "") + exchange.path.removeprefix(base)
    return f"/custom/{endpoint_name(exchange.provider, base)}{below}"


def route_to(
    installation: Installation, name: str, origin: str, tokens: TokenServer, action: str = "flag"
) -> Route:
    """A workload whose keys of every provider lead to one upstream, which tells them by their folders."""
    desk = installation.desk()
    owner = desk.tenant(name, detect={"request": "flag", "response": action})
    place = desk.place(owner, name, grants=["inference", "stateful"])
    for folder, provider in FOLDERS.items():
        for base in sorted({base_of(exchange) for exchange in exchanges(folder)}):
            fields: dict[str, Any] = {"origins": [origin]}
            if provider is Provider.VERTEX:
                fields = {"origins": [origin, tokens.scripted.origin], "ca_pem": tokens.ca_pem}
            endpoint = desk.endpoint(
                provider.value, origin, tenant=owner, name=endpoint_name(folder, base),
                base_path=f"/{folder}{base}", **fields,
            )  # fmt: skip
            key = desk.key(owner, provider.value, endpoint, secret_for(provider, tokens))
            desk.assign(key, "workload", place.workload)
    installation.until_current()
    return Route(origin, place)
