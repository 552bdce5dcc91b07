"""A ledger row has a second copy, in a real Valkey, for as long as the real ledger does not have it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tollway.dataplane.stores.redis_copies import stream_key
from tollway.testkit.ledger_rows import schema_database
from tollway.testkit.ledger_server import LedgerServer
from tollway.testkit.lost_node import arrived, entries, first_row, holders, plane_of, until, victim_beside
from tollway.testkit.servers import PostgresServer, ValkeyServer
from tollway.testkit.simulator import SimulatorServer

LOST_SECONDS = 2


@pytest.fixture
async def ledger(postgres: PostgresServer) -> AsyncIterator[LedgerServer]:
    async with LedgerServer(schema_database(postgres)) as server:
        yield server
        assert server.defects == []


@pytest.fixture
def store(valkey: ValkeyServer) -> ValkeyServer:
    """Empty."""
    valkey.flush()
    return valkey


async def test_rows_are_copied_while_the_control_plane_is_away_and_gone_when_it_is_back(
    tmp_path: Path, store: ValkeyServer, simulator: SimulatorServer, ledger: LedgerServer
) -> None:
    async with plane_of(tmp_path / "a", store, simulator, ledger) as plane:
        for _ in range(5):
            assert (await plane.chat()).status == 200
        await arrived(ledger, 5)
        await asyncio.sleep(0.8)
        assert (plane.process.copies.rows, entries(store, plane)) == (0, 0)
        ledger.away = True
        for _ in range(12):
            assert (await plane.chat()).status == 200
        await until(lambda: plane.process.copies.rows == 12)
        assert entries(store, plane) > 0
        metrics = plane.process.metrics().decode()
        assert "tollway_copied_rows_total 12.0" in metrics
        assert "tollway_copy_behind_seconds 0.0" in metrics
        ledger.away = False
        await until(lambda: entries(store, plane) == 0)
        assert len(await arrived(ledger, 17)) == 17
        assert plane.process.copies.kept_bytes == 0
        assert plane.process.copies.holder in holders(store)
        assert await plane.process.shipper.flush(5)
        await plane.process.copies.leave()
        assert holders(store) == set()
        assert store.command("KEYS", "tw:copy:*") == []


async def test_a_journal_that_was_left_is_taken_over_and_its_copy_removed(
    tmp_path: Path, store: ValkeyServer, simulator: SimulatorServer, ledger: LedgerServer
) -> None:
    """Though its successor cannot reach the control plane at first, and others could: it is not lost."""
    sibling = plane_of(tmp_path / "a", store, simulator, ledger, lost_node_seconds=LOST_SECONDS)
    async with sibling, ledger.replica() as other, aiohttp.ClientSession() as client:
        await until(lambda: sibling.process.admission.counters("default").ready)
        await first_row(sibling, ledger)
        async with victim_beside(sibling, tmp_path / "b", simulator) as victim:
            stream = await victim.spend(client, 3)
            await victim.kill()
            stream.close()
        other.away = True
        successor = sibling.sibling(tmp_path / "b")
        successor._settings["control_grpc"] = other.address
        async with successor:
            await asyncio.sleep(LOST_SECONDS * 2)  # silent for longer, but taken over
            assert victim.holder in holders(store)
            other.away = False
            await successor.process.shipper.adopt()
            assert victim.holder not in holders(store)
            rows = await arrived(ledger, 5)
            assert sorted(outcome for _, outcome in rows) == ["lost", "ok", "ok", "ok", "ok"]
            assert store.command("EXISTS", stream_key(victim.holder)) == 0
            await asyncio.sleep(0.5)
            assert ledger.notices == other.notices == []
            assert len(await ledger.rows()) == 5
            assert victim.pool()[2:] == (0, 0)
            assert sibling.process.lost_nodes.found == successor.process.lost_nodes.found == 0


async def test_a_server_that_is_away_harms_no_request(
    tmp_path: Path, store: ValkeyServer, simulator: SimulatorServer, ledger: LedgerServer
) -> None:
    plane = plane_of(tmp_path / "a", store, simulator, ledger)
    plane.rules.clear()
    async with plane:
        assert (await plane.chat()).status == 200
        ledger.away = True
        store.freeze()
        try:
            began = time.monotonic()
            for _ in range(20):
                assert (await plane.chat()).status == 200
            assert time.monotonic() - began < 2
            await until(lambda: plane.process.copies.behind_seconds > 0)
        finally:
            store.freeze(False)
        await until(lambda: plane.process.copies.rows >= 20)
        assert plane.process.copies.behind_seconds == 0
        ledger.away = False
        assert len(await arrived(ledger, 21)) == 21
        await until(lambda: entries(store, plane) == 0)


async def test_a_stream_is_bounded_and_what_does_not_fit_is_told(
    tmp_path: Path, store: ValkeyServer, simulator: SimulatorServer, ledger: LedgerServer
) -> None:
    ledger.away = True
    plane = plane_of(tmp_path / "a", store, simulator, ledger, copy_bytes=5000)
    plane.rules.clear()
    async with plane:
        for _ in range(40):
            assert (await plane.chat()).status == 200
        copies = plane.process.copies
        await until(lambda: copies.behind_seconds > 0)
        held = sum(len(fields[b"d"]) for _, fields in store.command("XRANGE", stream_key(copies.holder), "-", "+"))
        assert 0 < held <= copies.kept_bytes <= 5000
        ledger.away = False
        await until(lambda: copies.behind_seconds == 0)
        await until(lambda: entries(store, plane) == 0)
