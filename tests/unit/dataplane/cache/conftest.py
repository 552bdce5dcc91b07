"""What the tests of the cache share: a request of one project for one model, any part of which can be another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tollway.core.catalog import Caching, Model, Project, Provider, ProviderKind, Target
from tollway.dataplane.cache.plan import CacheLimits, Plan, Planner
from tollway.dataplane.config.holder import Candidate, Route
from tollway.dataplane.endpoints.table import ENDPOINTS

KEY = b"k" * 32
PROVIDER = Provider(id="p", name="p", kind=ProviderKind.OPENAI, base_url="https://a.example/v1")
MODEL = Model(id="m", name="m", targets=(Target(provider="p", model="x"),))
ROUTE = Route("m", MODEL, (Candidate(PROVIDER, "x", (), 1, 0),), None)
CACHING = Caching(enabled=True)
PROJECT = Project(id="p1", name="one", organisation="o1", business_unit="u", caching=CACHING)
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "How do I sort a list?"}]}

MakePlan = Callable[..., Plan | None]


@pytest.fixture
def make_plan() -> MakePlan:
    """Plans a request; named parts replace those of the usual one."""
    planners: dict[tuple[Any, ...], Planner] = {}

    def make(
        body: dict[str, Any] | bytes = BODY,
        *,
        path: str = "/v1/chat/completions",
        headers: dict[str, str] | None = None,
        caching: dict[str, Any] | None = None,
        route: Route = ROUTE,
        fleet_key: bytes = KEY,
        by_meaning: bool = True,
        memory: Any = None,
        guards: bytes = b"",
        **project: Any,
    ) -> Plan | None:
        endpoint = ENDPOINTS[path]
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        settings = (fleet_key, by_meaning)
        if settings not in planners:
            planners[settings] = Planner([fleet_key], CacheLimits(request_bytes=10_000), by_meaning=by_meaning)
        chosen = msgspec.structs.replace(
            PROJECT, caching=msgspec.structs.replace(CACHING, **(caching or {})), **project
        )
        head = endpoint.read(raw, "application/json")
        return planners[settings].plan(endpoint, head, raw, headers or {}, chosen, route, memory, guards)

    return make
