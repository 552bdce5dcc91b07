"""REST made from the contract: paths, queries, bodies, and what is refused."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.wire.codec import ContractViolation
from tollway.wire.contract import METHODS
from tollway.wire.json_codec import dumps, fill, loads, render, unknown_field
from tollway.wire.rest import NoRoute, Router, Template, VerbNotAllowed, request_message

ROUTER = Router(METHODS.values())


def call(verb: str, path: str, query: str = "", body: bytes = b"") -> tuple[str, Any]:
    route = ROUTER.find(verb, f"/api/v1/{path}")
    return route.method.name.rpartition("/")[2], request_message(route, query, body)


@pytest.mark.parametrize(
    ("verb", "path", "method", "fields"),
    [
        ("GET", "projects", "ListProjects", {}),
        ("GET", "projects/a%2Fb%20c", "GetProject", {"project": "a/b c"}),
        ("POST", "keys/AbCd1234:rotate", "RotateKey", {"key": "AbCd1234"}),
        ("POST", "keys/a%3Ab:revoke", "RevokeKey", {"key": "a:b"}),
        ("POST", "configuration:apply", "Apply", {}),
        ("GET", "models/meta/llama-3:8b", "GetModel", {"model": "meta/llama-3:8b"}),
        ("DELETE", "models/a%2Fb", "ArchiveModel", {"model": "a/b"}),
        (
            "POST",
            "providers/p/credentials/c:rotate",
            "RotateCredential",
            {"provider": "p", "credential": "c"},
        ),
        ("DELETE", "providers/p/credentials/c", "RemoveCredential", {"provider": "p", "credential": "c"}),
    ],
)
def test_paths(verb: str, path: str, method: str, fields: dict[str, str]) -> None:
    name, message = call(verb, path)
    assert name == method
    assert {field.name: value for field, value in message.ListFields()} == fields


@pytest.mark.parametrize("path", ["", "nothing", "projects/", "projects/a/b", "projects//", "models/"])
def test_no_such_path(path: str) -> None:
    with pytest.raises(NoRoute):
        ROUTER.find("POST", f"/api/v1/{path}")


def test_the_verbs_of_a_path() -> None:
    with pytest.raises(VerbNotAllowed) as failed:
        ROUTER.find("PUT", "/api/v1/projects/x")
    assert failed.value.allowed == ("DELETE", "GET", "PATCH")
    assert ROUTER.find("GET", "/api/v1/keys/k:other").path_fields == {"key": "k:other"}


def test_query_parameters() -> None:
    _, message = call("GET", "keys", "page_size=5&include_revoked=true&project=a%20b&page_token=")
    assert (message.page_size, message.include_revoked, message.project) == (5, True, "a b")
    _, message = call("GET", "usage", "by=day&from=2026-01-31T23:59:59.5%2B01:00&to=2026-02-01T00:00:00Z")
    assert render(message)["from"] == "2026-01-31T22:59:59.500Z"


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("keys", "colour=red", "colour"),
        ("keys", "page_size=many", "page_size"),
        ("keys", "page_size=99999999999", "page_size"),
        ("keys", "include_revoked=yes", "include_revoked"),
        ("keys", "project=a&project=b", "project"),
        ("projects/p", "project=q", "project"),
        ("usage", "from=yesterday", "from"),
        ("usage", "from=2026-01-31", "from"),
        ("usage", "from=2026-02-30T00:00:00Z", "from"),
        ("usage", "total.cost=1", "total.cost"),
        ("keys", "project=%ff", None),
    ],
)
def test_queries_that_are_refused(path: str, query: str, field: str | None) -> None:
    with pytest.raises(ContractViolation) as failed:
        call("GET", path, query)
    assert failed.value.field == field


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"name": 1}', "name"),
        (b'{"name": "a", "colour": 1}', "colour"),
        (b'{"models": "a"}', "models"),
        (b'{"models": ["a", 2]}', "models[1]"),
        (b'{"tags": []}', "tags"),
        (b'{"tags": {"a": 1}}', "tags['a']"),
        (b'{"expires_at": 5}', "expires_at"),
        (b'{"expires_at": "soon"}', "expires_at"),
        (b'{"name": "\\ud800"}', "name"),
        (b'{"name": "a", "name": "b"}', "name"),
        (b'{"name": NaN}', None),
        (b'["name"]', None),
        (b"{", None),
        (b"\xff{}", None),
    ],
)
def test_bodies_that_are_refused(body: bytes, field: str | None) -> None:
    with pytest.raises(ContractViolation) as failed:
        call("POST", "keys", body=body)
    assert failed.value.field == field


def test_integers_and_numbers_in_bodies() -> None:
    for text in (b"60", b'"60"'):
        assert call("POST", "keys/k:rotate", body=b'{"grace_seconds": %b}' % text)[1].grace_seconds == 60
    for text in (b"1.5", b"true", b'"1.5"', b'"0x1"', b"9223372036854775808", b"[]"):
        with pytest.raises(ContractViolation, match="grace_seconds must be"):
            call("POST", "keys/k:rotate", body=b'{"grace_seconds": %b}' % text)
    provider = b'{"timeouts": {"total_seconds": %b}}'
    assert call("PATCH", "providers/p", body=provider % b"2")[1].timeouts.total_seconds == 2.0
    for text in (b"true", b'"1"', b"1e999", b"1" + b"0" * 400):
        with pytest.raises(ContractViolation, match=r"timeouts\.total_seconds must be a finite number"):
            call("PATCH", "providers/p", body=provider % text)


def test_a_patch_without_a_mask_changes_what_its_body_names() -> None:
    body = b'{"models": [], "expires_at": null, "etag": "e", "key": "k"}'
    assert list(call("PATCH", "keys/k", body=body)[1].update_mask.paths) == ["expires_at", "models"]
    given_mask = b'{"models": ["a"], "update_mask": "tags, models"}'
    assert list(call("PATCH", "keys/k", body=given_mask)[1].update_mask.paths) == ["tags", "models"]


def test_path_and_body_agree() -> None:
    with pytest.raises(ContractViolation) as failed:
        call("PATCH", "keys/k", body=b'{"key": "other"}')
    assert failed.value.field == "key"
    with pytest.raises(ContractViolation, match="takes no body"):
        call("GET", "keys", body=b"{}")
    with pytest.raises(ContractViolation, match="in the body, not in the query"):
        call("POST", "keys", query="name=x", body=b"{}")


def test_zero_values_are_printed_and_large_integers_are_strings() -> None:
    status: Any = METHODS["tollway.control.v1.SystemService/GetStatus"].response(quarantined_rows=2**53 + 1)
    assert render(status) == {
        "version": "",
        "epoch": "",
        "config_version": "0",
        "schema_version": 0,
        "subscribers": [],
        "quarantined_rows": "9007199254740993",
    }
    key: Any = METHODS["tollway.control.v1.KeyService/GetKey"].response(status=2, tags={"b": "2", "a": "1"})
    shown = render(key)
    assert (shown["status"], list(shown["tags"].items())) == ("KEY_STATUS_EXPIRED", [("a", "1"), ("b", "2")])
    assert "created_at" not in shown


def test_fields_that_the_contract_does_not_know_are_found_at_any_depth() -> None:
    method = METHODS["tollway.control.v1.ConfigurationService/Apply"]
    message: Any = method.request()
    fill(message, {"configuration": {"projects": [{"name": "a", "keys": [{"name": "k", "tags": {"x": "y"}}]}]}})
    assert unknown_field(message) is None
    message.configuration.projects[0].keys[0].MergeFromString(b"\xa2\x06\x01x")
    assert unknown_field(message) == "configuration.projects.keys.#100"


@given(
    name=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    models=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=4),
    tags=st.dictionaries(st.text("abc", max_size=3), st.text("xyz", max_size=3), max_size=3),
)
def test_json_comes_back_as_it_went(name: str, models: list[str], tags: dict[str, str]) -> None:
    message: Any = METHODS["tollway.control.v1.KeyService/CreateKey"].request(name=name, models=models, tags=tags)
    again: Any = type(message)()
    fill(again, loads(dumps(message)))
    assert again == message


@given(st.binary(max_size=60))
def test_no_body_is_worse_than_a_violation(body: bytes) -> None:
    """Random bytes are refused as the caller's mistake, unless they happen to be an empty body or object."""
    with contextlib.suppress(ContractViolation):
        _, message = call("POST", "keys", body=body)
        assert message.ByteSize() == 0 or loads(body)


@pytest.mark.parametrize("text", ["/a/{x=*}", "/a/{x=**}/b", "/a/{x=**}:verb", "/a/*"])
def test_templates_beyond_what_is_used_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="unsupported"):
        Template.parse(text)
