"""Logs: one JSON object a line, and nothing that looks like a key."""

from __future__ import annotations

import pytest

from tollway.runtime.log import scrub_text


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (
            "key sk-tw-AbCd1234-0123456789012345678901234567890123456789012ABCDEF",
            "0123456789012345678901234567890123456789012",
        ),
        ("Incorrect API key provided: sk-proj-abcdefghijklmnopqrstuv.", "abcdefghijklmnopqrstuv"),
        ("x-api-key sk-ant-api03-AAAABBBBCCCCDDDD", "AAAABBBBCCCCDDDD"),
        ("hf_AbCdEfGhIjKlMnOpQrSt", "AbCdEfGhIjKlMnOpQrSt"),
        ("postgresql://tollway:hunter2@db/tollway", "hunter2"),
        ("rediss://:hunter2@cache:6379/0", "hunter2"),
        ("Authorization: Bearer abcdef0123456789", "abcdef0123456789"),
    ],
)
def test_secrets_are_cut_and_the_rest_stays(text: str, secret: str) -> None:
    shown = scrub_text(text)
    assert secret not in shown
    assert shown.split()[0].split(":")[0][:2] == text[:2]


def test_the_public_id_stays_readable() -> None:
    assert "sk-tw-AbCd1234" in scrub_text("sk-tw-AbCd1234-0123456789012345678901234567890123456789012ABCDEF")


def test_ordinary_text_is_left_alone() -> None:
    text = "request 0192-abc failed for gpt-4o at https://api.openai.com/v1: task-risk-sk-"
    assert scrub_text(text) == text
