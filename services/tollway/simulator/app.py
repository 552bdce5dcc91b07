"""Puts the simulator together: its paths (routes.py), its control port, and how the service starts and ends."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from tollway.runtime import log
from tollway.runtime.admin import add_probes
from tollway.runtime.clock import Clock, SystemClock
from tollway.runtime.health import Health
from tollway.simulator.behaviour import ANY, PROFILES, Behaviours
from tollway.simulator.control import Control
from tollway.simulator.counts import Counts
from tollway.simulator.delivery import Delivery
from tollway.simulator.dialects.images import URL_PATH, png
from tollway.simulator.dialects.openai import OpenAI
from tollway.simulator.dialects.port import Dialect
from tollway.simulator.routes import routes
from tollway.simulator.settings import Settings

_log = log.get(__name__)
BACKLOG = 4096
KEEPALIVE_SECONDS = 75.0
DRAIN_SECONDS = 1.0
CREATED = 1_700_000_000
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Simulator:
    """One event loop that serves clients."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self._settings = settings
        self.behaviours = Behaviours(settings.max_tokens, settings.max_seconds)
        self.counts = Counts(settings.max_records)
        self._delivery = Delivery(settings, self.behaviours, self.counts, clock or SystemClock())
        self._clients: set[Any] = set()
        self.health = Health()
        self.runner = web.AppRunner(
            self._app(),
            access_log=None,
            handler_cancellation=True,
            keepalive_timeout=KEEPALIVE_SECONDS,
            shutdown_timeout=DRAIN_SECONDS,
        )

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=self._settings.max_body_bytes)
        router = app.router
        for route in routes():
            router.add_post(route.path, self._handler(route.dialect, route.counted))
        router.add_get(URL_PATH, _picture)
        for prefix in ("/v1", "/openai/v1", "/hf/v1"):
            router.add_get(f"{prefix}/models", self._models)
            router.add_get(f"{prefix}/models/{{model:.+}}", self._model)
        Control(self.behaviours, self.counts, self.open_connections).add_routes(router)
        add_probes(app, self.health)
        router.add_route("*", "/{path:.*}", _unknown(OpenAI()))
        return app

    def _handler(self, dialect: Dialect, endpoint: str) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            self._clients.add(request.protocol)
            if len(self._clients) > 2 * BACKLOG:
                self.open_connections()
            return await self._delivery.serve(request, dialect, endpoint, request.match_info.get("model", ""))

        return handle

    def open_connections(self) -> int:
        """Open connections that have carried a request for a model."""
        server = self.runner.server
        self._clients &= set(server.connections) if server is not None else set()
        return len(self._clients)

    async def _models(self, request: web.Request) -> web.Response:
        names = sorted({*PROFILES, *self.behaviours.shown()} - {ANY})
        if "anthropic-version" in request.headers:
            data = [_anthropic_model(name) for name in names]
            return _json({"data": data, "has_more": False, "first_id": names[0], "last_id": names[-1]})
        return _json({"object": "list", "data": [_openai_model(name) for name in names]})

    async def _model(self, request: web.Request) -> web.Response:
        name = request.match_info["model"]
        return _json(_anthropic_model(name) if "anthropic-version" in request.headers else _openai_model(name))

    async def listen(self) -> int:
        """Starts to listen; returns the port."""
        await self.runner.setup()
        site = web.TCPSite(self.runner, self._settings.bind, self._settings.port, backlog=BACKLOG, reuse_port=False)
        await site.start()
        port: int = self.runner.addresses[0][1]
        return port

    async def close(self) -> None:
        """Stops to listen and ends what is open."""
        await self.runner.cleanup()


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serves until `stop` is set; says on stdout where it listens."""
    simulator = Simulator(settings)
    try:
        port = await simulator.listen()
        sys.stdout.write(f"listening {json.dumps({'simulator': port})}\n")
        sys.stdout.flush()
        _log.info("listening", port=port)
        await stop.wait()
        simulator.health.draining = True
    finally:
        await simulator.close()


async def _picture(request: web.Request) -> web.Response:
    """What the URL of a picture leads to."""
    return web.Response(body=png(int(request.match_info["seed"], 16)), content_type="image/png")


def _unknown(dialect: Dialect) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        shown = dialect.error(404, f"Unknown request URL: {request.method} {request.path}.", code="unknown_url")
        return _json(shown.value, shown.status)

    return handle


def _openai_model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "simulator"}


def _anthropic_model(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": "2023-11-14T22:13:20Z"}


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
