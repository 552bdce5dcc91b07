"""A ledger row outlives the node it was made on: it is shipped from its second copy into the real ledger, once."""

from __future__ import annotations

import asyncio
import shutil
import zlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from tollway.core.ledger import RequestRow
from tollway.core.notices import NoticeKind
from tollway.dataplane.outbox.lost_nodes import LostNodes, WrittenOff
from tollway.dataplane.outbox.records import HEADER, Final, frame
from tollway.dataplane.stores.redis_connection import RedisConnection
from tollway.dataplane.stores.redis_copies import HOLDERS, RedisCopies, Silent, stream_key
from tollway.testkit.fleet import COST
from tollway.testkit.ledger_rows import request_row, schema_database
from tollway.testkit.ledger_server import LedgerServer
from tollway.testkit.lost_node import POOL, arrived, first_row, holders, plane_of, until, victim_beside
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


async def test_the_rows_of_a_lost_node_arrive_through_a_sibling_and_what_it_held_is_spent(
    tmp_path: Path, store: ValkeyServer, simulator: SimulatorServer, ledger: LedgerServer
) -> None:
    sibling = plane_of(tmp_path / "a", store, simulator, ledger, lost_node_seconds=LOST_SECONDS)
    async with sibling, aiohttp.ClientSession() as client:
        ready = sibling.process.admission.counters("default")
        await until(lambda: ready.ready)
        own = await first_row(sibling, ledger)
        async with victim_beside(sibling, tmp_path / "b", simulator) as victim:
            stream = await victim.spend(client, 3)
            await victim.kill()
            stream.close()
        shutil.rmtree(tmp_path / "b")
        spent, held, told, of_victim = victim.pool()
        assert told == 3 * COST
        assert of_victim >= COST
        await until(lambda: victim.holder not in holders(store), 15)
        rows = await arrived(ledger, 4)
        assert [outcome for name, outcome in rows if name != own] == ["ok"] * 3
        spent_now, held_now, *nothing = victim.pool()
        assert (spent_now, nothing) == (spent + of_victim, [0, 0])
        assert 0 <= held_now <= held - of_victim, "others give back what they do not need"
        await until(lambda: bool(ledger.notices))
        (notice,) = ledger.notices
        assert (notice.kind, notice.scope, notice.subject) == (NoticeKind.UNATTRIBUTED, "project", "p1")
        assert notice.amount_nano == of_victim
        assert victim.holder in notice.detail
        assert store.command("KEYS", f"{stream_key(victim.holder)}*") == []
        assert "tollway_lost_nodes_total 1.0" in sibling.process.metrics().decode()
        assert "tollway_lost_node_rows_total 3.0" in sibling.process.metrics().decode()
        life = ready.life
        assert life is not None
        late = await sibling.process.counters.ask("default", life.epoch, victim.holder, [])
        assert late.closed


async def test_of_two_sweepers_one_tells_and_nothing_is_double(
    tmp_path: Path, store: ValkeyServer, simulator: SimulatorServer, ledger: LedgerServer
) -> None:
    first = plane_of(tmp_path / "a", store, simulator, ledger)
    async with first, first.sibling(tmp_path / "c") as second, aiohttp.ClientSession() as client:
        planes = [first.process, second.process]
        await until(lambda: all(plane.admission.counters("default").ready for plane in planes))
        await first_row(first, ledger)
        async with victim_beside(first, tmp_path / "b", simulator) as victim:
            (await victim.spend(client, 3)).close()
            await victim.kill()
        shutil.rmtree(tmp_path / "b")
        spent, held, _, of_victim = victim.pool()
        silent = Silent(victim.holder, int(store.command("ZSCORE", HOLDERS, victim.holder)))
        await asyncio.gather(*(plane.lost_nodes.settle(silent) for plane in planes * 2))
        assert [outcome for _, outcome in await ledger.rows()] == ["ok"] * 4
        spent_now, held_now, *nothing = victim.pool()
        assert (spent_now, nothing) == (spent + of_victim, [0, 0])
        assert 0 <= held_now <= held - of_victim, "others give back what they do not need"
        assert sum(plane.lost_nodes.found for plane in planes) == 1
        await until(lambda: bool(ledger.notices))
        await asyncio.sleep(1.2)
        assert [notice.amount_nano for notice in ledger.notices] == [of_victim]


