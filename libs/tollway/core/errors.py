"""What can go wrong, in the product's own words.

This module owns the stable error codes and whose fault each is. It never says HTTP: the one table that turns a code
into a status and into each client dialect's shape is `tollway.dataplane.http.errors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Fault(StrEnum):
    """Who has to act so that the request succeeds."""

    CLIENT = "client"
    POLICY = "policy"
    UPSTREAM = "upstream"
    US = "us"


class Code(StrEnum):
    """Stable codes, listed for users in docs/reference/errors.md."""

    INVALID_API_KEY = "invalid_api_key"
    KEY_EXPIRED = "key_expired"
    KEY_REVOKED = "key_revoked"
    PROJECT_NOT_ALLOWED = "project_not_allowed"
    MODEL_NOT_ALLOWED = "model_not_allowed"
    GUARDRAIL_BLOCKED = "guardrail_blocked"
    MODEL_NOT_PRICED = "model_not_priced"
    MODEL_NOT_FOUND = "model_not_found"
    ENDPOINT_NOT_FOUND = "endpoint_not_found"
    RESPONSE_NOT_FOUND = "response_not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    INVALID_JSON = "invalid_json"
    INVALID_REQUEST = "invalid_request"
    UNSUPPORTED_PARAMETER = "unsupported_parameter"
    CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"
    CONTENT_FILTER = "content_filter"
    REQUEST_TOO_LARGE = "request_too_large"
    BUDGET_EXCEEDED = "budget_exceeded"
    RATE_LIMIT_EXCEEDED = "rate_limit_exceeded"
    PROVIDER_RATE_LIMITED = "provider_rate_limited"
    OVERLOADED = "overloaded"
    DIRECTORY_UNAVAILABLE = "directory_unavailable"
    PROVIDER_AUTH_FAILED = "provider_auth_failed"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    PROVIDER_ERROR = "provider_error"
    PROVIDER_TIMEOUT = "provider_timeout"
    INTERNAL_ERROR = "internal_error"


_FAULTS: Mapping[Code, Fault] = {
    Code.PROJECT_NOT_ALLOWED: Fault.POLICY,
    Code.GUARDRAIL_BLOCKED: Fault.POLICY,
    Code.MODEL_NOT_ALLOWED: Fault.POLICY,
    Code.MODEL_NOT_PRICED: Fault.POLICY,
    Code.BUDGET_EXCEEDED: Fault.POLICY,
    Code.RATE_LIMIT_EXCEEDED: Fault.POLICY,
    Code.PROVIDER_RATE_LIMITED: Fault.UPSTREAM,
    Code.PROVIDER_AUTH_FAILED: Fault.UPSTREAM,
    Code.PROVIDER_UNAVAILABLE: Fault.UPSTREAM,
    Code.PROVIDER_ERROR: Fault.UPSTREAM,
    Code.PROVIDER_TIMEOUT: Fault.UPSTREAM,
    Code.OVERLOADED: Fault.US,
    Code.DIRECTORY_UNAVAILABLE: Fault.US,
    Code.INTERNAL_ERROR: Fault.US,
}


class TollwayError(Exception):
    """An error that may be shown to the client as it is.

    `message` is public: it never carries a secret, an address of ours or a stack. `param` names the offending field of
    the request. `retry_after_seconds` is set only where waiting helps. `operator_note` is for the log alone.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        param: str | None = None,
        retry_after_seconds: float | None = None,
        operator_note: str | None = None,
    ) -> None:
        """Keyword arguments as described for the class."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.retry_after_seconds = retry_after_seconds
        self.operator_note = operator_note
        self.details: Mapping[str, object] | None = None
        """What a program can act on beside the code, in the words of the client's dialect."""
        self.kind: str | None = None
        """What kind of a code's errors it is, where the code has several: a limit of "tokens", say."""
        self.retryable: bool | None = None
        """Whether the same request may succeed later, where that is known better than by the code."""

    @property
    def fault(self) -> Fault:
        """Whose fault this is; everything not listed is the client's."""
        return _FAULTS.get(self.code, Fault.CLIENT)


def let_go(error: BaseException) -> None:
    """Drops the tracebacks of an error that was dealt with, and of what caused it.

    A traceback holds frames, a frame that keeps the error holds the traceback, and both hold the request's body: it
    would all wait for the cyclic collector.
    """
    found: BaseException | None = error
    while found is not None:
        found.__traceback__ = None
        found = found.__cause__ or found.__context__
