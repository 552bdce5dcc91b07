"""The certificate that clients are shown is the one that was loaded last, whatever kind of key it has."""

from __future__ import annotations

import datetime
import os
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from tollway.dataplane.http.tls import Certificate

EC = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def write(path: Path, key: Key) -> bytes:
    """A self-signed certificate with its key; returns the certificate as clients see it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tollway")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    os.utime(path, ns=(0, made.serial_number % 10**15))
    return made.public_bytes(serialization.Encoding.DER)


def shown(context: ssl.SSLContext, version: ssl.TLSVersion, name: str | None) -> tuple[bytes | None, str | None]:
    """What a handshake in memory comes to: the certificate and the protocol."""
    asking = ssl.create_default_context()
    asking.check_hostname, asking.verify_mode = False, ssl.CERT_NONE
    asking.maximum_version = version
    asking.set_alpn_protocols(["h2", "http/1.1"])
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    client = asking.wrap_bio(to_client, to_server, server_hostname=name)
    left = [client, server]
    for _ in range(10):
        for side in list(left):
            try:
                side.do_handshake()
                left.remove(side)
            except ssl.SSLWantReadError:
                continue
    assert left == []
    assert server.selected_alpn_protocol() == client.selected_alpn_protocol()
    return client.getpeercert(binary_form=True), client.selected_alpn_protocol()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("keys", [(EC, RSA, EC), (RSA, EC, RSA)])
def test_a_new_kind_of_key_takes_the_place_of_the_old(
    tmp_path: Path, version: ssl.TLSVersion, keys: tuple[Key, ...]
) -> None:
    path = tmp_path / "cert.pem"
    first = write(path, keys[0])
    certificate = Certificate(str(path), "")
    listening = certificate.context
    assert shown(listening, version, None) == (first, "http/1.1")
    for key in keys[1:]:
        newer = write(path, key)
        certificate.look()
        assert shown(listening, version, "a.example") == (newer, "http/1.1")
        assert shown(listening, version, None) == (newer, "http/1.1")
    path.write_text("no certificate")
    certificate.look()
    assert shown(listening, version, None) == (newer, "http/1.1")
    assert (certificate.reloads, certificate.failures) == (2, 1)
