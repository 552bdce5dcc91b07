"""The operator's HTTP port of a process: `/livez` (alias `/healthz`), `/readyz`, `/metrics`."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from tollway.runtime.health import Health

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def add_probes(app: web.Application, health: Health) -> None:
    """Adds the liveness and readiness routes to any application."""

    async def live(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def ready(_request: web.Request) -> web.Response:
        problems = health.problems()
        if problems:
            return web.json_response({"status": "not ready", "problems": problems}, status=503)
        return web.json_response({"status": "ready"})

    app.router.add_get("/livez", live)
    app.router.add_get("/healthz", live)
    app.router.add_get("/readyz", ready)


def admin_app(health: Health, metrics: Callable[[], bytes]) -> web.Application:
    """The application of an admin port; `metrics` renders the Prometheus text format."""
    app = web.Application()
    add_probes(app, health)

    async def show(_request: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": METRICS_TYPE})

    app.router.add_get("/metrics", show)
    return app
