"""Three data planes in front of one simulator, with counters of their own in an empty Valkey."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tollway.testkit.fleet import Fleet
from tollway.testkit.servers import ValkeyServer
from tollway.testkit.simulator import SimulatorServer


@pytest.fixture
def counts(valkey: ValkeyServer) -> Iterator[ValkeyServer]:
    """An empty Valkey that answers; whatever a test does to it, the next one finds it so again."""
    valkey.flush()
    yield valkey
    valkey.freeze(False)


@pytest.fixture
async def fleet(tmp_path: Path, counts: ValkeyServer, simulator: SimulatorServer) -> Fleet:
    """Not started: a test sets the rules and enters it."""
    simulator.control("POST", "reset")
    return Fleet(tmp_path, counts, simulator)