@pytest.mark.parametrize(("shipped_in", "charged"), [(None, COST), ("an earlier life", 0)])
async def test_rows_of_a_holder_that_this_life_of_the_counters_never_heard_of(
    tmp_path: Path,
    store: ValkeyServer,
    simulator: SimulatorServer,
    ledger: LedgerServer,
    shipped_in: str | None,
    charged: int,
) -> None:
    """They are charged, unless they were in the ledger when this life began: then it counts them already."""
    async with plane_of(tmp_path / "a", store, simulator, ledger) as plane:
        process = plane.process
        await until(lambda: process.admission.counters("default").ready)
        await first_row(plane, ledger)
        (account,) = process.admission.counters("default").holdings
        connection = RedisConnection(store.url)
        copies = RedisCopies(connection)
        row = request_row(process.clock.now_ms())
        await copies.append("gone", (1, 100), frame(Final(row, ((account, COST),))))
        if shipped_in is not None:
            await copies.mark_shipped("gone", "1-100", shipped_in)
        await connection.close()
        store.command("ZADD", HOLDERS, 1000, "gone")
        await asyncio.sleep(0.5)
        (key,) = store.command("KEYS", POOL)
        spent = int(store.command("HGET", key, "s"))
        for _ in range(2):
            assert await process.lost_nodes.settle(Silent("gone", 1000))
        assert int(store.command("HGET", key, "s")) == spent + charged
        assert row.id in [name for name, _ in await ledger.rows()]
        assert "gone" not in holders(store)


class Renewed:
    """Accounts of which a new life begins while rows are shipped; it is `Accounts` and `Carrier`."""

    def __init__(self) -> None:
        self.epoch = "first"
        self.asked: list[tuple[str, dict[str, dict[str, int]], str]] = []

    async def ship_for_another(self, rows: Sequence[RequestRow]) -> bool:
        self.epoch = "second" if rows else self.epoch
        return True

    async def close_lost(self, holder: str, owed: Any, shipped_in: str) -> WrittenOff | None:
        self.asked.append((holder, owed, shipped_in))
        return None

    def budget_of(self, account: str) -> tuple[str, str]:
        raise AssertionError(account)


async def test_a_life_that_begins_while_rows_are_shipped_counts_them(store: ValkeyServer) -> None:
    """Some came to the ledger after it had read what was spent before: rather all of them twice than one not at all."""
    connection = RedisConnection(store.url)
    copies, accounts = RedisCopies(connection), Renewed()
    row = request_row()
    await copies.append("gone", (1, 100), frame(Final(row, (("rule:1", COST),))))
    nodes = LostNodes("me", copies, accounts, accounts, None, lost_seconds=60)  # type: ignore[arg-type]
    assert not await nodes.settle(Silent("gone", 1000))
    assert not await nodes.settle(Silent("gone", 1000))
    await connection.close()
    assert accounts.asked == [("gone", {row.organisation: {"rule:1": COST}}, "second")] * 2


async def test_a_copy_of_a_newer_version_is_left_for_one_that_can_read_it(
    tmp_path: Path, store: ValkeyServer, simulator: SimulatorServer, ledger: LedgerServer
) -> None:
    async with plane_of(tmp_path / "a", store, simulator, ledger) as plane:
        await until(lambda: plane.process.admission.counters("default").ready)
        payload = msgspec.msgpack.encode(["f", {"unknown": 1}])
        data = HEADER.pack(len(payload), zlib.crc32(payload)) + payload
        store.command("XADD", stream_key("newer"), "1-1", "d", data)
        store.command("ZADD", HOLDERS, 1000, "newer")
        assert await plane.process.lost_nodes.settle(Silent("newer", 1000))
        assert "newer" in holders(store)
        assert store.command("XLEN", stream_key("newer")) == 1


async def test_who_speaks_again_is_not_lost(
    tmp_path: Path, store: ValkeyServer, simulator: SimulatorServer, ledger: LedgerServer
) -> None:
    """After an outage of the server everybody's last sign of life is old: the living get time to speak."""
    async with plane_of(tmp_path / "a", store, simulator, ledger) as plane:
        await until(lambda: plane.process.admission.counters("default").ready)
        lost = plane.process.lost_nodes
        lost._lost_seconds = 60
        store.command("ZADD", HOLDERS, 1000, "speaks", 1000, "silent")
        await lost.sweep()
        await lost.sweep()
        store.command("ZADD", HOLDERS, 2000, "speaks")
        assert {"speaks", "silent"} <= holders(store)
        await lost.sweep()
        assert "silent" not in holders(store)
        assert "speaks" in holders(store)
        assert lost.found == 1
        store.command("SET", "tw:copies:sweeper", "another")
        for _ in range(4):
            await lost.sweep()
        assert "speaks" in holders(store), "another looks"
