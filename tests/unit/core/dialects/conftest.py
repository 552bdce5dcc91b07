"""Recorded exchanges for the dialect tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FIXTURES = Path(__file__).parents[3] / "fixtures" / "providers"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`anthropic_stream` and `anthropic_whole` run a test once for each recorded exchange of that kind."""
    for name, stream in (("anthropic_stream", True), ("anthropic_whole", False)):
        if name in metafunc.fixturenames:
            exchanges = {
                path.stem: exchange
                for path in sorted(FIXTURES.glob("anthropic-*.json"))
                if (exchange := json.loads(path.read_text()))["stream"] is stream and exchange["status"] == 200
            }
            metafunc.parametrize(name, exchanges.values(), ids=exchanges.keys())


@pytest.fixture
def recorded() -> Any:
    """A recorded exchange by its file's stem."""
    return lambda stem: json.loads((FIXTURES / f"{stem}.json").read_text())
