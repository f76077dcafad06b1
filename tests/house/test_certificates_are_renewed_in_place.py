"""Both ports speak TLS 1.3 with the operator's certificate and take a new one while they run."""

from __future__ import annotations

import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.installation import Installation
from tokenone.testing.authority import Authority

FILES = ("server.crt", "server.key")


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, Path]]:
    """A running installation and the folder with its certificate."""
    folder = tmp_path_factory.mktemp("tls")
    settings = {
        f"TOKENONE_{part}__TLS_{what}": str(folder / name)
        for part in ("GATEWAY", "CONSOLE")
        for what, name in zip(("CERT", "KEY"), FILES, strict=True)
    }
    Authority().issue(folder)
    installation = Installation(folder / "data", settings=settings)
    installation.init()
    installation.start()
    yield installation, folder
    installation.stop()


def shake_hands(port: int, context: ssl.SSLContext) -> str | None:
    with (
        socket.create_connection(("127.0.0.1", port), 5) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as tls,
    ):
        return tls.version()


@pytest.mark.parametrize("which", ["gateway", "console"])
def test_a_new_certificate_is_taken_by_a_running_port(
    certified: tuple[Installation, Path], tmp_path: Path, which: str
) -> None:
    installation, folder = certified
    port = installation.gateway_port if which == "gateway" else installation.console_port
    successor = Authority()
    successor.issue(tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(port, successor.client_context())
    for name in FILES:  # one after the other: for a moment they do not fit
        shutil.copy(tmp_path / name, folder / name)
    deadline = time.monotonic() + 20
    while True:
        try:
            assert shake_hands(port, successor.client_context()) == "TLSv1.3"
            return
        except ssl.SSLCertVerificationError:
            assert time.monotonic() < deadline


@pytest.mark.parametrize("which", ["gateway", "console"])
def test_older_tls_is_refused(certified: tuple[Installation, Path], which: str) -> None:
    installation, _ = certified
    port = installation.gateway_port if which == "gateway" else installation.console_port
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        shake_hands(port, context)
