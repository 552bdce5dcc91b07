"""The control port's calls, under `/control`: set behaviour, read counts, reset. For tests and demonstrations only.

`POST /control/behaviour` takes `{"model": NAME or "*", option: value, ...}` or a list of them; each replaces what was
set for that model. `GET` shows what is set, `DELETE` forgets it. `GET /control/counts` has the sums, `GET
/control/requests?limit=&model=&attempt=` single requests, `POST /control/reset` forgets counts and behaviour
(`?keep=behaviour`: the counts alone).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import orjson
from aiohttp import web

from tollway.simulator.behaviour import BehaviourError, Behaviours
from tollway.simulator.counts import Counts

MAX_BODY_BYTES = 1 << 20
DEFAULT_LIMIT = 1000


class Control:
    """The handlers. `connections` tells how many connections of clients are open."""

    def __init__(self, behaviours: Behaviours, counts: Counts, connections: Callable[[], int]) -> None:
        self._behaviours, self._counts, self._connections = behaviours, counts, connections

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Adds the control port's routes."""
        router.add_post("/control/behaviour", self.set_behaviour)
        router.add_get("/control/behaviour", self.show_behaviour)
        router.add_delete("/control/behaviour", self.forget_behaviour)
        router.add_get("/control/counts", self.counts)
        router.add_get("/control/requests", self.requests)
        router.add_post("/control/reset", self.reset)

    async def set_behaviour(self, request: web.Request) -> web.Response:
        """Sets the behaviour of one or several models; all or, where one is wrong, none."""
        body = await request.read()
        if len(body) > MAX_BODY_BYTES:
            return _json({"error": f"at most {MAX_BODY_BYTES} bytes"}, 413)
        try:
            wanted = orjson.loads(body)
            wanted = wanted if isinstance(wanted, list) else [wanted]
            pairs = [_pair(item) for item in wanted]
            self._behaviours.set(pairs)
        except ValueError as error:
            return _json({"error": str(error)}, 400)
        return _json(self._behaviours.shown())

    async def show_behaviour(self, _request: web.Request) -> web.Response:
        """What is set."""
        return _json(self._behaviours.shown())

    async def forget_behaviour(self, _request: web.Request) -> web.Response:
        """Every model behaves as its name says again."""
        self._behaviours.reset()
        return _json({})

    async def counts(self, _request: web.Request) -> web.Response:
        """The sums."""
        return _json({**self._counts.shown(), "open_connections": self._connections()})

    async def requests(self, request: web.Request) -> web.Response:
        """Single requests."""
        text = request.query.get("limit", str(DEFAULT_LIMIT))
        if not text.isascii() or not text.isdigit():
            return _json({"error": "limit must be a number"}, 400)
        query = request.query
        found = self._counts.records(int(text), query.get("model", ""), query.get("attempt", ""))
        return _json([msgspec.to_builtins(record) for record in found])

    async def reset(self, request: web.Request) -> web.Response:
        """Forgets what was counted, and what was set."""
        self._counts.reset()
        if request.query.get("keep") != "behaviour":
            self._behaviours.reset()
        return _json({})


def _pair(item: Any) -> tuple[str, dict[str, Any]]:
    """Model and options of one setting. Raises BehaviourError."""
    if not isinstance(item, dict) or not isinstance(item.get("model"), str) or not item["model"]:
        raise BehaviourError("a behaviour is an object with the field model, a name or *")
    return item["model"], {name: value for name, value in item.items() if name != "model"}


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
