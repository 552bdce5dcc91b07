"""One data plane in front of one scripted provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tollway.core.catalog import Caching, ProviderKind, Timeouts
from tollway.testkit.cache_fleet import CacheFleet
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.servers import ValkeyServer
from tollway.testkit.upstream import Upstream

LIMITS = Timeouts(connect=0.5, first_byte=0.6, between_chunks=0.5, total=2.0)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
async def gateway(tmp_path: Path, valkey: ValkeyServer, upstream: Upstream) -> AsyncIterator[LoneDataPlane]:
    """A data plane with the model `m` at the scripted provider; a test may add more before its first request."""
    plane = LoneDataPlane(tmp_path / "data", valkey.url)
    plane.add_provider("up", ProviderKind.OPENAI_COMPATIBLE, upstream.url, timeouts=LIMITS)
    plane.add_provider("nowhere", ProviderKind.OPENAI_COMPATIBLE, "http://127.0.0.1:1/v1", timeouts=LIMITS)
    plane.add_provider("drained", ProviderKind.OPENAI_COMPATIBLE, upstream.url, timeouts=LIMITS, hangup="drain")
    plane.add_model("m", ("up", "up-model"), aliases=("small",))
    plane.add_model("down", ("nowhere", "x"))
    plane.add_model("drain", ("drained", "up-model"))
    plane.add_model("unpriced", ("up", "up-model"), price=None)
    plane.keys = {
        "revoked": plane.add_key(revoked=True),
        "expired": plane.add_key(expires_ms=1),
        "of a deleted project": plane.add_key(project="gone"),
        "narrow": plane.add_key(models=("other-*",)),
    }
    plane.add_project("keeps", caching=Caching(enabled=True))
    plane.keys["of a project that keeps answers"] = plane.add_key(project="keeps")
    async with plane:
        yield plane


@pytest.fixture
async def fleet(valkey: ValkeyServer) -> AsyncIterator[CacheFleet]:
    """Data planes that share answers."""
    made = CacheFleet(valkey.url)
    yield made
    await made.close()
