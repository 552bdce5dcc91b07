"""The one table that turns an error code into a status and into the shape of each client dialect.

Nothing else in the data plane decides what a client is shown when something fails.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import orjson

from tollway.core.errors import Code, TollwayError
from tollway.dataplane.endpoints.port import Dialect


class Shape(NamedTuple):
    """How a code appears: HTTP status, OpenAI's `type`, Anthropic's `type`, and what SDKs are told about retries."""

    status: int
    openai_type: str
    anthropic_type: str
    should_retry: bool | None = None


_CLIENT = "invalid_request_error"
SHAPES: dict[Code, Shape] = {
    Code.INVALID_API_KEY: Shape(401, _CLIENT, "authentication_error", False),
    Code.KEY_EXPIRED: Shape(401, _CLIENT, "authentication_error", False),
    Code.KEY_REVOKED: Shape(401, _CLIENT, "authentication_error", False),
    Code.PROJECT_NOT_ALLOWED: Shape(403, _CLIENT, "permission_error", False),
    Code.MODEL_NOT_ALLOWED: Shape(403, _CLIENT, "permission_error", False),
    Code.GUARDRAIL_BLOCKED: Shape(403, _CLIENT, "permission_error", False),
    Code.MODEL_NOT_PRICED: Shape(403, _CLIENT, "permission_error", False),
    Code.MODEL_NOT_FOUND: Shape(404, _CLIENT, "not_found_error", False),
    Code.RESPONSE_NOT_FOUND: Shape(404, _CLIENT, "not_found_error", False),
    Code.ENDPOINT_NOT_FOUND: Shape(404, _CLIENT, "not_found_error", False),
    Code.METHOD_NOT_ALLOWED: Shape(405, _CLIENT, _CLIENT, False),
    Code.UNSUPPORTED_MEDIA_TYPE: Shape(415, _CLIENT, _CLIENT, False),
    Code.INVALID_JSON: Shape(400, _CLIENT, _CLIENT, False),
    Code.INVALID_REQUEST: Shape(400, _CLIENT, _CLIENT, False),
    Code.UNSUPPORTED_PARAMETER: Shape(400, _CLIENT, _CLIENT, False),
    Code.CONTEXT_LENGTH_EXCEEDED: Shape(400, _CLIENT, _CLIENT, False),
    Code.CONTENT_FILTER: Shape(400, _CLIENT, _CLIENT, False),
    Code.REQUEST_TOO_LARGE: Shape(413, _CLIENT, "request_too_large", False),
    Code.BUDGET_EXCEEDED: Shape(429, "insufficient_quota", "rate_limit_error", False),
    Code.RATE_LIMIT_EXCEEDED: Shape(429, "requests", "rate_limit_error"),
    Code.PROVIDER_RATE_LIMITED: Shape(429, "requests", "rate_limit_error"),
    Code.OVERLOADED: Shape(503, "server_error", "overloaded_error"),
    Code.DIRECTORY_UNAVAILABLE: Shape(503, "server_error", "overloaded_error"),
    Code.PROVIDER_AUTH_FAILED: Shape(502, "server_error", "api_error", False),
    Code.PROVIDER_UNAVAILABLE: Shape(502, "server_error", "api_error"),
    Code.PROVIDER_ERROR: Shape(502, "server_error", "api_error"),
    Code.PROVIDER_TIMEOUT: Shape(504, "server_error", "timeout_error"),
    Code.INTERNAL_ERROR: Shape(500, "server_error", "api_error"),
}


SERVER = "tollway"


def status_of(error: TollwayError) -> int:
    """The HTTP status of an error."""
    return SHAPES[error.code].status


def error_type(error: TollwayError, dialect: str) -> str:
    """What kind of error it is, in the client's dialect."""
    shape = SHAPES[error.code]
    return shape.anthropic_type if dialect == Dialect.ANTHROPIC else error.kind or shape.openai_type


def error_body(error: TollwayError, dialect: str, request_id: str) -> bytes:
    """The JSON body of an error in the client's dialect."""
    kind = error_type(error, dialect)
    if dialect == Dialect.ANTHROPIC:
        # This dialect has no place for the field, so the message names it.
        named = not error.param or error.param in error.message
        message = error.message if named else f"'{error.param}': {error.message}"
        detail = {"type": kind, "message": message, **({"details": error.details} if error.details else {})}
        return orjson.dumps({"type": "error", "error": detail, "request_id": request_id})
    openai: dict[str, object] = {"message": error.message, "type": kind, "param": error.param, "code": error.code.value}
    if error.details:
        openai["details"] = error.details
    return orjson.dumps({"error": openai})


def error_headers(error: TollwayError, request_id: str) -> dict[str, str]:
    """The headers that go with an error: its code, and whether and when to try again."""
    headers = {
        "x-request-id": request_id,
        "request-id": request_id,  # what Anthropic's SDKs show
        "x-tollway-error-code": error.code.value,
        "Content-Type": "application/json",
        "Server": SERVER,
    }
    if SHAPES[error.code].should_retry is False or error.retryable is False:
        headers["x-should-retry"] = "false"
    elif error.retry_after_seconds is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after_seconds))
        headers["retry-after-ms"] = str(math.ceil(error.retry_after_seconds * 1000))
    return headers
