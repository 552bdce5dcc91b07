"""A gateway in front of providers that answer sensibly, for clients' own test suites; every request is counted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import anthropic
import openai
import pytest

from tollway.testkit.clever_gateway import CleverGateway
from tollway.testkit.servers import ValkeyServer
from tollway.testkit.simulator import SimulatorServer

ONLY_WITH = {
    "test_audio_inputs": "supports_audio_inputs",
    "test_image_tool_message": "supports_image_tool_message",
    "test_json_mode": "supports_json_mode",
    "test_pdf_tool_message": "supports_pdf_tool_message",
}
"""Tests of the standard suite that run only where the class says that its model can do it."""
NEVER = "test_stream_time"
"""It compares with cassettes of a real provider, of which there are none for a gateway."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what the standard suite would skip by itself: it is nothing that could run here."""
    left_out = [item for item in items if _cannot_apply(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _cannot_apply(item: pytest.Item) -> bool:
    suite = getattr(item, "cls", None)
    name = getattr(item, "originalname", "")
    return suite is not None and (name == NEVER or (name in ONLY_WITH and not getattr(suite(), ONLY_WITH[name], True)))


@pytest.fixture(scope="module")
def clever_gateway(
    tmp_path_factory: pytest.TempPathFactory, valkey: ValkeyServer, simulator_server: SimulatorServer
) -> Iterator[CleverGateway]:
    """A gateway in a thread of its own, with models at OpenAI-shaped and Anthropic-shaped providers."""
    gateway = CleverGateway(tmp_path_factory.mktemp("clever"), valkey.url, simulator_server).start()
    yield gateway
    gateway.stop()


@pytest.fixture
def gateway(clever_gateway: CleverGateway) -> Iterator[CleverGateway]:
    """The module's gateway; when the test is over, each request that it let through was one request upstream, and no
    provider that answers sensibly has refused one."""
    clever_gateway.simulator.reset()
    rows, before = len(clever_gateway.plane.rows()), clever_gateway.sent()
    clever_gateway.clever.refusals.clear()
    yield clever_gateway
    sent = clever_gateway.sent() - before
    booked = clever_gateway.wait_rows(rows + sent)[rows:]
    assert sum(len(row.attempts) for row in booked) == len([row for row in booked if row.attempts]) == sent
    assert clever_gateway.clever.refusals == []


@pytest.fixture
def openai_client(gateway: CleverGateway) -> Iterator[openai.OpenAI]:
    """OpenAI's synchronous client."""
    with openai.OpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0, timeout=10) as client:
        yield client


@pytest.fixture
async def async_openai(gateway: CleverGateway) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's asynchronous client."""
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0, timeout=10) as client:
        yield client


@pytest.fixture
def anthropic_client(gateway: CleverGateway) -> Iterator[anthropic.Anthropic]:
    """Anthropic's synchronous client."""
    with anthropic.Anthropic(base_url=gateway.origin, api_key=gateway.key, max_retries=0, timeout=10) as client:
        yield client


@pytest.fixture
async def async_anthropic(gateway: CleverGateway) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """Anthropic's asynchronous client."""
    async with anthropic.AsyncAnthropic(
        base_url=gateway.origin, api_key=gateway.key, max_retries=0, timeout=10
    ) as client:
        yield client
