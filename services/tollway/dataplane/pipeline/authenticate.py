"""Who calls: finds the presented key or token in the headers and has the directory verify it."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping

from tollway.core.errors import Code, TollwayError
from tollway.core.ids import KEY_PREFIX
from tollway.dataplane.config.bearers import PROJECT_HEADER
from tollway.dataplane.config.directory import Directory, Principal
from tollway.dataplane.pipeline.exchange import Exchange

_BEARER = "bearer "
_KEY_HEADERS = ("x-api-key", "api-key")


def presented_key(headers: Mapping[str, str]) -> str:
    """The key in `Authorization: Bearer`, `x-api-key` or `api-key`; several must be equal. Raises TollwayError."""
    found: str | None = None
    authorization = headers.get("Authorization")
    if authorization is not None:
        if authorization[:7].lower() != _BEARER:
            raise _missing("The Authorization header must be 'Bearer <key>'.")
        found = authorization[7:].strip()
    for name in _KEY_HEADERS:
        value = headers.get(name)
        if value is None:
            continue
        if found is not None and found != value:
            raise TollwayError(
                Code.INVALID_REQUEST, "Several different API keys were presented. Send one, in one header.", param=name
            )
        found = value
    if not found:
        raise _missing("You didn't provide an API key. Send it in the header 'Authorization: Bearer <key>'.")
    return found


def _missing(message: str) -> TollwayError:
    return TollwayError(Code.INVALID_API_KEY, message)


def principal_of(directory: Directory, headers: Mapping[str, str]) -> Principal | Awaitable[Principal]:
    """Who a request's headers are of: at once when that is known, else an awaitable. Raises TollwayError."""
    key = presented_key(headers)
    if not key.startswith(KEY_PREFIX) and directory.bearers.takes(key):
        return directory.bearers.authenticate(key, headers.get(PROJECT_HEADER))
    return directory.authenticate(key)


def authenticate(exchange: Exchange) -> Awaitable[None] | None:
    """Puts the principal on the exchange; at once when the key was verified before."""
    result = principal_of(exchange.services.directory, exchange.request.headers)
    if isinstance(result, Principal):
        exchange.principal = result
        return None
    return _when_known(exchange, result)


async def _when_known(exchange: Exchange, pending: Awaitable[Principal]) -> None:
    exchange.principal = await pending
