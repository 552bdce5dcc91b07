"""Recorded exchanges and builders for the provider tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tollway.core.catalog import ProviderKind
from tollway.core.dialects.head import Head
from tollway.core.dialects.openai_chat import read_head
from tollway.dataplane.providers.port import Adapter
from tollway.dataplane.providers.registry import REGISTRY

FIXTURES = Path(__file__).parents[3] / "fixtures" / "providers"
KINDS = {
    "anthropic": ProviderKind.ANTHROPIC,
    "azure": ProviderKind.AZURE_OPENAI,
    "huggingface": ProviderKind.HUGGINGFACE,
    "openai": ProviderKind.OPENAI,
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`streamed`, `whole` and `failed` run a test once for each recorded exchange of that kind."""
    tests: dict[str, Callable[[dict[str, Any]], bool]] = {
        "streamed": lambda exchange: exchange["stream"] and exchange["status"] == 200,
        "whole": lambda exchange: not exchange["stream"] and exchange["status"] == 200,
        "failed": lambda exchange: exchange["status"] != 200,
    }
    for name, wanted in tests.items():
        if name in metafunc.fixturenames:
            found = {path.stem: json.loads(path.read_text()) for path in sorted(FIXTURES.glob("*.json"))}
            found = {stem: exchange | {"stem": stem} for stem, exchange in found.items() if wanted(exchange)}
            metafunc.parametrize(name, found.values(), ids=found.keys())


@pytest.fixture
def recorded() -> Callable[[str], Any]:
    """A recorded exchange by its file's stem."""
    return lambda stem: json.loads((FIXTURES / f"{stem}.json").read_text())


@pytest.fixture
def adapter_of() -> Callable[[Any], Adapter]:
    """The adapter for a recorded exchange."""
    return lambda exchange: REGISTRY[KINDS[exchange["provider"]]]


@pytest.fixture
def head_of() -> Callable[..., Head]:
    """The head of a small request with some fields."""
    return lambda **fields: read_head(json.dumps({"model": "m", "messages": [{"role": "user"}]} | fields).encode())


@pytest.fixture
def chunks_of() -> Callable[[bytes], list[Any]]:
    """The JSON of all chunks in a stream for a client, which must end in [DONE]."""

    def read(stream: bytes) -> list[Any]:
        assert stream.endswith(b"data: [DONE]\n\n")
        datas = [block.removeprefix("data: ") for block in stream.decode().split("\n\n") if block]
        return [json.loads(data) for data in datas[:-1]]

    return read
