"""A certificate authority of the tests' own, and the names of the world's servers pointed at loopback."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_YEAR = timedelta(days=365)


class Authority:
    """Signs certificates; `trust` is its own, as a file for SSL_CERT_FILE and REQUESTS_CA_BUNDLE."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tests")])
        basic = x509.BasicConstraints(ca=True, path_length=0)
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        certificate = (
            self._begun(self._name, self._key)
            .add_extension(basic, critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.trust = folder / "trust.pem"
        self.trust.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def files(self, *names: str) -> tuple[Path, Path]:
        """Return a certificate for these names or addresses, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        others = x509.SubjectAlternativeName([_general(name) for name in names])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            self._begun(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]), key)
            .add_extension(others, critical=False)
            .add_extension(issuer, critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        paths = self._folder / f"{names[0]}.pem", self._folder / f"{names[0]}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        unlocked = serialization.NoEncryption()
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        paths[1].write_bytes(key.private_bytes(pem, pkcs8, unlocked))
        return paths

    def server_context(self, *names: str) -> ssl.SSLContext:
        """Return what a server needs to be these names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.files(*names))
        return context

    def _begun(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + _YEAR)
        )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def lead_to_loopback(patch: pytest.MonkeyPatch, names: Mapping[str, int] | Iterable[str], port: int = 0) -> None:
    """Have these names, and no other, lead to a port of loopback; asking for another one fails the lookup."""
    ports = dict(names) if isinstance(names, Mapping) else dict.fromkeys(names, port)
    ask = socket.getaddrinfo

    def answer(host: Any, asked: Any, *args: Any, **options: Any) -> Any:
        if host in ("127.0.0.1", "localhost", "::1"):
            return ask(host, asked, *args, **options)
        if host in ports:
            return ask("127.0.0.1", ports[host], *args, **options)
        raise socket.gaierror(socket.EAI_NONAME, f"{host} is not one of the names of this test")

    patch.setattr(socket, "getaddrinfo", answer)
