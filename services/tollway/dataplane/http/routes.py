"""The client's port: which path does what, and what a request looks like that ends in an error.

A bare aiohttp server with one look-up: every answer, 404 and 405 included, has the client dialect's shape.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from urllib.parse import unquote

import orjson
import uuid_utils
from aiohttp import web

from tollway.core.errors import Code, TollwayError, let_go
from tollway.core.ids import KEY_PREFIX
from tollway.dataplane.endpoints.port import Dialect, Endpoint
from tollway.dataplane.endpoints.table import ENDPOINTS
from tollway.dataplane.http import models, responses
from tollway.dataplane.http.errors import SERVER, error_body, error_headers, status_of
from tollway.dataplane.http.paths import place_of
from tollway.dataplane.pipeline.exchange import Exchange, Services
from tollway.dataplane.pipeline.observe import request_ended
from tollway.dataplane.pipeline.order import run, stages_of
from tollway.dataplane.pipeline.record import record
from tollway.runtime import log
from tollway.runtime.health import Health

_log = log.get(__name__)
CLIENT_CLOSED_STATUS = 499
MODELS_PATH = "/v1/models"
RESPONSES_PATH = "/v1/responses"
MAX_REQUEST_ID = 200

Route = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Reading = Callable[[web.BaseRequest], Awaitable[object]]


class Routes:
    """The handler of every request on the proxy port."""

    def __init__(self, services: Services, health: Health) -> None:
        self._services = services
        self._health = health
        self._time = asyncio.get_running_loop().time
        self.in_flight = 0
        self._table: Mapping[str, Mapping[str, Route]] = {
            MODELS_PATH: {"GET": partial(self._answer, self._models)},
            "/livez": {"GET": self._live},
            "/healthz": {"GET": self._live},
            "/readyz": {"GET": self._ready},
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers one request. Only the client's own disconnection leaves as an exception."""
        endpoint = ENDPOINTS.get(request.raw_path)  # as most requests come
        if endpoint is not None and request.method == "POST":
            return await self._serve(endpoint, None, request)
        if "Upgrade" in request.headers and request.headers["Upgrade"].lower() == "websocket":
            return self._no_websocket(request)
        path, model = place_of(request.raw_path)
        endpoint = ENDPOINTS.get(path)
        if endpoint is not None and request.method == "POST":
            return await self._serve(endpoint, model, request)
        methods = self._methods(path) if endpoint is None else {"POST": partial(self._serve, endpoint, model)}
        if methods is None:
            return self._error(request, TollwayError(Code.ENDPOINT_NOT_FOUND, f"There is no endpoint {path[:200]}."))
        route = methods.get(request.method)
        if route is None:
            allowed = ", ".join(methods)
            error = TollwayError(Code.METHOD_NOT_ALLOWED, f"{request.method} is not supported here. Use {allowed}.")
            response = self._error(request, error)
            response.headers["Allow"] = allowed
            return response
        return await route(request)

    async def refuse(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers a request on a connection that is one too many."""
        error = TollwayError(Code.OVERLOADED, "There are too many connections. Try again.", retry_after_seconds=1)
        return self._error(request, error)

    def _no_websocket(self, request: web.BaseRequest) -> web.StreamResponse:
        error = TollwayError(
            Code.INVALID_REQUEST, "WebSocket is not supported. Send a POST with 'stream': true for server-sent events."
        )
        response = self._error(request, error)
        response.force_close()
        return response

    def _methods(self, path: str) -> Mapping[str, Route] | None:
        """What can be done at a path that is no endpoint of a model."""
        if path.startswith(MODELS_PATH + "/"):
            return {"GET": partial(self._answer, partial(self._model, unquote(path.removeprefix(MODELS_PATH + "/"))))}
        if path.startswith(RESPONSES_PATH + "/"):
            name, slash, rest = path.removeprefix(RESPONSES_PATH + "/").partition("/")
            if rest == "input_items":
                return {"GET": partial(self._answer, partial(self._response_items, name))}
            if not slash:
                show, forget = partial(self._response, name), partial(self._forget_response, name)
                return {"GET": partial(self._answer, show), "DELETE": partial(self._answer, forget)}
        return self._table.get(path)

    async def _serve(self, endpoint: Endpoint, model: str | None, request: web.BaseRequest) -> web.StreamResponse:
        started = self._time()
        exchange = Exchange(request, self._services, endpoint, started, model)
        status = CLIENT_CLOSED_STATUS
        answer: web.StreamResponse | None = None
        refused: TollwayError | None = None
        tracer = self._services.tracer
        if tracer is not None:
            exchange.trace = tracer.request(endpoint.path, endpoint.operation, exchange.id, request.headers)
        self.in_flight += 1
        try:
            _check_request_id(exchange)
            await run(exchange, stages_of(endpoint.operation))
            assert exchange.response is not None
            status = exchange.status or exchange.response.status
            answer = exchange.response
            return answer
        except TollwayError as error:
            refused = error
            status = status_of(error)
            answer = self._refuse(exchange, error)
            return answer
        except ConnectionError:
            raise asyncio.CancelledError from None  # the client is gone: there is nobody to answer
        except Exception:  # noqa: BLE001 - the boundary: what was not foreseen is logged whole and shown as nothing
            _log.exception("request failed", request_id=exchange.id)
            ours = TollwayError(Code.INTERNAL_ERROR, f"Something went wrong in the gateway. Request id: {exchange.id}.")
            refused = ours
            status = status_of(ours)
            answer = self._refuse(exchange, ours)
            return answer
        finally:
            self.in_flight -= 1
            request_ended(exchange, status, refused, self._time() - started)
            record(exchange, answer)
            if refused is not None:
                let_go(refused)

    def _refuse(self, exchange: Exchange, error: TollwayError) -> web.StreamResponse:
        if exchange.response is not None and exchange.response.prepared:
            exchange.response.force_close()
            return exchange.response
        response = self._shape(error, exchange.endpoint.dialect, exchange.shown_id)
        response.headers.update(exchange.rate_headers())
        response.headers["x-tollway-cache"] = "hit" if exchange.given else exchange.cached or "off"
        made = sum(attempt.sent for attempt in exchange.attempts)
        if made:
            response.headers["x-tollway-attempts"] = str(made)
            response.headers["x-tollway-provider"] = exchange.attempts[-1].candidate.provider.name
        if error.code is Code.REQUEST_TOO_LARGE:
            response.force_close()
        return response

    def _error(self, request: web.BaseRequest, error: TollwayError) -> web.Response:
        dialect = Dialect.ANTHROPIC if "anthropic-version" in request.headers else Dialect.OPENAI
        given = request.headers.get("x-request-id", "")
        request_id = given if given and _is_request_id(given) else str(uuid_utils.uuid7())
        return self._shape(error, dialect, request_id)

    @staticmethod
    def _shape(error: TollwayError, dialect: str, request_id: str) -> web.Response:
        return web.Response(
            status=status_of(error),
            body=error_body(error, dialect, request_id),
            headers=error_headers(error, request_id),
        )

    # -- models, stored responses, probes ---------------------------------------------------------------------------

    async def _answer(self, read: Reading, request: web.BaseRequest) -> web.StreamResponse:
        """What `read` gives, as JSON; or the error that it raises."""
        try:
            found = await read(request)
        except TollwayError as error:
            return self._error(request, error)
        except Exception:  # noqa: BLE001 - the boundary, as for requests to models
            _log.exception("request failed", path=request.rel_url.path[:200])
            return self._error(request, TollwayError(Code.INTERNAL_ERROR, "Something went wrong in the gateway."))
        return _json(found)

    async def _models(self, request: web.BaseRequest) -> object:
        return await models.show_list(self._services, request.headers)

    async def _model(self, name: str, request: web.BaseRequest) -> object:
        return await models.show_one(self._services, request.headers, name)

    async def _response(self, name: str, request: web.BaseRequest) -> object:
        return await responses.show(self._services, request.headers, name, request.rel_url.query)

    async def _forget_response(self, name: str, request: web.BaseRequest) -> object:
        return await responses.forget(self._services, request.headers, name)

    async def _response_items(self, name: str, request: web.BaseRequest) -> object:
        return await responses.show_items(self._services, request.headers, name, request.rel_url.query)

    async def _live(self, _request: web.BaseRequest) -> web.StreamResponse:
        return _json({"status": "ok"})

    async def _ready(self, _request: web.BaseRequest) -> web.StreamResponse:
        problems = self._health.problems()
        if problems:
            return _json({"status": "not ready", "problems": problems}, status=503)
        return _json({"status": "ready"})


def _json(value: object, status: int = 200) -> web.Response:
    headers = {"Server": SERVER}
    body = value if isinstance(value, bytes) else orjson.dumps(value)
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def _is_request_id(text: str) -> bool:
    """Whether a client's request id may be echoed and stored: short, printable, and not a key by mistake."""
    return len(text) <= MAX_REQUEST_ID and text.isascii() and text.isprintable() and not text.startswith(KEY_PREFIX)


def _check_request_id(exchange: Exchange) -> None:
    """Refuses a client's request id that is none, and forgets it."""
    given = exchange.client_request_id
    if given is None:
        return
    if not _is_request_id(given):
        exchange.client_request_id = None
        raise TollwayError(
            Code.INVALID_REQUEST,
            f"x-request-id must be at most {MAX_REQUEST_ID} printable characters.",
            param="x-request-id",
        )
