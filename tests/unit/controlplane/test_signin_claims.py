"""Claims to identities, addresses of providers, keys for tokens, and the way back: the pure parts of sign-in."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.controlplane.call import ApiError
from tollway.controlplane.signin import providers
from tollway.controlplane.signin.claims import ClaimsRefused, claims_of, complete, subject_of
from tollway.controlplane.signin.csrf import matches, token_for
from tollway.controlplane.signin.fetch import ProviderUnavailable, endpoint_problem
from tollway.controlplane.signin.headers import parse_public_url
from tollway.controlplane.signin.issuers import settled
from tollway.controlplane.signin.model import MAX_GROUPS, IssuerRow, IssuerSpec
from tollway.controlplane.signin.service import local_path
from tollway.core import bearer
from tollway.testkit.oidc_provider import signing_key

SPEC = IssuerSpec(name="corp", issuer="https://id.example.com", client_id="portal")
ROW = IssuerRow(
    id=UUID(int=1),
    name="corp",
    issuer=SPEC.issuer,
    sealed=None,
    data_key=None,
    fingerprint=None,
    revision=1,
    **settled(SPEC),
)


def row(**changed: Any) -> IssuerRow:
    return msgspec.structs.replace(ROW, **changed)


def test_names_groups_and_addresses_come_from_the_claims_that_are_configured() -> None:
    told = {
        "sub": "1",
        "upn": "ana@example.com",
        "email_verified": True,
        "realm_access": {"roles": ["b", "a", "a"]},
        "https://example.com/name": "Ana",
    }
    found = claims_of(
        row(email_claim="upn", groups_claim="realm_access.roles", name_claim="https://example.com/name"), told
    )
    assert (found.email, found.name, found.groups) == ("ana@example.com", "Ana", ("a", "b"))
    assert not found.email_verified, "the provider verified the claim `email`, not this one"
    assert claims_of(row(email_claim="upn", trust_email=True), told | {"email_verified": False}).email_verified


def test_values_of_further_claims_are_groups_that_no_group_can_be_called_like() -> None:
    told: dict[str, Any] = {
        "sub": "1",
        "groups": ["g", "department=root", "departments=x"],
        "department": ["finance", "it"],
    }
    told |= {"level": 3, "staff": True, "odd": {"a": 1}}
    listed = row(claims=["department", "level", "staff", "odd", "absent"])
    expected = ("department=finance", "department=it", "departments=x", "g", "level=3", "staff=true")
    assert claims_of(listed, told).groups == expected
    assert claims_of(ROW, told).groups == ("department=root", "departments=x", "g")
    with pytest.raises(ClaimsRefused):
        claims_of(listed, told | {"department": [f"d{n}" for n in range(MAX_GROUPS)]})
    assert not complete(row(claims=["department"]), {"email": "a", "groups": []}), "the userinfo endpoint is asked"
    for wrong in ("a=b", " a", "a\nb"):
        with pytest.raises(ApiError, match="must be the name of a claim"):
            settled(msgspec.structs.replace(SPEC, claims=[wrong]))


@pytest.mark.parametrize(
    ("said", "trusted", "verified"),
    [
        (True, False, True),
        ("true", False, True),
        (False, True, False),
        ("false", True, False),
        (None, False, False),
        (None, True, True),
        (1, True, False),
    ],
)
def test_an_address_is_verified_when_the_provider_or_the_configuration_says_so(
    said: Any, trusted: bool, verified: bool
) -> None:
    told = {"sub": "1", "email": "ana@example.com"} | ({} if said is None else {"email_verified": said})
    assert claims_of(row(trust_email=trusted), told).email_verified is verified
    assert not claims_of(row(trust_email=True), {"sub": "1"}).email_verified


@pytest.mark.parametrize("groups", [None, 7, {"a": 1}, [7, None, {}, ["a"]], "", ["", "x" * 300, "a\0b", "a\nb"]])
def test_groups_of_the_wrong_form_give_nothing(groups: Any) -> None:
    assert claims_of(ROW, {"sub": "1", "groups": groups}).groups == ()


def test_a_single_group_may_be_a_text_and_too_many_are_refused() -> None:
    assert claims_of(ROW, {"sub": "1", "groups": "admins"}).groups == ("admins",)
    with pytest.raises(ClaimsRefused, match="groups"):
        claims_of(ROW, {"sub": "1", "groups": [str(number) for number in range(MAX_GROUPS + 1)]})


@pytest.mark.parametrize("subject", [None, "", 7, "a\0b", "x" * 256])
def test_a_subject_must_be_one(subject: Any) -> None:
    with pytest.raises(ClaimsRefused):
        subject_of({"sub": subject})


def test_userinfo_is_asked_only_for_what_is_missing() -> None:
    assert complete(ROW, {"email": "a@b.c", "groups": []})
    assert not complete(ROW, {"email": "a@b.c"})


@pytest.mark.parametrize(
    ("url", "usable"),
    [
        ("https://id.example.com/realms/x", True),
        ("https://10.0.0.5", True),
        ("http://127.0.0.1:8080", True),
        ("http://[::1]:8080", True),
        ("http://localhost:8080", True),
        ("http://id.example.com", False),
        ("http://10.0.0.5", False),
        ("https://169.254.169.254/x", False),
        ("https://[fe80::1]/", False),
        ("https://2852039166/", False),
        ("https://metadata.google.internal", False),
        ("https://user:secret@id.example.com", False),
        ("file:///etc/passwd", False),
        ("ftp://id.example.com", False),
    ],
)
def test_which_addresses_of_providers_are_called(url: str, usable: bool) -> None:
    assert (endpoint_problem(url) is None) is usable


def test_metadata_must_be_of_the_issuer_with_endpoints_that_can_be_called() -> None:
    good = {"issuer": SPEC.issuer, "token_endpoint": "https://id.example.com/token"}
    assert providers._checked(SPEC.issuer, good) == good
    for bad in ({"issuer": f"{SPEC.issuer}/"}, {"token_endpoint": "http://id.example.com"}, {"jwks_uri": ["x"]}):
        with pytest.raises(ProviderUnavailable):
            providers._checked(SPEC.issuer, good | bad)


def test_a_key_is_chosen_by_its_whole_id_and_must_fit_the_algorithm() -> None:
    known = signing_key("unit").jwk()
    key = {name: known[name] for name in ("kty", "n", "e", "kid", "use", "alg")}
    assert bearer.choose_key([key], "unit", "RS256") is not None
    assert bearer.choose_key([key], None, "RS256") is not None
    assert bearer.choose_key([key, key | {"kid": "b"}], None, "RS256") is None
    assert bearer.choose_key([key, key], "unit", "RS256") is None
    assert bearer.choose_key([key], "uni", "RS256") is None
    assert bearer.choose_key([key], "unit", "PS256") is None  # the key says that it is for RS256
    assert bearer.choose_key([key], "unit", "ES256") is None
    assert bearer.choose_key([key | {"kty": "oct", "k": "c2VjcmV0"}], "unit", "RS256") is None
    assert bearer.choose_key([known], "unit", "RS256") is None  # a private key has no place there
    assert bearer.choose_key([key | {"n": "AQAB"}], "unit", "RS256") is None
    assert providers._signing_keys({"keys": [key | {"use": "enc"}, "text"]}) == []
    unusable: list[dict[str, Any]] = [{}, {"keys": {}}, {"keys": [key] * 101}]
    for wrong in unusable:
        with pytest.raises(ProviderUnavailable):
            providers._signing_keys(wrong)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"algorithms": ["RS256", "HS256"]}, "algorithms[1]"),
        ({"algorithms": ["none"]}, "algorithms[0]"),
        ({"scopes": ["profile"]}, "scopes"),
        ({"audiences": ["portal"]}, "audiences"),
        ({"refresh_seconds": 5}, "refresh_seconds"),
    ],
)
def test_an_issuer_that_cannot_be_safe_is_refused_by_field(spec: dict[str, Any], field: str) -> None:
    with pytest.raises(ApiError) as refused:
        settled(msgspec.structs.replace(SPEC, **spec))
    assert refused.value.field == field


@given(st.text(max_size=60))
def test_the_way_back_is_always_a_path_of_our_own(text: str) -> None:
    found = local_path(text)
    assert found.startswith("/")
    assert found[1:2] not in ("/", "\\")
    assert found in (text, "/")


@given(st.text(max_size=50), st.text(max_size=50))
def test_a_csrf_token_belongs_to_one_cookie_and_one_purpose(one: str, other: str) -> None:
    assert matches(token_for(one), token_for(one))
    assert matches(token_for(one), token_for(other)) is (one == other)
    assert not matches(token_for(one), token_for(one, "local"))


@pytest.mark.parametrize(
    "text", ["tollway.example.com", "https://", "https://a/b", "https://u@a", "ftp://a", "https://a?x"]
)
def test_a_public_url_is_an_origin(text: str) -> None:
    with pytest.raises(ValueError, match=r"https://tollway\.example\.com"):
        parse_public_url(text)
    assert parse_public_url("https://Tollway.Example.com/") == "https://tollway.example.com"
