"""What every test tier shares: how a part that is missing on this machine is reported.

Nothing is skipped in silence. A test that needs something that is not here calls `not_run("what: why")`: the run prints
`NOT RUN`, and under CI=true, where everything must be there, the test fails instead.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NoReturn

import pytest

NotRun = Callable[[str], NoReturn]
_STRICT = os.environ.get("CI", "").lower() in ("1", "true")


@pytest.fixture
def not_run() -> NotRun:
    """Ends the test with a reason: NOT RUN on a developer's machine, a failure in CI."""

    def end(reason: str) -> NoReturn:
        if _STRICT:
            pytest.fail(f"NOT RUN: {reason}", pytrace=False)
        raise pytest.skip.Exception(f"NOT RUN: {reason}")

    return end


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each part that was not run."""
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        terminalreporter.write_line(f"{reason.removeprefix('Skipped: ')} ({report.nodeid})", yellow=True)
