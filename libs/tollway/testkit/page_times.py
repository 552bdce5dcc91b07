"""How long every page of the portal takes: cold, which is the first after a restart of Postgres with nothing of its
files in memory, and warm, over and over.

Owns the measurement alone: what must hold is said by the tests.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tollway.testkit.portal import Person
from tollway.testkit.servers import PostgresServer

WARM = 12
SETTLE_SECONDS = 0.3
"""After a restart the background work of the control plane comes back at once; a page seldom meets it."""
_MENU = re.compile(r'<li><a href="(/[a-z-]*)"')
KEY = "02900000-0000-7000-8002-000000000001"
APPROVAL = "02900000-0000-7000-8005-000000000001"
DETAILS = (
    "/account", "/keys?project=large-0001", "/keys?revoked=1", "/keys/new", f"/keys/{KEY}", "/models/model-1",
    "/approvals?view=inbox", "/approvals?view=mine", "/approvals?view=all", "/approvals/new?kind=credit",
    f"/approvals/{APPROVAL}", "/delegations", "/projects/large-0001", "/projects?business_unit=unit-01",
    "/units/unit-01", "/units/unit-01/costs", "/budgets?scope=project", "/budgets?scope=key", "/budgets?scope=user",
    "/budgets/edit?subject=project:large-0001", "/request-log?hours=720", "/request-log?hours=720&project=large-0001",
    "/request-log?hours=720&outcome=error", "/roles", "/service-accounts", "/policies/credit",
    "/audit?actor=person-7@example.com", "/usage/day", "/usage/day?days=90", "/usage/model", "/usage/project",
    "/usage/project?days=90", "/usage/key", "/usage/key?days=90&all=1", "/usage/business_unit", "/usage/provider",
    "/usage/user", "/usage/day?project=large-0001", "/usage/model?project=large-0001", "/usage/key?project=large-0001",
    f"/usage/day?key={KEY}", f"/usage/model?key={KEY}",
)  # fmt: skip
"""What the menu leads to in a second step, with the parts of pages that browsers ask for on their own."""


class PageTime(msgspec.Struct):
    """One page as one person sees it; milliseconds."""

    role: str
    path: str
    cold: float
    warm: list[float]

    @property
    def p95(self) -> float:
        """Of the warm ones."""
        return sorted(self.warm)[int(len(self.warm) * 0.95) - 1]

    def line(self) -> str:
        """A row of the table in docs/reference/soak.md."""
        return f"| `{self.path}` | {self.role} | {self.cold:.0f} | {self.p95:.0f} |"


async def seen_by(person: Person) -> list[str]:
    """The pages of somebody's menu, and of the details those that they may see."""
    status, text, _ = await person.get("/")
    assert status == 200, text
    found = list(dict.fromkeys(_MENU.findall(text)))
    for path in DETAILS:
        status, text, _ = await person.get(path)
        assert status in (200, 403, 404), (path, status, text)
        if status == 200:
            found.append(path)
    return found


async def time_page(person: Person, path: str) -> float:
    """Milliseconds until the whole page is there."""
    begun = time.perf_counter()
    status, text, _ = await person.get(path)
    taken = (time.perf_counter() - begun) * 1000
    assert status == 200, (path, status, text)
    return taken


async def restart_cold(postgres: PostgresServer) -> None:
    """Restarts the server, and has the system forget what it holds of its files."""
    await asyncio.to_thread(postgres.restart, forget)


def forget(folder: Path) -> None:
    """Drops the files of a folder from the system's memory, as far as they are written."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(file)


async def measure(postgres: PostgresServer, person: Person, role: str, paths: Sequence[str]) -> list[PageTime]:
    """Every page: once after a restart of its own, when the control plane has found its database again, then warm."""
    found = []
    for path in paths:
        await restart_cold(postgres)
        await _connected(person)
        cold = await time_page(person, path)
        found.append(PageTime(role, path, cold, [await time_page(person, path) for _ in range(WARM)]))
    return found


async def _connected(person: Person) -> None:
    """Waits until a page that asks for little is answered."""
    for _ in range(50):
        status, _, _ = await person.get("/delegations")
        if status == 200:
            await asyncio.sleep(SETTLE_SECONDS)
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the control plane does not find its database again")
