"""Alert channels in the configuration file: what they become, and what is said when they are wrong."""

from __future__ import annotations

import pytest

from tollway.cli.document.load import configuration
from tollway.cli.document.problems import DocumentError

TEXT = """
version: 1
alert_channels:
  - {name: ops, kind: webhook, url: "${HOOK}", secret: "${KEY}"}
  - {name: finance, kind: email, recipients: [a@example.com], scope: project, subject: demo, alerts: [unattributed]}
"""
ENVIRON = {"HOOK": "https://hooks.example.com/canary", "KEY": "k" * 16}


def test_channels_become_those_of_the_contract() -> None:
    assert configuration(TEXT, ENVIRON)["alert_channels"] == [
        {"name": "ops", "kind": "webhook", "url": ENVIRON["HOOK"], "secret": ENVIRON["KEY"]},
        {
            "name": "finance",
            "kind": "email",
            "recipients": ["a@example.com"],
            "scope": "project",
            "subject": "demo",
            "alerts": ["unattributed"],
        },
    ]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("kind: email", "kind: fax", "alert_channels[1].kind: must be one of webhook, slack, email"),
        ("name: finance", "name: ops", "alert_channels[1].name: ops appears twice"),
        ("recipients:", "receivers:", "alert_channels[1].receivers: unknown field"),
        ("scope: project", "scope: world", "alert_channels[1].scope: must be one of"),
    ],
)
def test_what_is_wrong_names_its_place(old: str, new: str, says: str) -> None:
    with pytest.raises(DocumentError) as caught:
        configuration(TEXT.replace(old, new), ENVIRON)
    assert says in caught.value.problems[0]


def test_values_are_not_repeated() -> None:
    with pytest.raises(DocumentError) as caught:
        configuration(TEXT, {"HOOK": "ftp://canary", "KEY": "canary"})
    assert len(caught.value.problems) == 2
    assert "canary" not in "".join(caught.value.problems)
