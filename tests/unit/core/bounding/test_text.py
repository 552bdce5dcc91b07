"""No text has more tokens than its bound: bytes, and what normalisation makes of them."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.bounding.text import text_tokens

TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\ufdfa\u3316\u00bc\u0958\U0001d160 a"))


@given(TEXT, st.booleans())
def test_a_json_text_is_no_shorter_than_what_it_stands_for(text: str, escaped: bool) -> None:
    raw = json.dumps(text, ensure_ascii=escaped).encode()
    assert text_tokens(raw, "openai") >= len(text.encode())
    for form in ("NFC", "NFKC"):
        assert text_tokens(raw, "vllm") >= len(unicodedata.normalize(form, text).encode())


@pytest.mark.parametrize("kind", ["openai", "azure_openai", "anthropic", "vllm", "openai_compatible"])
def test_plain_text_is_its_bytes(kind: str) -> None:
    assert text_tokens(b'{"a": "plain"}', kind) == 14
    assert text_tokens("\u00fcber \u4e2d\u6587".encode(), kind) == 12
