"""Etags, page tokens, update masks and references."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.controlplane.call import ApiCode, ApiError
from tollway.controlplane.credentials.keks import kek_fingerprint, parse_keks
from tollway.controlplane.credentials.vault import Vault
from tollway.controlplane.identity.model import UpdateProjectRequest
from tollway.controlplane.resources import (
    as_uuid,
    changed_fields,
    check_etag,
    etag,
    page_limit,
    page_start,
    page_token,
    refuse_id_as_name,
)

MUTABLE = frozenset({"description", "business_unit", "models"})


@given(st.uuids(), st.integers(1, 10**9), st.integers(1, 10**9))
def test_an_etag_belongs_to_one_revision_of_one_resource(identity: UUID, one: int, other: int) -> None:
    check_etag("", identity, one, "it")
    check_etag(etag(identity, one), identity, one, "it")
    if one != other:
        with pytest.raises(ApiError) as refused:
            check_etag(etag(identity, other), identity, one, "it")
        assert refused.value.code is ApiCode.ETAG_MISMATCH


@given(st.text(max_size=100).filter(lambda text: "\0" not in text))
def test_page_tokens_come_back(last: str) -> None:
    assert page_start("projects", page_token("projects", last)) == last
    with pytest.raises(ApiError):
        page_start("keys", page_token("projects", last))


@given(st.text(min_size=1, max_size=60))
def test_any_other_token_is_refused(token: str) -> None:
    with pytest.raises(ApiError) as refused:
        page_start("projects", token)
    assert refused.value.field == "page_token"


def test_masks() -> None:
    request = UpdateProjectRequest(project="p", description="d", etag="e")
    assert changed_fields((), request, MUTABLE) == {"description"}
    assert changed_fields(("models",), request, MUTABLE) == {"models"}
    assert changed_fields(("models", "project", "etag"), request, MUTABLE) == {"models"}
    assert changed_fields(("*",), request, MUTABLE) == MUTABLE
    with pytest.raises(ApiError) as refused:
        changed_fields(("name",), request, MUTABLE)
    assert refused.value.field == "update_mask"


def test_limits_and_references() -> None:
    assert (page_limit(0), page_limit(5), page_limit(10**6)) == (100, 5, 1000)
    text = "0190a000-0000-7000-8000-000000000001"
    assert as_uuid(text) == UUID(text)
    assert as_uuid(text.replace("-", "")) is None
    with pytest.raises(ApiError):
        refuse_id_as_name(text)


def test_key_encryption_keys_are_parsed_and_never_shown() -> None:
    one, two = "11" * 32, "22" * 32
    assert parse_keks(f"{one}, {two}") == [b"\x11" * 32, b"\x22" * 32]
    for wrong in ("", "11", f"{one},{two},{one}"):
        with pytest.raises(ValueError, match="TOLLWAY_KEK"):
            parse_keks(wrong)
    vault = Vault((b"\x11" * 32,))
    assert vault.fingerprint == kek_fingerprint(b"\x11" * 32) in repr(vault)
    assert one not in repr(vault)
