"""Allow-lists and the wire form of the configuration."""

from __future__ import annotations

import fnmatch
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.catalog import Catalog, Credential, decode_catalog, encode, glob_match


@given(st.text("ab*/.", max_size=12), st.text("ab/.", max_size=12))
def test_globs_match_as_regular_expressions_would(pattern: str, name: str) -> None:
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.S) is not None
    assert glob_match(pattern, name) is expected


@pytest.mark.parametrize(("pattern", "name"), [("*", "x"), ("gpt-*", "gpt-4o"), ("openai/*", "openai/gpt-4o")])
def test_common_globs(pattern: str, name: str) -> None:
    assert glob_match(pattern, name)
    assert fnmatch.fnmatchcase(name, pattern)


def test_a_question_mark_is_just_a_character() -> None:
    assert not glob_match("gpt-?", "gpt-4")


def test_a_newer_control_plane_may_add_fields() -> None:
    raw = msgspec.msgpack.decode(encode(Catalog(epoch="e", version=3)))
    raw["field_of_tomorrow"] = {"x": 1}
    assert decode_catalog(msgspec.msgpack.encode(raw)).version == 3


def test_a_credential_does_not_show_its_key() -> None:
    assert "sk-canary" not in repr(Credential(id="1", name="main", api_key="sk-canary"))
