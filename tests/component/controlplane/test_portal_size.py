"""Every page answers at once in a large company: 1,000 projects, 2,000 keys and the sums of ten million requests."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tollway.testkit.portal import fill, signed_in

SECONDS = 0.2
TRIES = 3
"""The best of three: the cores of a test are shared, and the first call makes statements ready."""
PAGES = (
    "/", "/keys", "/keys/new", "/keys/02900000-0000-7000-8002-000000000001", "/models", "/playground", "/approvals",
    "/projects", "/projects/large-0001", "/units", "/units/unit-1", "/budgets", "/request-log", "/providers",
    "/users", "/roles", "/policies", "/audit", "/account", "/usage/day", "/usage/model", "/usage/project", "/usage/key",
    "/units/unit-1/costs",
)  # fmt: skip


async def test_every_page_is_quick(api: Any, capsys: pytest.CaptureFixture[str]) -> None:
    await fill(api.database_url)
    assert (await api.sql("SELECT sum(requests) FROM ledger_days"))[0][0] == 10_020_000
    first: dict[str, float] = {}
    taken: dict[str, float] = {}
    async with signed_in(api.plane) as person:
        for path in PAGES:
            for _ in range(TRIES):
                begun = time.perf_counter()
                status, text, _ = await person.get(path)
                first.setdefault(path, time.perf_counter() - begun)
                taken[path] = min(taken.get(path, 9), time.perf_counter() - begun)
                assert status == 200, (path, text)
        assert "large-" in (await person.get("/projects"))[1]
    with capsys.disabled():
        shown = (
            f"{path} {seconds * 1000:.0f} ms ({first[path] * 1000:.0f} at first)" for path, seconds in taken.items()
        )
        print("\npages: " + ", ".join(shown))
    assert {path: seconds for path, seconds in taken.items() if seconds > SECONDS} == {}
