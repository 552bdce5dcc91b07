"""The management API over HTTP: the contract's REST form, its OpenAPI document, probes."""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson
import uuid_utils
from aiohttp import web

from tollway.controlplane.api.dispatcher import Context, Dispatcher
from tollway.controlplane.auth import Authenticator
from tollway.controlplane.call import ApiCode, ApiError
from tollway.runtime import log
from tollway.runtime.admin import add_probes
from tollway.runtime.health import Health
from tollway.wire.contract import management
from tollway.wire.openapi import document
from tollway.wire.rest import JSON_TYPE, RestError, Router, to_message, to_plain_json

_log = log.get(__name__)
PREFIX = "/api/v1"
STATUSES: Mapping[ApiCode, int] = {
    ApiCode.INVALID: 400,
    ApiCode.UNAUTHENTICATED: 401,
    ApiCode.PERMISSION_DENIED: 403,
    ApiCode.NOT_FOUND: 404,
    ApiCode.ALREADY_EXISTS: 409,
    ApiCode.FAILED_PRECONDITION: 409,
    ApiCode.ETAG_MISMATCH: 412,
    ApiCode.UNAVAILABLE: 503,
}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class RestApi:
    """The handlers of the REST port."""

    def __init__(self, dispatcher: Dispatcher, authenticator: Authenticator, version: str) -> None:
        self._dispatcher = dispatcher
        self._authenticator = authenticator
        self._router = Router(management().values())
        self._document = orjson.dumps(document(management().values(), version))

    def app(self, health: Health, max_body_bytes: int) -> web.Application:
        """The web application."""
        app = web.Application(client_max_size=max_body_bytes)
        add_probes(app, health)
        app.router.add_get(f"{PREFIX}/openapi.json", self._openapi)
        app.router.add_route("*", PREFIX + "/{path:.*}", self._call)
        return app

    async def _openapi(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._document, content_type=JSON_TYPE)

    async def _call(self, request: web.Request) -> web.Response:
        given = request.headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else str(uuid_utils.uuid7())
        try:
            return await self._answer(request, request_id)
        except ApiError as error:
            return _refusal(error, STATUSES[error.code], request_id)
        except RestError as error:
            return _refusal(ApiError(ApiCode.INVALID, error.message, field=error.field), 400, request_id)
        except web.HTTPRequestEntityTooLarge:
            return _refusal(ApiError(ApiCode.INVALID, "the request body is too large"), 413, request_id)
        except Exception:  # noqa: BLE001 - the boundary: what was not foreseen is logged whole and shown as nothing
            _log.exception("api call failed", request_id=request_id, path=request.path)
            body = {"code": "internal", "message": "something went wrong", "field": None, "request_id": request_id}
            return _json({"error": body}, 500, request_id)

    async def _answer(self, request: web.Request, request_id: str) -> web.Response:
        found = self._router.find(request.method, request.rel_url.raw_path)
        if found is None:
            raise ApiError(ApiCode.NOT_FOUND, f"there is no {request.path}; see {PREFIX}/openapi.json")
        if isinstance(found, list):
            error = ApiError(ApiCode.INVALID, f"{request.method} is not supported here, use {', '.join(found)}")
            response = _refusal(error, 405, request_id)
            response.headers["Allow"] = ", ".join(found)
            return response
        principal = self._authenticator.administrator(request.headers)
        body = await request.read() if request.body_exists else b""
        query = [(name, value) for name, value in request.query.items()]
        message = to_message(found, query, body)
        if_match = request.headers.get("If-Match", "").strip('"')
        if if_match and "etag" in message.DESCRIPTOR.fields_by_name and not getattr(message, "etag"):  # noqa: B009
            setattr(message, "etag", if_match)  # noqa: B010 - the field is known by the descriptor alone
        context = Context(
            request_id=request_id,
            source=f"rest {request.remote or ''}".strip(),
            reason=request.headers.get("x-tollway-reason", "")[:1000],
        )
        answer = to_plain_json(await self._dispatcher.invoke(principal, found.contract, message, context))
        response = _json(answer, 200, request_id)
        if answer.get("etag"):
            response.headers["ETag"] = f'"{answer["etag"]}"'
        return response


def _json(value: object, status: int, request_id: str) -> web.Response:
    headers = {**_HEADERS, "x-request-id": request_id}
    return web.Response(body=orjson.dumps(value), status=status, content_type=JSON_TYPE, headers=headers)


def _refusal(error: ApiError, status: int, request_id: str) -> web.Response:
    body = {"code": error.code.value, "message": error.message, "field": error.field, "request_id": request_id}
    response = _json({"error": body}, status, request_id)
    if error.code is ApiCode.UNAVAILABLE:
        response.headers["Retry-After"] = "1"
    return response

