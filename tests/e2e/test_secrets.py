"""Canary secrets appear nowhere: not in logs, metrics, answers, headers, Valkey, or a table outside its ciphertext."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from tollway.testkit.stack import SIMULATED, Stack, http, until

PROVIDER_KEY = "sk-canaryProviderKey0123456789abcdef"
READS = {
    "string": ("GET",),
    "hash": ("HGETALL",),
    "set": ("SMEMBERS",),
    "zset": ("ZRANGE", "0", "-1"),
    "stream": ("XRANGE", "-", "+"),
}
"""How a value of each type of Valkey is read whole."""
IMPORTED = "canary-imported-value-Zx81Qw93Lm47Tr25"


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack at log level debug that has seen successes, refusals, provider faults and forced failures."""
    stack = Stack(tmp_path_factory.mktemp("noisy"))
    stack.log_level = "debug"
    try:
        stack.start()
        stack.api("POST", "providers/sim/credentials/main:rotate", {"api_key": PROVIDER_KEY})
        stack.api("POST", "keys", {"project": "demo", "name": "imported", "value": IMPORTED})
        until(lambda: stack.chat(key=IMPORTED)[0] == 200, 5, "the imported key")
        yield stack
    finally:
        stack.stop()


def secrets_of(stack: Stack) -> dict[str, str]:
    """Everything that must not be seen."""
    return {
        "provider key": PROVIDER_KEY,
        "virtual key": stack.key.rsplit("-", 1)[1],
        "imported key": IMPORTED,
        "administrator's token": stack.admin_token,
        "join token": stack.join_token,
        "key-encryption key": stack.kek,
        "fleet key": stack.fleet_key,
    }


def forms(secret: str) -> list[bytes]:
    """A secret as it is, and as it would look in hexadecimal or base64."""
    raw = secret.encode()
    found = [raw, raw.hex().encode(), base64.b64encode(raw)]
    if len(secret) == 64:
        found += [bytes.fromhex(secret), base64.b64encode(bytes.fromhex(secret))]
    return found


def provoke(stack: Stack) -> list[tuple[int, dict[str, str], Any]]:
    """All kinds of answers."""
    answers = [stack.chat(), stack.chat(key="sk-tw-nobody"), stack.chat(model="nope"), stack.chat(messages=[])]
    for fault in ("401", "429", "500", "html", "garbage", "cut", "close-first", "quota"):
        answers.append(stack.chat(model=f"sim/sim-fast/fault={fault}"))
        answers.append(stack.chat(model=f"sim/sim-fast/fault={fault}", stream=True))
    control = f"http://127.0.0.1:{stack.control.ports['control']}/api/v1/"
    for method, path, body in (
        ("GET", "providers", None),
        ("GET", "keys", None),
        ("GET", "audit", None),
        ("GET", "requests", None),
        ("POST", "keys", {"project": "demo", "name": "imported", "value": IMPORTED}),
        ("POST", "providers", {"name": "sim", "kind": "simulator", "credentials": [{"api_key": PROVIDER_KEY}]}),
        ("POST", "configuration:apply", {"configuration": {"providers": [{"name": "x", "api_key": PROVIDER_KEY}]}}),
    ):
        answers.append(http(method, control + path, token=stack.admin_token, body=body))
    answers.append(http("GET", control + "keys", token=stack.join_token))
    return answers


def test_no_secret_in_any_answer_log_metric_store_or_table(noisy: Stack) -> None:
    answers = provoke(noisy)
    noisy.postgres.kill()
    answers.append(
        http("GET", f"http://127.0.0.1:{noisy.control.ports['control']}/api/v1/keys", token=noisy.admin_token)
    )
    noisy.postgres.start()
    until(lambda: noisy.api("GET", "keys", expect=None).get("keys"), 15, "recovery")
    places: dict[str, bytes] = {f"answer {n}": repr(answer).encode() for n, answer in enumerate(answers)}
    for service in (noisy.control, noisy.simulator, *noisy.dataplanes):
        if service is not noisy.simulator:
            places[service.log.name] = service.log.read_bytes()
    for name, port in (
        ("data plane", noisy.dataplanes[0].ports["admin"]),
        ("control plane", noisy.control.ports["admin"]),
    ):
        places[f"metrics of the {name}"] = repr(http("GET", f"http://127.0.0.1:{port}/metrics")).encode()
    places["Valkey"] = everything_in_valkey(noisy)
    for (table,) in noisy.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        places[f"table {table}"] = repr(noisy.sql(f'SELECT * FROM "{table}"')).encode()
    for path in noisy.folder.rglob("*"):
        if path.is_file() and path.suffix in (".segment", ".sealed"):
            places[path.name] = path.read_bytes()
    assert len(places["control.log"]) > 1000
    assert b"provider call failed" in places["dataplane-0.log"]
    found = [
        (what, where)
        for what, secret in secrets_of(noisy).items()
        for where, content in places.items()
        if any(form in content for form in forms(secret))
    ]
    assert found == []


def everything_in_valkey(stack: Stack) -> bytes:
    """Every key with its value."""
    content = b""
    for key in stack.valkey.command("KEYS", "*"):
        kind = stack.valkey.command("TYPE", key)
        read = READS[kind.decode() if isinstance(kind, bytes) else kind]
        content += repr((key, stack.valkey.command(read[0], key, *read[1:]))).encode()
    assert b"tw:catalog" in content
    return content


def test_settings_are_printed_redacted(noisy: Stack) -> None:
    import subprocess
    import sys

    for service in (noisy.control, noisy.dataplanes[0]):
        command = [sys.executable, "-m", f"tollway.{'controlplane' if service is noisy.control else 'dataplane'}.main"]
        shown = subprocess.run(
            [*command, "settings"], env=service._environment, capture_output=True, text=True, timeout=30, check=True
        ).stdout
        assert "********" in shown
        assert all(secret not in shown for secret in secrets_of(noisy).values())


def test_the_models_of_the_key_are_listed(noisy: Stack) -> None:
    status, _headers, body = http("GET", f"{noisy.base_url()}/models", token=noisy.key)
    assert status == 200
    assert SIMULATED in [model["id"] for model in body["data"]]
