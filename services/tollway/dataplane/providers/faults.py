"""What a provider's error means for the client, for the operator and for another attempt.

Owns the classification that all kinds share; bodies are read by `told`. A client is told of its own mistakes in the
provider's words; the operator's (credentials, quota, a wrong target) stay in the operator's note.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tollway.core.errors import Code
from tollway.dataplane.providers.port import ProviderFault
from tollway.dataplane.providers.told import Told, header, read_told, wait_of

_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "BadRequestError": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "requests": 429,
    "tokens": 429,
    "insufficient_quota": 429,
    "rate_limit_exceeded": 429,
    "api_error": 500,
    "server_error": 500,
    "overloaded_error": 529,
    "timeout_error": 504,
}
_CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_CONTEXT_WORDS = re.compile(
    r"exceed_context_size|exceeds the maximum number of tokens|"
    r"maximum context length|context (?:length|window|limit)|prompt is too long|input is too long|"
    r"`inputs` tokens \+ `max_new_tokens`|"
    r"`?inputs?`? must have less than \d+ tokens|longer than the maximum model length",
    re.IGNORECASE,
)
_FILTER_CODES = frozenset(
    {"content_filter", "moderation_blocked", "content_policy_violation", "ResponsibleAIPolicyViolation"}
)
_MONEY_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error"})
_MONEY_WORDS = re.compile(
    r"credit balance is too low|exceeded your (?:current quota|monthly included credits)", re.IGNORECASE
)
_KEY_CODES = frozenset({"invalid_api_key", "authentication_error"})
_KEY_WORDS = re.compile(r"^(?:API key not valid|Incorrect API key provided)", re.IGNORECASE)
"""Gemini and xAI say so with status 400."""
_TARGET_CODES = frozenset({"model_not_found", "DeploymentNotFound", "OperationNotSupported", "model_not_supported"})
_AWAY = frozenset({502, 503, 504, 529}) | frozenset(range(520, 528))
_WRONG_DOOR = frozenset({404, 405, 406, 410, 415})


def fault_of(status: int, headers: Mapping[str, str], body: bytes, *, now: float | None = None) -> ProviderFault:
    """The fault of an answer that is not 2xx. `now` as for `wait_of`."""
    told = read_told(body)
    wait = wait_of(headers, now)
    retry = header(headers, "x-should-retry")
    return classify(status, told, wait=told.wait if wait is None else wait, final=retry == "false", shown=status)


def fault_in_stream(told: Told) -> ProviderFault:
    """The fault of an error that came with or after a 200: its status is told by the error's own type or code."""
    status = told.status or _STATUS_OF_TYPE.get(told.type or "") or _STATUS_OF_TYPE.get(told.code or "") or 500
    return classify(status, told, wait=None, final=False, shown=None)


def garbage(what: str) -> ProviderFault:
    """The provider's answer is not what its API promises."""
    return ProviderFault(Code.PROVIDER_ERROR, f"The provider's answer could not be understood: {what}.", retryable=True)


def cut_short() -> ProviderFault:
    """The stream ended without its terminal event."""
    message = "The provider ended the stream before the answer was complete."
    return ProviderFault(Code.PROVIDER_UNAVAILABLE, message, retryable=True)


def classify(status: int, told: Told, *, wait: float | None, final: bool, shown: int | None) -> ProviderFault:
    """The fault for an effective `status`. `final`: the provider asks for no other try; `shown`: the true status."""
    code, message, retryable = _meaning(status, told)
    note = f"provider answered {status}"
    if told.code or told.type:
        note += f" ({told.code or told.type})"
    if told.message:
        note += f": {told.message}"
    client_field = code in (Code.INVALID_REQUEST, Code.UNSUPPORTED_PARAMETER, Code.CONTEXT_LENGTH_EXCEEDED)
    return ProviderFault(
        code,
        message,
        retryable=retryable and not final,
        status=shown,
        provider_code=told.code or told.type,
        param=told.param if client_field or code is Code.CONTENT_FILTER else None,
        retry_after_seconds=wait if retryable else None,
        operator_note=note,
    )


def _meaning(status: int, told: Told) -> tuple[Code, str, bool]:
    """(code, message for the client, whether another attempt may help)."""
    named = {told.code, told.type}
    if named & _MONEY_CODES or status == 402 or _MONEY_WORDS.search(told.message):
        message = "The provider refused the request because of the quota or billing of the gateway's account there."
        return Code.PROVIDER_ERROR, message + " The gateway's operator has to act.", False
    if named & _TARGET_CODES or (status in _WRONG_DOOR and not named & _KEY_CODES):
        message = "The provider does not know the model or address that the gateway is configured to use."
        return Code.PROVIDER_ERROR, message + " The gateway's operator has to act.", False
    if status in (401, 403) or named & _KEY_CODES or _KEY_WORDS.search(told.message):
        return Code.PROVIDER_AUTH_FAILED, "The provider refused the gateway's credential. Your own key is fine.", False
    if status == 429:
        return Code.PROVIDER_RATE_LIMITED, "The provider's rate limit for the gateway is reached. Retry later.", True
    if status in (400, 413, 422):
        return _clients_mistake(status, told)
    told_words = f": {told.message}" if told.message else "."
    if status in _AWAY:
        return Code.PROVIDER_UNAVAILABLE, f"The provider is not available at the moment{told_words}", True
    if status in (408, 409, 425) or status >= 500:
        code = Code.PROVIDER_UNAVAILABLE if status == 408 else Code.PROVIDER_ERROR
        return code, f"The provider failed to serve the request (status {status}){told_words}", True
    if status < 400:
        message = "The provider answered with a redirect or an unexpected status. The gateway's operator has to act."
        return Code.PROVIDER_ERROR, message, False
    return _clients_mistake(status, told)


def _clients_mistake(status: int, told: Told) -> tuple[Code, str, bool]:
    """A request that the provider refuses for what it says; its words are the best explanation there is."""
    message = told.message or f"The provider refused the request (status {status}) without saying why."
    named = {told.code, told.type}
    if named & _FILTER_CODES or told.filtered:
        why = f" (filtered for {', '.join(told.filtered)})" if told.filtered else ""
        return Code.CONTENT_FILTER, message + why, False
    if named & _CONTEXT_CODES or _CONTEXT_WORDS.search(message):
        return Code.CONTEXT_LENGTH_EXCEEDED, message, False
    if status == 413 or "request_too_large" in named:
        return Code.REQUEST_TOO_LARGE, message, False
    if told.code == "unsupported_parameter":
        return Code.UNSUPPORTED_PARAMETER, message, False
    return Code.INVALID_REQUEST, message, False
