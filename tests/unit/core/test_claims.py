"""What a token says of groups takes away what it does not name, and never gives anything."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.claims import said_of

KNOWN = ("models", "dept=it", "dept.x=it")
"""Groups of somebody; `dept` is a further claim."""


@pytest.mark.parametrize(
    ("claims", "denied"),
    [
        ({}, set()),
        ({"realm": {"groups": list(KNOWN)}, "dept": "it"}, set()),
        ({"realm": {"groups": "models"}}, {"dept.x=it"}),
        ({"realm": {"groups": []}}, {"models", "dept.x=it"}),
        ({"realm": {"groups": {"odd": 1}}}, {"models", "dept.x=it"}),
        ({"realm": {"roles": []}}, set()),
        ({"realm.groups": ["models", "dept=it"], "dept": "sales"}, {"dept=it", "dept.x=it"}),
        ({"dept": ["sales", 7, "it"]}, set()),
        ({"dept": {"it": 1}}, {"dept=it"}),
        ({"realm": {"groups": ["Models", " models", "models\0"]}}, {"models", "dept.x=it"}),
    ],
)
def test_a_claim_that_is_there_denies_what_it_does_not_name(claims: dict[str, Any], denied: set[str]) -> None:
    said = said_of(claims, "realm.groups", ["dept"])
    assert {group for group in KNOWN if said.denies(group)} == denied


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
)


@given(st.dictionaries(st.sampled_from(["groups", "dept", "staff", "other"]), JSON), st.text(max_size=8))
def test_what_is_named_is_not_denied_and_other_groups_have_nobodys_name(claims: dict[str, Any], group: str) -> None:
    said = said_of(claims, "groups", ["dept", "staff"])
    assert not any(said.denies(named) for named in said.groups)
    if said_of({"groups": claims.get("groups")}, "groups", ["dept"]).groups & {"dept=it"}:
        raise AssertionError("a group took the name of a claim's value")
    if not claims.keys() & {"groups", "dept", "staff"}:
        assert not said.denies(group)
