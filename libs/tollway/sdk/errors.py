"""What can go wrong when the management API is called.

Messages come from the server or describe the connection; they never carry the token or any other secret.
"""

from __future__ import annotations


class TollwayError(Exception):
    """Any failure of a call."""


class ConnectionFailed(TollwayError):
    """The control plane could not be reached, or the connection broke before an answer came."""


class InvalidAnswer(TollwayError):
    """Something answered that is not the management API."""


class ApiError(TollwayError):
    """The management API refused the call.

    `status` is the HTTP status, `code` the stable code (for example `not_found`, `etag_mismatch`), `field` the path of
    the offending field of the request where there is one, `request_id` the id to look for in the server's logs.
    """

    def __init__(
        self, status: int, code: str, message: str, *, field: str | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(f"{message} ({code})" if field is None else f"{field}: {message} ({code})")
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.request_id = request_id


class AuthenticationError(ApiError):
    """401: the token is missing or not valid."""


class PermissionDenied(ApiError):
    """403: the token may not do this."""


class NotFound(ApiError):
    """404: there is no such object."""


class Conflict(ApiError):
    """409: it exists already, or the state of something else forbids it."""


class EtagMismatch(ApiError):
    """412: somebody else changed the object since its etag was read."""


class IdempotencyKeyReused(ApiError):
    """422: the idempotency key was used for another request; send that one, or a new key."""


class Unavailable(ApiError):
    """503: the server cannot answer now; the call may be repeated later."""


_BY_STATUS: dict[int, type[ApiError]] = {
    401: AuthenticationError,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    412: EtagMismatch,
    422: IdempotencyKeyReused,
    503: Unavailable,
}


def api_error(status: int, code: str, message: str, *, field: str | None, request_id: str | None) -> ApiError:
    """The most specific error for an HTTP status."""
    return _BY_STATUS.get(status, ApiError)(status, code, message, field=field, request_id=request_id)
