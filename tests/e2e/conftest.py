"""Whole gateways out of real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tollway.testkit.stack import Stack


@pytest.fixture
def fresh_stack(tmp_path: Path) -> Iterator[Stack]:
    """A stack of one's own, not started, for tests that kill things."""
    stack = Stack(tmp_path)
    yield stack
    stack.stop()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack with one data plane, shared by the tests of a module."""
    shared = Stack(tmp_path_factory.mktemp("stack"))
    try:
        yield shared.start()
    finally:
        shared.stop()
