"""Makes TLS contexts: for callers (TLS 1.3, certificates renewed without a restart) and for providers.

Law: providers are verified always, name and chain, with the system's roots or the endpoint's own CA and never
both. No context reads SSLKEYLOGFILE, which `ssl.create_default_context` does.
"""

from __future__ import annotations

import ssl
from collections import OrderedDict
from pathlib import Path
from typing import Final

from tokenone.errors import ConfigRefused, DialFailed

_CACHED_CONTEXTS: Final = 64


class ServerTls:
    """The gateway's certificate; `context` stays the same object while the certificate changes in it."""

    __slots__ = ("_cert", "_client_ca", "_key", "_seen", "context")

    def __init__(self, cert: Path, key: Path, client_ca: Path | None = None) -> None:
        self._cert, self._key, self._client_ca = cert, key, client_ca
        self._seen = self._stamp()
        self.context = server_context(cert, key, client_ca)

    def reload(self) -> bool:
        """Takes changed files for all new connections and says whether it did.

        A pair that does not fit raises ConfigRefused and leaves the running certificate in place. Running
        connections keep theirs. A changed client CA needs a restart: who may connect is not swapped live.
        """
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        server_context(self._cert, self._key, self._client_ca)  # a rehearsal; a bad pair ends here
        _load_chain(self.context, self._cert, self._key)
        self._seen = stamp
        return True

    def _stamp(self) -> tuple[tuple[int, int, int], ...]:
        try:
            stats = [path.stat() for path in (self._cert, self._key)]
        except OSError:
            raise ConfigRefused("the TLS certificate or key cannot be read") from None
        return tuple((stat.st_mtime_ns, stat.st_ino, stat.st_size) for stat in stats)


class ClientContexts:
    """Caches one verifying context per CA; building one costs milliseconds."""

    __slots__ = ("_by_ca",)

    def __init__(self) -> None:
        self._by_ca: OrderedDict[str | None, ssl.SSLContext] = OrderedDict()

    def context(self, ca_pem: str | None) -> ssl.SSLContext:
        """Returns the context for the CA, or for the system's roots."""
        found = self._by_ca.get(ca_pem)
        if found is None:
            found = self._by_ca[ca_pem] = client_context(ca_pem)
            if len(self._by_ca) > _CACHED_CONTEXTS:
                self._by_ca.popitem(last=False)
        else:
            self._by_ca.move_to_end(ca_pem)
        return found


def server_context(cert: Path, key: Path, client_ca: Path | None = None) -> ssl.SSLContext:
    """Returns a TLS 1.3 context; with `client_ca`, callers must show a certificate that it signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    _load_chain(context, cert, key)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(cafile=str(client_ca))
        except OSError:
            raise ConfigRefused("the client CA cannot be read") from None
    return context


def client_context(ca_pem: str | None = None) -> ssl.SSLContext:
    """Returns a context (TLS 1.2 or newer) that verifies by `ca_pem` alone, or by the system's roots."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies name and chain by default
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if ca_pem is None:
        context.load_default_certs()
        return context
    try:
        context.load_verify_locations(cadata=ca_pem)
    except (ssl.SSLError, ValueError):
        raise DialFailed("the endpoint's CA is not PEM") from None
    return context


def _load_chain(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    def no_passphrase() -> str:
        raise ConfigRefused("the TLS key is encrypted; decrypt it for the gateway")

    try:
        context.load_cert_chain(str(cert), str(key), password=no_passphrase)
    except OSError:  # ssl.SSLError is one
        raise ConfigRefused("the TLS certificate and key do not fit or cannot be read") from None
