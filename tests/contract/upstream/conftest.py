"""Both upstream clients, each on asyncio's own event loop and on uvloop, which the product runs on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from tollway.dataplane.upstream.native import NativeClient
from tollway.dataplane.upstream.port import UpstreamClient
from tollway.testkit.upstream_calls import CLIENTS


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=CLIENTS)
async def client(request: pytest.FixtureRequest) -> AsyncIterator[UpstreamClient]:
    """Each of the clients."""
    made = CLIENTS[request.param]()
    yield made
    await made.close()


@pytest.fixture
async def native() -> AsyncIterator[NativeClient]:
    """Our own alone: for what the reference does not do, or less strictly."""
    made = NativeClient()
    yield made
    await made.close()
