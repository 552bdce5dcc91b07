"""Recorded exchanges for the tests of providers and endpoints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FIXTURES = Path(__file__).parents[2] / "fixtures" / "providers"
KINDS = {
    "anthropic": "anthropic",
    "azure": "azure_openai",
    "huggingface": "huggingface",
    "openai": "openai",
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
def kind_of() -> Callable[[Any], str]:
    """The provider kind of a recorded exchange."""
    return lambda exchange: KINDS[exchange["provider"]]


@pytest.fixture
def chunks_of() -> Callable[[bytes], list[Any]]:
    """The JSON of all chunks in a stream for a client, which must end in [DONE]."""

    def read(stream: bytes) -> list[Any]:
        assert stream.endswith(b"data: [DONE]\n\n")
        datas = [block.removeprefix("data: ") for block in stream.decode().split("\n\n") if block]
        return [json.loads(data) for data in datas[:-1]]

    return read
