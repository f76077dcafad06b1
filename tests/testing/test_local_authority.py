"""The local certificate authority: short-lived, verifying, private files."""

import datetime
import socket
import ssl
import stat
import threading

import pytest
from cryptography import x509

from tokenone.testing.authority import Authority


def shake_hands(server_context, client_context, name):
    """Runs one TLS handshake over a socket pair and returns the client's error, if any."""
    left, right = socket.socketpair()

    def serve():
        try:
            with server_context.wrap_socket(left, server_side=True) as tls:
                tls.recv(1)
        except OSError:
            left.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client_context.wrap_socket(right, server_hostname=name) as tls:
            tls.send(b"x")
            return None
    except ssl.SSLError as error:
        return error
    finally:
        right.close()
        thread.join(10)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_a_client_that_trusts_the_authority_reaches_its_server(tmp_path, name):
    authority = Authority()
    assert shake_hands(authority.server_context(tmp_path), authority.client_context(), name) is None


def test_a_client_of_another_authority_refuses(tmp_path):
    server = Authority().server_context(tmp_path)
    assert isinstance(
        shake_hands(server, Authority().client_context(), "localhost"), ssl.SSLCertVerificationError
    )


def test_a_server_of_another_name_is_refused(tmp_path):
    authority = Authority()
    server = authority.server_context(tmp_path, ("provider.example",))
    assert shake_hands(server, authority.client_context(), "provider.example") is None
    assert isinstance(
        shake_hands(server, authority.client_context(), "localhost"), ssl.SSLCertVerificationError
    )


def test_private_files_are_readable_by_their_owner_alone(tmp_path):
    files = Authority().issue(tmp_path)
    for path in (files.certificate, files.key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_issuing_again_replaces_the_files(tmp_path):
    authority = Authority()
    first = authority.issue(tmp_path).key.read_bytes()
    assert authority.issue(tmp_path).key.read_bytes() != first


def test_certificates_live_for_days_and_never_longer_than_their_authority(tmp_path):
    authority = Authority(lifetime=datetime.timedelta(hours=1))
    certificate = x509.load_pem_x509_certificate(authority.issue(tmp_path).certificate.read_bytes())
    ca = x509.load_pem_x509_certificate(authority.ca_pem.encode())
    assert certificate.not_valid_after_utc <= ca.not_valid_after_utc
    assert ca.not_valid_after_utc - ca.not_valid_before_utc < datetime.timedelta(days=3)
