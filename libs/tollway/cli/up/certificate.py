"""A self-signed certificate for `--self-signed`."""

from __future__ import annotations

import ipaddress
import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tollway.cli import envfile

VALID_DAYS = 397
RENEW_DAYS = 30


def self_signed(directory: Path, bind: str) -> tuple[Path, Path]:
    """Paths of certificate and key (PEM), made anew when there are none or when they soon expire."""
    certificate, key = directory / "cert.pem", directory / "key.pem"
    names = {"localhost", socket.gethostname(), "127.0.0.1", "::1", bind} - {"0.0.0.0", "::"}  # noqa: S104
    if not (certificate.exists() and key.exists() and _good(certificate, names)):
        directory.mkdir(mode=0o700, exist_ok=True)
        certificate_pem, key_pem = _make(sorted(names))
        envfile.write_private(key, key_pem)
        envfile.write_private(certificate, certificate_pem)
        os.chmod(certificate, 0o644)
    return certificate, key


def _good(path: Path, names: set[str]) -> bool:
    from cryptography import x509

    found = x509.load_pem_x509_certificate(path.read_bytes())
    alternative = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    have = {str(item.value) for item in alternative}
    return names <= have and found.not_valid_after_utc > datetime.now(UTC) + timedelta(days=RENEW_DAYS)


def _make(names: list[str]) -> tuple[str, str]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tollway self-signed")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return built.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def _general(name: str) -> "x509.GeneralName":  # type: ignore[name-defined]  # noqa: F821, UP037
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
