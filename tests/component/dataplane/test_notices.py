"""What a data plane tells the control plane of when a provider refuses its key and when its journal fills."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from tollway.core.notices import Notice, NoticeKind
from tollway.dataplane import app, notices
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.servers import ValkeyServer
from tollway.testkit.upstream import Upstream, whole
from tollway.wire.client import connect
from tollway.wire.notices_client import NoticeIngestClient
from tollway.wire.server import add_notice_ingest, listen, make_server


class Ear:
    """The control plane's end of notices on a real gRPC port."""

    def __init__(self) -> None:
        self.heard: list[Notice] = []
        self.defects: list[Exception] = []
        self.port = 0

    async def report(self, replica: str, notices: Sequence[Notice], lost: int) -> None:
        """Keeps what is told."""
        self.heard += notices

    async def wait(self, count: int) -> list[Notice]:
        """What was heard, once it is as much."""
        async with asyncio.timeout(10):
            while sum(notice.count for notice in self.heard) < count:
                await asyncio.sleep(0.02)
        return self.heard


@pytest.fixture
async def ear() -> AsyncIterator[Ear]:
    made = Ear()
    server = make_server()
    add_notice_ingest(server, made.report, "join", lambda _, error: made.defects.append(error))
    made.port = listen(server, "127.0.0.1", 0)
    await server.start()
    yield made
    await server.stop(0)
    assert made.defects == []


async def test_a_refused_credential_is_told_without_its_value(
    gateway: LoneDataPlane, upstream: Upstream, ear: Ear
) -> None:
    channel = connect(f"127.0.0.1:{ear.port}")
    gateway.process.notices._client = NoticeIngestClient(channel, "join")
    upstream.script = whole({"error": {"message": "Incorrect key sk-upstream-canary"}}, 401)
    for _ in range(3):
        await gateway.chat()
    heard = await ear.wait(3)
    await channel.close()
    assert {(one.kind, one.provider, one.credential, one.code) for one in heard} == {
        ("credential_failed", "up", "main", "provider_auth_failed")
    }
    assert "canary" not in repr(heard)


async def test_a_journal_that_fills_is_told(gateway: LoneDataPlane, ear: Ear) -> None:
    channel = connect(f"127.0.0.1:{ear.port}")
    process = gateway.process
    process.notices._client = NoticeIngestClient(channel, "join")
    process.notices.pressure("journal", process.settings.journal_bytes // 2, process.settings.journal_bytes)
    (told,) = await ear.wait(1)
    await channel.close()
    assert (told.kind, told.code) == ("spool_pressure", "50")
    assert told.subject.endswith(" journal")


async def test_an_ear_that_is_away_holds_nothing_up(gateway: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = whole({"error": {"message": "no"}}, 401)
    for _ in range(20):
        assert (await gateway.chat()).status == 502
    assert len(gateway.process.notices._waiting) <= 1


async def test_a_process_that_ends_tells_what_it_knows(
    tmp_path: Path, valkey: ValkeyServer, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "PAUSE_SECONDS", 60.0)
    for name in ("FLUSH_SECONDS", "BODIES_FLUSH_SECONDS"):  # nobody takes rows and bodies here
        monkeypatch.setattr(app, name, 0.05)
    plane = LoneDataPlane(tmp_path, valkey.url, control_grpc=f"127.0.0.1:{ear.port}")
    await plane.__aenter__()
    plane.process.notices.tell(NoticeKind.CREDENTIAL_FAILED, provider="up")
    await plane.process.drain()
    await plane.client.close()
    assert [told.kind for told in ear.heard] == ["credential_failed"]
