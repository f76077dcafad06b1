"""A local certificate authority for tests and the demo: short-lived, loopback names, files 0600.

Law: private keys are written with mode 0600 or not at all, and every certificate ends with the authority's
own short life. It does not install itself anywhere: clients are given `ca_pem`.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME: Final = datetime.timedelta(days=2)
BACKDATE: Final = datetime.timedelta(minutes=5)
LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where a certificate chain and its private key lie, both PEM."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority that lives in this object and in the files it was asked to write."""

    __slots__ = ("_certificate", "_key")

    def __init__(
        self, *, name: str = "tokenone local authority", lifetime: datetime.timedelta = LIFETIME
    ) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(subject, subject, self._key.public_key(), lifetime)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
        self._certificate = builder.sign(self._key, hashes.SHA256())

    @property
    def ca_pem(self) -> str:
        """The authority's certificate, for a client's trust store."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")

    def write_ca(self, path: Path) -> Path:
        """Writes the authority's certificate (public) and returns the path."""
        path.write_text(self.ca_pem, encoding="ascii")
        return path

    def issue(
        self, directory: Path, names: tuple[str, ...] = LOOPBACK_NAMES, *, stem: str = "server"
    ) -> CertificateFiles:
        """Issues a server-and-client certificate for names and IP addresses; writes both files 0600."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        until = self._certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
        builder = _builder(subject, self._certificate.subject, key.public_key(), min(LIFETIME, until))
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = builder.add_extension(issuer, critical=False).sign(self._key, hashes.SHA256())
        files = CertificateFiles(directory / f"{stem}.crt", directory / f"{stem}.key")
        _write_private(files.certificate, certificate.public_bytes(serialization.Encoding.PEM))
        _write_private(files.key, _key_pem(key))
        return files

    def server_context(self, directory: Path, names: tuple[str, ...] = LOOPBACK_NAMES) -> ssl.SSLContext:
        """Issues a certificate into `directory` and returns a TLS server context that presents it."""
        files = self.issue(directory, names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(files.certificate, files.key)
        return context

    def client_context(self) -> ssl.SSLContext:
        """Returns a verifying TLS client context that trusts this authority alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self.ca_pem)
        return context


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, lifetime: datetime.timedelta
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public_key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - BACKDATE).not_valid_after(now + lifetime)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption())


def _write_private(path: Path, content: bytes) -> None:
    """Replaces the file with one of mode 0600; a crash in between leaves the old one."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    fresh.replace(path)
