"""The address guard: the table of addresses that have been used against gateways."""

from __future__ import annotations

import pytest

from tollway.core.netguard import Guard, address_refusal, url_refusal

NEVER = [
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xA9FEA9FE/",
    "http://0251.0376.0251.0376/",
    "http://169.254.43518/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::]/",
    "http://[fd00:ec2::254]/",
    "http://[fe80::1%25eth0]/",
    "http://100.100.100.200/",
    "http://metadata.google.internal/",
    "http://user:pass@example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "http://",
    "not a url",
    "http://[::1",
    "http://metadata.google.internal./",
    "http://%31%36%39.254.169.254/",
    "http://１６９.254.169.254/",
    "http://a..example/",
    "http://.example/",
    "http://api.example../",
    f"http://{'a' * 64}.example/",
    f"http://{'a.' * 127}example/",
]
PRIVATE = [
    "http://127.0.0.1:11434/v1",
    "http://localhost:8000",
    "http://10.0.0.7/",
    "http://192.168.1.5/",
    "http://172.16.0.1/",
    "http://[::1]:8000/",
    "http://[::ffff:127.0.0.1]/",
    "http://0x7f.1/",
    "http://2130706433/",
    "http://017700000001/",
    "http://printer.local/",
    "http://localhost./",
    "http://vllm:8000/",
    "http://kubernetes.default.svc/",
    "http://db.tollway.svc.cluster.local/",
]
PUBLIC = [
    "https://api.openai.com/v1",
    "http://8.8.8.8/",
    "https://[2606:4700::1111]/",
    "https://example.com:8443/a?b=c",
    f"https://{'a' * 63}.example./",
]


@pytest.mark.parametrize("url", NEVER)
@pytest.mark.parametrize("guard", list(Guard))
def test_what_is_refused_to_everybody(url: str, guard: Guard) -> None:
    assert url_refusal(url, guard)


@pytest.mark.parametrize("url", PRIVATE)
def test_private_addresses_are_the_operators_alone(url: str) -> None:
    assert url_refusal(url, Guard.OPERATOR) is None
    assert url_refusal(url, Guard.TENANT)


@pytest.mark.parametrize("url", PUBLIC)
@pytest.mark.parametrize("guard", list(Guard))
def test_public_addresses_are_fine(url: str, guard: Guard) -> None:
    assert url_refusal(url, guard) is None


def test_the_address_that_a_name_resolved_to_is_checked_too() -> None:
    assert address_refusal("169.254.169.254", Guard.OPERATOR)
    assert address_refusal("127.0.0.1", Guard.TENANT)
    assert address_refusal("127.0.0.1", Guard.OPERATOR) is None
