"""What errors of providers mean: recorded ones, the published shapes, and hostile ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.errors import Code
from tollway.dataplane.providers.faults import fault_of
from tollway.dataplane.providers.port import ProviderFault

RECORDED = {
    "anthropic-39": (Code.INVALID_REQUEST, False, None),
    "anthropic-41": (Code.PROVIDER_AUTH_FAILED, False, None),
    "anthropic-q400len": (Code.CONTEXT_LENGTH_EXCEEDED, False, None),
    "anthropic-q529": (Code.PROVIDER_UNAVAILABLE, True, None),
    "azure-05": (Code.PROVIDER_ERROR, False, None),
    "azure-q400cf": (Code.CONTENT_FILTER, False, None),
    "azure-q429": (Code.PROVIDER_RATE_LIMITED, True, 22.0),
    "huggingface-q400list": (Code.INVALID_REQUEST, False, None),
    "huggingface-q503": (Code.PROVIDER_UNAVAILABLE, True, 20.0),
    "openai-19": (Code.PROVIDER_ERROR, False, None),
    "openai-21": (Code.INVALID_REQUEST, False, None),
    "openai-q429": (Code.PROVIDER_ERROR, False, None),
    "openai-q500html": (Code.PROVIDER_UNAVAILABLE, True, None),
}


def fault(status: int, body: Any, headers: dict[str, str] | None = None, now: float | None = None) -> ProviderFault:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return fault_of(status, headers or {}, raw, now=now)


def error(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message} | fields}


def test_recorded_errors(failed: dict[str, Any]) -> None:
    got = fault_of(failed["status"], failed["headers"], failed["body"].encode())
    assert (got.code, got.retryable, got.retry_after_seconds) == RECORDED[failed["stem"]]
    assert got.status == failed["status"]
    assert "<" not in got.message


def test_the_clients_mistake_is_told_in_the_providers_words() -> None:
    got = fault(400, error("Bad value", type="invalid_request_error", param="temperature", code="unsupported_value"))
    assert (got.code, got.message, got.param, got.provider_code) == (
        Code.INVALID_REQUEST,
        "Bad value",
        "temperature",
        "unsupported_value",
    )


def test_azures_filter_names_the_category(recorded: Any) -> None:
    got = fault(400, recorded("azure-q400cf")["body"].encode())
    assert got.message.endswith("(filtered for self_harm: medium)")


@pytest.mark.parametrize(
    ("status", "body", "code", "retryable"),
    [
        (401, error("Incorrect API key", code="invalid_api_key"), Code.PROVIDER_AUTH_FAILED, False),
        (
            401,
            {"statusCode": 401, "message": "Access denied due to invalid subscription key"},
            Code.PROVIDER_AUTH_FAILED,
            False,
        ),
        (403, error("no"), Code.PROVIDER_AUTH_FAILED, False),
        (402, {"error": "You have exceeded your monthly included credits"}, Code.PROVIDER_ERROR, False),
        (400, error("Your credit balance is too low to access the Anthropic API."), Code.PROVIDER_ERROR, False),
        (400, error("x", code="billing_hard_limit_reached"), Code.PROVIDER_ERROR, False),
        (403, error("Project has no access to model `x`", code="model_not_found"), Code.PROVIDER_ERROR, False),
        (404, {"detail": "Not Found"}, Code.PROVIDER_ERROR, False),
        (405, b"", Code.PROVIDER_ERROR, False),
        (302, b"", Code.PROVIDER_ERROR, False),
        (429, b"<html>slow down</html>", Code.PROVIDER_RATE_LIMITED, True),
        (400, error("This model's maximum context length is 8 tokens", code=400), Code.CONTEXT_LENGTH_EXCEEDED, False),
        (422, error("`inputs` tokens + `max_new_tokens` must be <= 4096"), Code.CONTEXT_LENGTH_EXCEEDED, False),
        (400, error("x", code="context_length_exceeded"), Code.CONTEXT_LENGTH_EXCEEDED, False),
        (400, error("max_tokens is too large: 99999"), Code.INVALID_REQUEST, False),
        (400, error("x", code="unsupported_parameter", param="foo"), Code.UNSUPPORTED_PARAMETER, False),
        (400, error("x", code="content_policy_violation"), Code.CONTENT_FILTER, False),
        (413, error("x", type="request_too_large"), Code.REQUEST_TOO_LARGE, False),
        (418, b"", Code.INVALID_REQUEST, False),
        (408, b"", Code.PROVIDER_UNAVAILABLE, True),
        (409, b"", Code.PROVIDER_ERROR, True),
        (500, error("The server had an error"), Code.PROVIDER_ERROR, True),
        (503, b"upstream connect error", Code.PROVIDER_UNAVAILABLE, True),
        (529, error("Overloaded"), Code.PROVIDER_UNAVAILABLE, True),
    ],
)
def test_classes(status: int, body: Any, code: Code, retryable: bool) -> None:
    got = fault(status, body)
    assert (got.code, got.retryable) == (code, retryable)


def test_what_the_operator_must_fix_is_not_shown_but_noted() -> None:
    got = fault(404, error("The model `internal-name` does not exist", code="model_not_found"))
    assert "internal-name" not in got.message
    assert got.operator_note is not None
    assert "internal-name" in got.operator_note


def test_x_should_retry_is_obeyed() -> None:
    assert not fault(500, error("x"), {"X-Should-Retry": "false"}).retryable


def test_pydantic_details_name_the_field() -> None:
    detail = [
        {
            "type": "extra_forbidden",
            "loc": ["body", "stream_options", "include_usage"],
            "msg": "Extra inputs are not permitted",
        }
    ]
    for body in ({"object": "error", "message": {"detail": detail}}, {"detail": detail}):
        got = fault(422, body)
        assert got.param == "stream_options.include_usage"
        assert got.message == "stream_options.include_usage: Extra inputs are not permitted"


@pytest.mark.parametrize(
    ("headers", "now", "wait"),
    [
        ({"Retry-After": "7"}, None, 7.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, None, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, None, 9.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 1445412470.0, 10.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT", "Date": "Wed, 21 Oct 2015 07:27:00 GMT"}, None, 60.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 1445419999.0, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, None, None),
        ({"retry-after": "-3"}, None, 0.0),
        ({"retry-after": "nan"}, None, None),
        ({"retry-after": "1e99"}, None, 86400.0),
        ({"retry-after": "whenever"}, 5.0, None),
        ({}, None, None),
    ],
)
def test_retry_after(headers: dict[str, str], now: float | None, wait: float | None) -> None:
    assert fault(429, error("slow"), headers, now).retry_after_seconds == wait


def test_no_secret_and_no_markup_comes_through() -> None:
    message = "key sk-proj-abcDEF123456 and hf_abcdefghijklmnopqrstuv in org-ABCDEFGHIJKLMNOPQRST, Bearer abc.def"
    for status in (400, 401, 429, 500, 503):
        got = fault(status, error(message))
        for secret in ("abcDEF123456", "hf_abcdefghij", "org-ABCDEF", "abc.def"):
            assert secret not in got.message
            assert secret not in (got.operator_note or "")
    assert "<" not in fault(400, error("<html><body>nginx</body></html>")).message
    assert len(fault(400, error("x" * 100_000)).message) < 2000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "error",
                    "message",
                    "code",
                    "type",
                    "param",
                    "detail",
                    "loc",
                    "msg",
                    "innererror",
                    "content_filter_result",
                    "filtered",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.integers(300, 599), json_values, st.binary(max_size=30), st.text(max_size=10))
def test_every_error_is_a_clean_fault(status: int, value: Any, raw: bytes, header: str) -> None:
    for body in (json.dumps(value).encode(), raw):
        got = fault_of(status, {"Retry-After": header, "Date": header}, body, now=1.0)
        assert got.message


def test_geminis_errors_come_in_a_list() -> None:
    told = [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.", "status": "INVALID"}}]
    assert fault(400, told).code is Code.PROVIDER_AUTH_FAILED
    long = [
        {
            "error": {
                "code": 400,
                "message": "The input token count (9) exceeds the maximum number of tokens allowed (8).",
            }
        }
    ]
    assert fault(400, long).code is Code.CONTEXT_LENGTH_EXCEEDED


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": "Incorrect API key provided: xa***23."}, Code.PROVIDER_AUTH_FAILED),
        ({"error": {"message": "too long", "type": "exceed_context_size_error"}}, Code.CONTEXT_LENGTH_EXCEEDED),
        ({"error": {"message": "no", "code": "moderation_blocked"}}, Code.CONTENT_FILTER),
    ],
)
def test_words_of_other_services(body: Any, code: Code) -> None:
    assert fault(400, body).code is code
