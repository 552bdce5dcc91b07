"""The error table: complete, in both dialects, and honest about retries."""

from __future__ import annotations

import json

import pytest

from tollway.core.catalog import Timeouts
from tollway.core.errors import Code, TollwayError
from tollway.dataplane.endpoints.port import Dialect
from tollway.dataplane.http.errors import SHAPES, error_body, error_headers, status_of
from tollway.dataplane.providers.port import ProviderFault
from tollway.dataplane.upstream.watchdog import timeout_fault


def test_every_code_has_a_shape() -> None:
    assert set(SHAPES) == set(Code)


@pytest.mark.parametrize("code", list(Code))
def test_openai_shape(code: Code) -> None:
    error = json.loads(error_body(TollwayError(code, "why", param="model"), Dialect.OPENAI, "req"))["error"]
    assert error == {"message": "why", "type": SHAPES[code].openai_type, "param": "model", "code": code.value}


@pytest.mark.parametrize("code", list(Code))
def test_anthropic_shape(code: Code) -> None:
    body = json.loads(error_body(TollwayError(code, "why"), Dialect.ANTHROPIC, "req"))
    assert body == {
        "type": "error",
        "error": {"type": SHAPES[code].anthropic_type, "message": "why"},
        "request_id": "req",
    }


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (Code.INVALID_API_KEY, 401),
        (Code.KEY_REVOKED, 401),
        (Code.MODEL_NOT_ALLOWED, 403),
        (Code.MODEL_NOT_FOUND, 404),
        (Code.METHOD_NOT_ALLOWED, 405),
        (Code.REQUEST_TOO_LARGE, 413),
        (Code.UNSUPPORTED_MEDIA_TYPE, 415),
        (Code.PROVIDER_RATE_LIMITED, 429),
        (Code.PROVIDER_AUTH_FAILED, 502),
        (Code.DIRECTORY_UNAVAILABLE, 503),
        (Code.PROVIDER_TIMEOUT, 504),
    ],
)
def test_statuses(code: Code, status: int) -> None:
    assert status_of(TollwayError(code, "x")) == status


def test_retry_after_is_rounded_up_and_never_sent_with_a_no() -> None:
    headers = error_headers(TollwayError(Code.PROVIDER_RATE_LIMITED, "x", retry_after_seconds=1.2), "req")
    assert headers["Retry-After"] == "2"
    assert headers["retry-after-ms"] == "1200"
    assert "x-should-retry" not in headers
    refused = error_headers(TollwayError(Code.BUDGET_EXCEEDED, "x", retry_after_seconds=5), "req")
    assert refused["x-should-retry"] == "false"
    assert "Retry-After" not in refused


def test_only_the_total_timeout_is_final() -> None:
    total = error_headers(timeout_fault("total", Timeouts()), "req")
    first = error_headers(timeout_fault("first_byte", Timeouts()), "req")
    assert total.get("x-should-retry") == "false"
    assert "x-should-retry" not in first


def test_a_fault_that_waiting_does_not_mend_is_final() -> None:
    spent = ProviderFault(Code.PROVIDER_ERROR, "The credit is spent.", retryable=False)
    assert error_headers(spent, "req")["x-should-retry"] == "false"
