"""TLS on the proxy port: clients are served over it, and a certificate that cannot be loaded is one clear line."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tollway.dataplane.http.tls import Certificate
from tollway.testkit.stack import SIMULATED, Service, Stack, http, until


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    import datetime
    import ipaddress

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tollway")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def test_clients_are_served_over_tls(stack: Stack, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    service = stack.add_dataplane(TOLLWAY_TLS_CERT=str(cert), TOLLWAY_TLS_KEY=str(key))
    url = f"https://127.0.0.1:{service.ports['proxy']}/v1/chat/completions"
    body = {"model": SIMULATED, "messages": [{"role": "user", "content": "hi"}]}
    trusting = ssl.create_default_context(cafile=str(cert))
    with httpx.Client(verify=trusting) as client:
        answer = client.post(url, json=body, headers={"Authorization": f"Bearer {stack.key}"})
    assert answer.status_code == 200
    with httpx.Client() as stranger, pytest.raises(httpx.ConnectError):
        stranger.post(url, json=body)


def shown(service: Service, **limits: Any) -> tuple[bytes, str | None, str | None]:
    """The certificate that a new connection gets, the protocol agreed on, and the version of TLS."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    for name, value in limits.items():
        setattr(context, name, value)
    with socket.create_connection(("127.0.0.1", service.ports["proxy"])) as plain, context.wrap_socket(plain) as made:
        return made.getpeercert(binary_form=True) or b"", made.selected_alpn_protocol(), made.version()


def test_a_changed_certificate_is_used_and_a_broken_one_is_not(stack: Stack, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    service = stack.add_dataplane(TOLLWAY_TLS_CERT=str(cert), TOLLWAY_TLS_KEY=str(key))
    first, protocol, version = shown(service)
    assert (protocol, version) == ("http/1.1", "TLSv1.3")
    assert shown(service, maximum_version=ssl.TLSVersion.TLSv1_2)[2] == "TLSv1.2"
    key.write_text("no key")
    os.utime(key)
    until(
        lambda: 'tollway_tls_reloads_total{result="failed"} 1.0' in metrics(service), 10, "the failure in the metrics"
    )
    assert "the changed certificate cannot be used" in service.tail()
    assert shown(service)[0] == first
    certificate(tmp_path)
    until(lambda: shown(service)[0] != first, 10, "the new certificate")
    assert 'tollway_tls_reloads_total{result="used"}' in metrics(service)
    assert stack.ready(service)


def test_old_versions_and_weak_ciphers_are_refused(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    context = Certificate(str(cert), str(key)).context
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    weak = [cipher["name"] for cipher in context.get_ciphers() if not cipher["aead"]]
    assert weak == []
    assert {cipher["kea"] for cipher in context.get_ciphers()} == {"kx-ecdhe", "kx-any"}


def metrics(service: Service) -> str:
    """What it counts."""
    return str(http("GET", f"http://127.0.0.1:{service.ports['admin']}/metrics")[2])


def test_a_certificate_that_cannot_be_loaded_is_one_clear_line(stack: Stack, tmp_path: Path) -> None:
    environment = {**stack.dataplanes[0]._environment, "TOLLWAY_TLS_CERT": str(tmp_path / "missing.pem")}
    done = subprocess.run(
        [sys.executable, "-m", "tollway.dataplane.main", "serve"],
        env=environment, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: TOLLWAY_TLS_CERT")
