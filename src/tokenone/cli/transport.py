"""One HTTP connection to the console: sends a request, returns the whole answer.

Law: https, or http to this very machine; certificates are verified; no redirects, no proxies, no environment.
A connection that the console closed between two requests is dialed again once. The standard library does,
and starts four times as fast as a client library: most of a command's time is its start.
"""

from __future__ import annotations

import http.client
import ipaddress
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from tokenone.errors import ConfigRefused, OperatorError

_TIMEOUT_SECONDS: Final = 60.0
_MAX_ANSWER: Final = 64 * 1024 * 1024


class ConsoleUnreachable(OperatorError):
    code, advice = "console_unreachable", "Start it with `tokenone serve`, or name another one with --url."


class Answer(NamedTuple):
    """A whole response; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Transport:
    """Keeps one connection alive for the length of a command."""

    def __init__(self, url: str, ca_file: Path | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigRefused("the console's URL is https://host[:port]")
        if parts.scheme == "http" and not _this_machine(parts.hostname):
            raise ConfigRefused("plain http is for this machine only; use https to reach another one")
        self.url = f"{parts.scheme}://{parts.netloc}"
        self._connection = _connection(parts.scheme, parts.hostname, parts.port, ca_file)

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        """Sends one request; raises ConsoleUnreachable in one sentence for whatever goes wrong below HTTP."""
        reused = self._connection.sock is not None
        try:
            return self._exchange(method, target, headers, body)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
            self._connection.close()
            if not reused:
                raise ConsoleUnreachable(f"{self.url} broke off") from error
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise ConsoleUnreachable(f"{self.url} does not answer: {_cause(error)}") from error
        return self.send(method, target, headers, body)

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def _exchange(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        self._connection.request(method, target, body=body, headers=dict(headers))
        response = self._connection.getresponse()
        content = response.read(_MAX_ANSWER + 1)
        if len(content) > _MAX_ANSWER:
            raise http.client.HTTPException("an answer of more than 64 MiB")
        return Answer(
            response.status, {name.lower(): value for name, value in response.getheaders()}, content
        )


def _connection(scheme: str, host: str, port: int | None, ca_file: Path | None) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigRefused(f"the CA file cannot be read: {_cause(error)}") from None
    return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_SECONDS, context=context)


def _this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _cause(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}); name its CA with --ca-file"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
