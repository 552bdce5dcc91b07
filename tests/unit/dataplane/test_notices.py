"""Notices: counted, bounded, never waiting, and sent again until they are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from tollway.core.notices import Notice, NoticeKind
from tollway.dataplane.notices import BATCH, Notices
from tollway.runtime.tasks import Tasks
from tollway.testkit.fakes.clock import FakeClock

KIND = NoticeKind.CREDENTIAL_FAILED


class Ear:
    """A control plane that may be away."""

    def __init__(self) -> None:
        self.heard: list[Notice] = []
        self.lost = 0
        self.away = False
        self.calls = 0
        self.while_sending: Callable[[], None] = lambda: None

    async def report(self, replica: str, notices: Sequence[Notice], lost: int) -> None:
        """Keeps what is told."""
        self.calls += 1
        assert replica == "dp"
        await asyncio.sleep(0)
        self.while_sending()
        if self.away:
            raise ConnectionError("away")
        self.heard += notices
        self.lost += lost


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
async def notices(ear: Ear) -> Notices:
    return Notices("dp", ear, FakeClock(), capacity=BATCH + 50)


async def test_the_same_is_counted_and_told_once(notices: Notices, ear: Ear) -> None:
    for _ in range(5):
        notices.tell(KIND, provider="openai", credential="main", amount_nano=3)
    notices.tell(KIND, provider="openai", credential="other")
    await notices.flush()
    assert [(n.credential, n.count, n.amount_nano) for n in ear.heard] == [("main", 5, 15), ("other", 1, 0)]
    await notices.flush()
    assert ear.calls == 1


async def test_a_full_table_loses_and_says_so(notices: Notices, ear: Ear) -> None:
    for number in range(BATCH + 60):
        notices.tell(KIND, provider=str(number))
    assert notices.lost == 10
    await notices.flush()
    assert (len(ear.heard), ear.lost, ear.calls) == (BATCH + 50, 10, 2)


async def test_what_is_not_answered_is_sent_again(notices: Notices, ear: Ear) -> None:
    notices.tell(KIND, provider="a", detail="first")
    ear.away = True
    ear.while_sending = lambda: notices.tell(KIND, provider="a", count=2)
    with pytest.raises(ConnectionError):
        await notices.flush()
    ear.away, ear.while_sending = False, lambda: None
    await notices.flush()
    assert [(n.provider, n.count, n.detail) for n in ear.heard] == [("a", 3, "first")]


async def test_pressure_is_told_once_for_each_mark(notices: Notices, ear: Ear) -> None:
    for level in (0, 49, 50, 60, 45, 55, 95, 85, 92, 30, 50):
        notices.pressure("journal", level, 100)
        await notices.flush()
    assert [n.code for n in ear.heard] == ["50", "90", "50"]


async def test_it_sends_by_itself_and_goes_on_after_an_outage(
    notices: Notices, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollway.dataplane.notices.PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("tollway.dataplane.notices.BACKOFF_SECONDS", (0.01,))
    tasks = Tasks()
    ear.away = True
    notices.start(tasks)
    notices.tell(KIND, provider="a")
    async with asyncio.timeout(5):
        while ear.calls < 2:
            await asyncio.sleep(0.005)
        ear.away = False
        while not ear.heard:
            await asyncio.sleep(0.005)
    await tasks.close()
    assert [n.count for n in ear.heard] == [1]


async def test_what_could_not_be_sent_takes_no_more_room_than_there_is(notices: Notices, ear: Ear) -> None:
    ear.away = True
    capacity = BATCH + 50

    def tell_many(name: str) -> None:
        for number in range(capacity):
            notices.tell(KIND, credential=f"{name}-{number}")

    for turn in range(3):
        tell_many(str(turn))
        ear.while_sending = partial(tell_many, f"late-{turn}")
        with pytest.raises(ConnectionError):
            await notices.flush()
        assert len(notices._waiting) <= capacity
    ear.away, ear.while_sending = False, lambda: None
    await notices.flush()
    assert len(ear.heard) + ear.lost == 6 * capacity


async def test_what_waits_is_sent_before_the_end_and_what_is_under_way_is_waited_for(
    notices: Notices, ear: Ear
) -> None:
    notices.tell(KIND, credential="under way")
    under_way = asyncio.ensure_future(notices.flush())
    await asyncio.sleep(0)
    notices.tell(KIND, credential="waiting")
    assert await notices.close(1.0)
    assert [notice.credential for notice in ear.heard] == ["under way", "waiting"]
    await under_way
    notices.tell(KIND)
    ear.away = True
    assert not await notices.close(1.0)


async def test_the_end_does_not_wait_long(ear: Ear) -> None:
    class Deaf(Ear):
        async def report(self, replica: str, notices: Sequence[Notice], lost: int) -> None:
            await asyncio.sleep(60)

    notices = Notices("dp", Deaf(), FakeClock())
    notices.tell(KIND)
    began = asyncio.get_running_loop().time()
    assert not await notices.close(0.05)
    assert asyncio.get_running_loop().time() - began < 1
