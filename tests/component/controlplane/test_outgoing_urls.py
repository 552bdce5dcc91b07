"""Every URL that can be set from outside is guarded: none leads to metadata services, none of a tenant's inside.

The fields are found by walking the contract and the settings, so that a new one fails here until it is placed. That a
name cannot come to mean another address, and that redirects are not followed, is shown for each caller where it is.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import pytest

from tollway.controlplane.settings import Settings
from tollway.wire.contract import METHODS, message_types

SOUNDS_LIKE_A_PLACE = re.compile(
    r"url|uri|host|endpoint|issuer|webhook|origin|jwks|server|callback|location|proxy|smtp"
)

METADATA = [
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.169.254./",
    "http://169.254.1.1/",
    "http://[::ffff:169.254.169.254]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://2852039166/",
    "http://0251.0376.0251.0376/",
    "http://0xa9.0xfe.0xa9.0xfe/",
    "http://169.254.43518/",
    "http://[fe80::1]/",
    "http://[fd00:ec2::254]/",
    "http://100.100.100.200/",
    "http://metadata.google.internal/",
    "https://user:password@example.com/",
    "http://exa%6dple.com/",
    "http://１６９.254.169.254/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "//169.254.169.254/",
]
"""Refused whoever sets them."""
INSIDE = [
    "http://127.0.0.1/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://2130706433/",
    "http://0177.0.0.1/",
    "http://0x7f.1/",
    "http://0/",
    "http://localhost:8081/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://[fc00::1]/",
    "http://100.64.0.1/",
    "http://postgres:5432/",
    "http://db.internal/",
]
"""Refused when a tenant sets them."""

Request = Callable[[str], tuple[str, str, dict[str, Any]]]
NO_PLACE = {
    "GrantRoleRequest.issuer": "compared with what tokens say",
    "RoleSpec.issuer": "compared with what tokens say",
    "SearchRequestLogRequest.endpoint": "a filter over paths of our own",
}


def applied(part: str, spec: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """A configuration of one object."""
    first, _, second = part.partition(".")
    document = {first: {second: [spec]}} if second else {first: [spec]}
    return "POST", "configuration:apply", {"configuration": document}


HOOK = {"name": "hook", "kind": "webhook", "scope": "all", "secret": "0123456789abcdef"}
PROVIDER = {"name": "prov", "kind": "openai_compatible"}
PLACES: dict[str, tuple[str, Request]] = {
    "CreateAlertChannelRequest.url": ("tenant", lambda url: ("POST", "alert-channels", {**HOOK, "url": url})),
    "UpdateAlertChannelRequest.url": ("tenant", lambda url: ("PATCH", "alert-channels/known", {"url": url})),
    "AlertChannelSpec.url": ("tenant", lambda url: applied("alert_channels", {**HOOK, "url": url})),
    "CreateProviderRequest.base_url": ("operator", lambda url: ("POST", "providers", {**PROVIDER, "base_url": url})),
    "UpdateProviderRequest.base_url": ("operator", lambda url: ("PATCH", "providers/known", {"base_url": url})),
    "ProviderSpec.base_url": ("operator", lambda url: applied("providers", {**PROVIDER, "base_url": url})),
    "IssuerSpec.issuer": (
        "operator",
        lambda url: applied("identity.issuers", {"name": "idp", "issuer": url, "client_id": "portal"}),
    ),
}


def test_every_field_that_sounds_like_a_place_is_placed() -> None:
    kinds = message_types(method.request.DESCRIPTOR for method in METHODS.values())
    found = {
        f"{kind.name}.{field.name}"
        for kind in kinds.values()
        for field in kind.fields
        if field.type == field.TYPE_STRING and SOUNDS_LIKE_A_PLACE.search(field.name)
    }
    assert found == PLACES.keys() | NO_PLACE.keys()


async def test_no_url_of_the_api_leads_where_it_must_not(api: Any) -> None:
    known = {**HOOK, "name": "known", "url": "https://hooks.example.com/x"}
    for path, body in (
        ("alert-channels", known),
        ("providers", {**PROVIDER, "name": "known", "base_url": "https://x.example/v1"}),
    ):
        made = await api.call("POST", path, body)
        assert made.status == 200, made.body
    let_in = []
    for name, (who, request) in PLACES.items():
        for url in METADATA + (INSIDE if who == "tenant" else []):
            answer = await api.call(*request(url))
            field = name.rpartition(".")[2]
            if answer.status != 400 or not str(answer.error["field"]).endswith(field):
                let_in.append((name, url, answer.status, answer.body))
    assert not let_in
    for url in (METADATA[0], INSIDE[0]):
        slack = await api.call("POST", "alert-channels", {"name": "chat", "kind": "slack", "url": url})
        assert (slack.status, slack.error["field"]) == (400, "url")


OF_THE_PROCESS = {
    "kms_endpoint": METADATA,
    "bodies_s3_endpoint": METADATA,
    "bodies_s3_url": METADATA,
    "smtp": [f"smtp:{url.partition(':')[2]}" for url in METADATA if "example" not in url],
    "webhook_networks": "what private networks webhooks may reach; link-local ones never",
    "smtp_from": "an address of mail, not of a machine",
    "database_url": "the process's own database",
    "public_url": "where browsers are sent to; never called",
    "gateway_url": "our own data plane",
    "http_proxy": "on the way out, for what an operator sets; its address is judged before it is used",
    "https_proxy": "the same",
    "no_proxy": "names that are called without one",
}
"""Set by whoever starts the process, in its environment."""


def test_every_setting_that_sounds_like_a_place_is_placed() -> None:
    fields = {field.name: field for field in dataclasses.fields(Settings)}
    assert {name for name in fields if SOUNDS_LIKE_A_PLACE.search(name)} == OF_THE_PROCESS.keys()
    for name, refused in OF_THE_PROCESS.items():
        for url in refused if isinstance(refused, list) else []:
            with pytest.raises(ValueError):
                fields[name].metadata["parse"](url)
