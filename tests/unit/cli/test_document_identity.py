"""Issuers in the configuration file: what they become, and what is said when they are wrong."""

from __future__ import annotations

import pytest

from tollway.cli.document.load import configuration, json_schema
from tollway.cli.document.problems import DocumentError

TEXT = """
version: 1
identity:
  issuers:
    - name: corp
      issuer: https://id.example.com
      client_id: portal
      client_secret: "${SECRET}"
      audiences: [https://tollway.example.com/api]
      groups_claim: realm_access.roles
      refresh: 10m
"""


def test_issuers_become_those_of_the_contract() -> None:
    assert configuration(TEXT, {"SECRET": "s3cret"})["identity"] == {
        "issuers": [
            {
                "name": "corp",
                "issuer": "https://id.example.com",
                "client_id": "portal",
                "client_secret": "s3cret",
                "audiences": ["https://tollway.example.com/api"],
                "groups_claim": "realm_access.roles",
                "refresh_seconds": 600,
            }
        ]
    }


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("name: corp", "name: Corp", "identity.issuers[0].name: must be 1 to 63 lower-case"),
        ("client_id: portal", "client: portal", "identity.issuers[0].client"),
        ("https://id.example.com", "id.example.com", "identity.issuers[0].issuer: must begin with https://"),
        ("refresh: 10m", "refresh: 10", "identity.issuers[0].refresh: must be a duration"),
        ("refresh: 10m", "algorithms: [HS256]", "identity.issuers[0].algorithms[0]: must be one of"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(before: str, after: str, problem: str) -> None:
    with pytest.raises(DocumentError) as refused:
        configuration(TEXT.replace(before, after), {"SECRET": "s3cret"})
    assert any(problem in line for line in refused.value.problems), refused.value.problems
    assert "s3cret" not in str(refused.value.problems)


def test_the_schema_describes_issuers() -> None:
    members = json_schema()["properties"]["identity"]["properties"]["issuers"]["items"]["properties"]
    assert {"issuer", "client_id", "cli_client_id", "trust_email", "refresh"} <= members.keys()
