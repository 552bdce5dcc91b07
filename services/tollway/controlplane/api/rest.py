"""REST: the management API transcoded from the contract, under /api/v1, with probes beside it.

It turns HTTP into a message and an answer into HTTP; what a call may do and does is the dispatcher's. Answers can hold
secrets that are shown once, so none may be stored by anyone on the way.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web
from uuid_utils.compat import uuid7

from tollway.controlplane.api import idempotency
from tollway.controlplane.api.dispatcher import CallContext, Dispatcher
from tollway.controlplane.auth import Authenticator
from tollway.controlplane.call import ApiCode, ApiError, Principal
from tollway.runtime import log
from tollway.runtime.admin import add_probes
from tollway.runtime.health import Health
from tollway.wire.codec import ContractViolation
from tollway.wire.contract import ETAG, METHODS, PUBLIC
from tollway.wire.json_codec import dumps
from tollway.wire.rest import NoRoute, Route, Router, VerbNotAllowed, request_message

_log = log.get(__name__)
STATUS = {
    ApiCode.INVALID: 400,
    ApiCode.UNAUTHENTICATED: 401,
    ApiCode.PERMISSION_DENIED: 403,
    ApiCode.NOT_FOUND: 404,
    ApiCode.ALREADY_EXISTS: 409,
    ApiCode.FAILED_PRECONDITION: 409,
    ApiCode.ETAG_MISMATCH: 412,
    ApiCode.KEY_REUSED: 422,
    ApiCode.ANSWER_GONE: 409,
    ApiCode.UNAVAILABLE: 503,
}
PREFIX = "/api/v1/"
ANONYMOUS = Principal(name="anonymous", permissions=frozenset())
REQUEST_ID = web.RequestKey("request_id", str)
REASON_HEADER = "x-tollway-reason"
MAX_REASON = 500
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,200}")
_ETAG = re.compile(r'(?:W/)?"([^"]*)"')
_JSON = "application/json"
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def request_id(given: str) -> str:
    """The caller's own request id when it is usable, else a new one."""
    return given if _REQUEST_ID.fullmatch(given) else str(uuid7())


def reason(given: str) -> str:
    """The caller's words for the audit log, cut to a sensible length."""
    return given.replace("\0", "")[:MAX_REASON]


class _HttpError(Exception):
    """An answer that only HTTP knows."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


def _answer(status: int, body: bytes, request_id: str, headers: dict[str, str] | None = None) -> web.Response:
    known = {**HEADERS, "x-request-id": request_id, **(headers or {})}
    return web.Response(status=status, body=body, content_type=_JSON, headers=known)


def _error(
    status: int, code: str, message: str, request_id: str, *, field: str | None = None, headers: dict[str, str]
) -> web.Response:
    error: dict[str, Any] = {"code": code, "message": message, "field": field, "request_id": request_id}
    return _answer(status, orjson.dumps({"error": error}), request_id, headers)


def _api_error(error: ApiError, request_id: str) -> web.Response:
    headers = {}
    if error.code is ApiCode.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.code is ApiCode.UNAVAILABLE:
        headers["Retry-After"] = "1"
    return _error(STATUS[error.code], error.code.value, error.message, request_id, field=error.field, headers=headers)


@web.middleware
async def _errors(request: web.Request, handler: Any) -> web.StreamResponse:
    """Whatever goes wrong has the one error shape, the request id, and no detail of ours."""
    number = request[REQUEST_ID] = request_id(request.headers.get("x-request-id", ""))
    try:
        response: web.StreamResponse = await handler(request)
        return response
    except ApiError as error:
        return _api_error(error, number)
    except ContractViolation as error:
        return _api_error(ApiError(ApiCode.INVALID, error.message, field=error.field), number)
    except _HttpError as error:
        return _error(error.status, error.code, error.message, number, headers=error.headers)
    except web.HTTPRequestEntityTooLarge:
        return _error(413, "request_too_large", "the body is too large", number, headers={"Connection": "close"})
    except web.HTTPException as error:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status, "invalid_argument")
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return _error(error.status, code, error.reason, number, headers=allow)
    except Exception:  # noqa: BLE001 - logged and answered; the server goes on
        _log.exception("a call failed by a defect", request_id=number, path=request.path)
        return _error(500, "internal", "internal error", number, headers={})


class RestApi:
    """The application of the control port."""

    def __init__(self, dispatcher: Dispatcher, authenticator: Authenticator, document: Callable[[], bytes]) -> None:
        self._dispatcher = dispatcher
        self._authenticator = authenticator
        self._document = document
        self._router = Router(METHODS.values())

    def application(self, health: Health, max_body_bytes: int, max_form_fields: int) -> web.Application:
        """API, OpenAPI document and probes. Forms are of pages that are added to it."""
        app = web.Application(middlewares=[_errors], client_max_size=max_body_bytes, client_max_fields=max_form_fields)
        add_probes(app, health)
        app.router.add_get(f"{PREFIX}openapi.json", self._openapi)
        app.router.add_route("*", f"{PREFIX}{{rest:.*}}", self._call)
        return app

    async def _openapi(self, request: web.Request) -> web.Response:
        return _answer(200, self._document(), request[REQUEST_ID])

    async def _call(self, request: web.Request) -> web.Response:
        path, _, query = request.raw_path.partition("?")
        route = self._route(request.method, path)
        contract = route.method
        principal = ANONYMOUS
        if contract.permission != PUBLIC:
            principal = await self._authenticator.of_request(request)
        body = await request.read()
        if body and request.content_type != _JSON:
            raise _HttpError(415, "unsupported_media_type", f"the body must be JSON: send Content-Type: {_JSON}")
        message = request_message(route, query, body)
        _take_if_match(message, request.headers.get("If-Match", ""), contract.read_only)
        key = ""
        if idempotency.applies(contract):
            key = idempotency.given_key(request.headers.getall(idempotency.HEADER, []))
        context = CallContext(
            request_id=request[REQUEST_ID],
            source=request.remote or "",
            reason=reason(request.headers.get(REASON_HEADER, "")),
            agent=request.headers.get("User-Agent", ""),
            transport="rest",
            idempotency_key=key,
        )
        answered = await self._dispatcher.answer(principal, contract, message, context)
        answer = answered.message
        headers = {idempotency.REPLAYED: "true"} if answered.replayed else {}
        if ETAG in answer.DESCRIPTOR.fields_by_name and answer.etag:
            headers["ETag"] = f'"{answer.etag}"'
        return _answer(200, dumps(answer), context.request_id, headers)

    def _route(self, method: str, path: str) -> Route:
        try:
            return self._router.find(method, path)
        except NoRoute:
            raise _HttpError(404, "not_found", "there is no such path; see /api/v1/openapi.json") from None
        except VerbNotAllowed as error:
            allowed = ", ".join(error.allowed)
            raise _HttpError(405, "method_not_allowed", f"this path takes {allowed}", {"Allow": allowed}) from None


def _take_if_match(message: Any, header: str, read_only: bool) -> None:
    """`If-Match` as the request's etag; never ignored where a change depends on it."""
    if not header or header.strip() == "*" or read_only:
        return
    match = _ETAG.fullmatch(header.strip())
    if match is None:
        raise ApiError(ApiCode.INVALID, 'If-Match must be one etag in quotes, as in "abc"', field=ETAG)
    if ETAG not in message.DESCRIPTOR.fields_by_name:
        raise ApiError(ApiCode.INVALID, "this method takes no If-Match")
    if message.etag and message.etag != match[1]:
        raise ApiError(ApiCode.INVALID, "If-Match and the etag of the request differ", field=ETAG)
    message.etag = match[1]
