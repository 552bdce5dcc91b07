"""Config push on a real Postgres: nothing is missed, nothing is claimed that is not known."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tollway.controlplane.publish.store import prune
from tollway.core.catalog import Catalog
from tollway.testkit.config_push import PROJECT, Deployment, Replica, fill, key_id, kinds, publish, rename
from tollway.testkit.ledger_rows import schema_database
from tollway.testkit.servers import PostgresServer
from tollway.wire.config_codec import CatalogSnapshot, Heartbeat, KeyChanges, Position


@pytest.fixture
async def deployment(postgres: PostgresServer) -> AsyncIterator[Deployment]:
    url = schema_database(postgres)
    await fill(url, 20)
    made = Deployment(url)
    yield made
    await made.close()


async def test_who_has_nothing_gets_the_catalog_the_directory_and_a_heartbeat(deployment: Deployment) -> None:
    replica = Replica(await deployment.publisher()).connect(snapshot=True)
    beat = await replica.heartbeat()
    assert kinds(replica) == ["CatalogSnapshot", "KeyChanges", "Heartbeat"]
    part = replica.events[1]
    assert isinstance(part, KeyChanges)
    assert (part.snapshot, part.complete) == (True, True)
    assert beat.position == part.position == Position("e1", 1)
    assert replica.names() == await deployment.names()
    assert replica.catalog == Catalog(epoch="e1", version=1)
    await replica.close()


async def test_who_wants_no_directory_hears_of_changes_from_now_on(deployment: Deployment) -> None:
    replica = Replica(await deployment.publisher()).connect()
    await replica.heartbeat()
    assert kinds(replica) == ["CatalogSnapshot", "KeyChanges", "Heartbeat"]
    assert (replica.directory, replica.entries) == (Position("e1", 1), {})
    await deployment.change(4, name="new")
    await replica.until(lambda e: isinstance(e, KeyChanges))
    assert replica.names() == {"k4": "new"}
    await replica.close()


async def test_a_change_is_on_the_wire_in_a_moment_and_the_catalog_goes_before_the_keys(deployment: Deployment) -> None:
    replica = Replica(await deployment.publisher()).connect(snapshot=True)
    await replica.heartbeat()
    delays = []
    for turn in range(15):
        await deployment.change(turn, name=f"turn-{turn}", catalog=turn % 2 == 0)
        committed = time.monotonic()
        mark = len(replica.events)
        await replica.until(lambda e: isinstance(e, KeyChanges))
        delays.append(time.monotonic() - committed)
        seen = [kind for kind in kinds(replica)[mark:] if kind != "Heartbeat"]
        assert seen == (["CatalogSnapshot", "KeyChanges"] if turn % 2 == 0 else ["KeyChanges"])
        assert replica.directory == Position("e1", 2 + turn)
    print(f"commit to event: median {statistics.median(delays) * 1000:.1f} ms, worst {max(delays) * 1000:.1f} ms")
    assert statistics.median(delays) < 0.1
    await replica.close()


async def test_a_stream_resumes_at_its_position(deployment: Deployment) -> None:
    publisher = await deployment.publisher()
    watching = Replica(publisher).connect()
    await watching.heartbeat()
    for turn in range(6):
        await deployment.change(turn, 7, name=f"turn-{turn}")
    await watching.heartbeat(7)
    last = Replica(publisher).connect(catalog=Position("e1", 1), directory=Position("e1", 4))
    await last.heartbeat(7)
    assert kinds(last) == ["KeyChanges", "Heartbeat"]
    assert last.names() == {"k3": "turn-3", "k4": "turn-4", "k5": "turn-5", "k7": "turn-5"}
    current = Replica(publisher).connect(catalog=Position("e1", 1), directory=Position("e1", 7))
    assert isinstance(await current.next(), Heartbeat)
    assert publisher.counters.resumes_from_database == 0


async def test_a_stream_resumes_at_a_position_that_only_the_database_knows(deployment: Deployment) -> None:
    for turn in range(6):
        await deployment.change(turn, name=f"turn-{turn}", removed=[19] if turn == 4 else [])
    publisher = await deployment.publisher()
    replica = Replica(publisher).connect(directory=Position("e1", 4), snapshot=True)
    await replica.heartbeat(7)
    assert kinds(replica) == ["CatalogSnapshot", "KeyChanges", "Heartbeat"]
    assert replica.names() == {"k3": "turn-3", "k4": "turn-4", "k5": "turn-5"}
    assert replica.entries["k19"] == 6
    assert publisher.counters.resumes_from_database == 1


async def test_a_removed_key_is_a_tombstone(deployment: Deployment) -> None:
    replica = Replica(await deployment.publisher()).connect(snapshot=True)
    await replica.heartbeat()
    await deployment.change(5, name="stays", removed=[6])
    await replica.heartbeat(2)
    assert replica.names() == await deployment.names()
    assert replica.entries["k6"] == 2


@pytest.mark.parametrize("wants", [True, False])
async def test_who_is_behind_the_change_log(deployment: Deployment, wants: bool) -> None:
    for turn in range(8):
        await deployment.change(turn, name=f"turn-{turn}")
    async with deployment.transaction() as db:
        await db.execute("UPDATE change_log SET changed_at = now() - interval '2 days' WHERE version < 6")
        removed = await prune(db, hours=24, rows=2)
    assert removed == 20 + 4  # version 1 keeps its catalog row
    publisher = await deployment.publisher()
    replica = Replica(publisher).connect(directory=Position("e1", 3), snapshot=wants)
    await replica.heartbeat(9)
    assert publisher.counters.snapshots_sent == (1 if wants else 0)
    expected = await deployment.names() if wants else {f"k{turn}": f"turn-{turn}" for turn in range(2, 8)}
    assert replica.names() == expected
    kept = Replica(publisher).connect(directory=Position("e1", 5), snapshot=True)
    await kept.heartbeat(9)
    assert set(kept.names()) == {"k4", "k5", "k6", "k7"}


async def test_pruning_keeps_the_newest_rows_and_everything_young(deployment: Deployment) -> None:
    for turn in range(8):
        await deployment.change(turn)
    async with deployment.transaction() as db:
        assert await prune(db, hours=24, rows=2) == 0
        await db.execute("UPDATE change_log SET changed_at = now() - interval '2 days'")
        assert await prune(db, hours=24, rows=1_000) == 0
        assert await prune(db, hours=24, rows=3) == 20 + 5
        cursor = await db.execute("SELECT array_agg(version ORDER BY version) FROM change_log")
        assert await cursor.fetchone() == ([1, 7, 8, 9],)
        cursor = await db.execute("SELECT pruned_version FROM installation")
        assert await cursor.fetchone() == (6,)
        async with deployment.transaction() as other:
            assert await prune(other, hours=24, rows=1) is None


async def test_another_epoch_forces_everything_anew(deployment: Deployment) -> None:
    for turn in range(3):
        await deployment.change(turn)
    publisher = await deployment.publisher()
    replica = Replica(publisher).connect(snapshot=True)
    other = Replica(publisher, "other").connect()
    await replica.heartbeat(4)
    await other.heartbeat(4)
    async with deployment.transaction() as db:
        await db.execute("UPDATE installation SET epoch = 'e2', version = 2")
        await db.execute("UPDATE keys SET name = 'restored', version = 1")
        await db.execute("NOTIFY tollway_config")
    replica.entries.clear()  # what a data plane does with entries of another epoch
    mark = len(replica.events)
    await replica.until(lambda e: isinstance(e, Heartbeat) and e.position == Position("e2", 2))
    seen = [kind for kind in kinds(replica)[mark:] if kind != "Heartbeat"]
    assert seen == ["CatalogSnapshot", "KeyChanges"]
    assert replica.catalog == Catalog(epoch="e2", version=1)
    assert set(replica.names().values()) == {"restored"}
    assert len(replica.names()) == 20
    await other.until(lambda e: isinstance(e, Heartbeat) and e.position == Position("e2", 2))
    assert other.directory == Position("e2", 2)
    late = Replica(publisher).connect(catalog=Position("e1", 1), directory=Position("e1", 4), snapshot=True)
    await late.heartbeat(2)
    assert len(late.names()) == 20


async def test_interleaved_transactions_are_delivered_in_the_order_of_their_commits(deployment: Deployment) -> None:
    replica = Replica(await deployment.publisher()).connect(snapshot=True)
    await replica.heartbeat()
    async with deployment.transaction() as first, deployment.transaction() as second, deployment.transaction() as third:
        await rename(first, 1, "first")
        await rename(second, 2, "second")
        await rename(third, 3, "third")
        assert await publish(second, [2]) == 2
        waiting = asyncio.ensure_future(publish(first, [1]))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await second.commit()
        assert await waiting == 3
        await replica.heartbeat(2)
        assert replica.names()["k2"] == "second"
        assert replica.names()["k1"] == "name-1"
        await third.rollback()
        await first.commit()
    await replica.heartbeat(3)
    assert (replica.names()["k1"], replica.names()["k3"]) == ("first", "name-3")


async def test_changes_during_a_snapshot_are_not_lost(postgres: PostgresServer) -> None:
    url = schema_database(postgres)
    await fill(url, 2_500)
    deployment = Deployment(url)
    replica = Replica(await deployment.publisher()).connect(snapshot=True)
    parts = 0
    while True:
        event = await replica.next()
        if not isinstance(event, KeyChanges):
            continue
        parts += 1
        assert len(event.changes) <= 1_000
        assert event.position.version == 1
        assert replica.directory == (event.position if event.complete else None)
        # One key that has been sent already, one that is in the next part, one that is new.
        await deployment.change(10 + parts, 2_000 + parts, name=f"during-{parts}", catalog=parts == 2)
        async with deployment.transaction() as db:
            await db.execute(
                "INSERT INTO keys (id, project_id, lookup, public_id, name) VALUES (%s, %s, %s, %s, 'new')",
                (key_id(10_000 + parts), PROJECT, f"k{10_000 + parts}", f"k{10_000 + parts}"),
            )
            last = await publish(db, [10_000 + parts])
        if event.complete:
            break
    assert parts == 3
    await replica.heartbeat(last)
    assert replica.names() == await deployment.names()
    assert replica.catalog is not None
    assert replica.catalog.version == 4
    await deployment.close()


async def test_two_hundred_subscribers_cost_one_read_a_change(deployment: Deployment) -> None:
    publisher = await deployment.publisher()
    replicas = [Replica(publisher, f"dp-{n}").connect() for n in range(200)]
    await asyncio.gather(*(replica.heartbeat() for replica in replicas))
    built, asked = deployment.source.catalogs, len(deployment.source.asked)
    await deployment.change(3, 4, name="for all", catalog=True)
    started = time.monotonic()
    await asyncio.gather(*(replica.until(lambda e: isinstance(e, KeyChanges)) for replica in replicas))
    print(f"200 subscribers reached in {(time.monotonic() - started) * 1000:.0f} ms")
    assert all(replica.names() == {"k3": "for all", "k4": "for all"} for replica in replicas)
    assert all(replica.catalog == Catalog(epoch="e1", version=2) for replica in replicas)
    assert (deployment.source.catalogs, deployment.source.asked[asked:]) == (built + 1, [2])
    assert len(publisher.subscribers()) == 200
    for replica in replicas:
        await replica.close()
    assert publisher.subscribers() == []


async def test_a_slow_subscriber_finds_the_latest_state_of_each_key_once(deployment: Deployment) -> None:
    publisher = await deployment.publisher()
    slow = Replica(publisher, "slow").connect()
    watching = Replica(publisher, "watching").connect()
    await slow.heartbeat()
    await watching.heartbeat()
    for turn in range(30):
        await deployment.change(1, 2, name=f"turn-{turn}")
    await watching.heartbeat(31)
    assert next(s.behind for s in publisher.subscribers() if s.replica == "slow") == 30
    mark = len(slow.events)
    await slow.heartbeat(31)
    sent = [change for event in slow.events[mark:] if isinstance(event, KeyChanges) for change in event.changes]
    assert len(sent) == 2
    assert slow.names() == {"k1": "turn-29", "k2": "turn-29"}
    assert {s.replica: (s.behind, s.peer) for s in publisher.subscribers()} == {
        "slow": (0, "test"),
        "watching": (0, "test"),
    }


async def test_heartbeats_come_at_least_every_half_second(deployment: Deployment) -> None:
    replica = Replica(await deployment.publisher()).connect()
    await replica.heartbeat()
    times = [time.monotonic()]
    for _ in range(4):
        await replica.heartbeat()
        times.append(time.monotonic())
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert 0.2 < statistics.median(gaps) <= 0.5


async def test_a_control_plane_that_has_not_read_the_latest_yet_does_not_take_it_back(deployment: Deployment) -> None:
    publisher = await deployment.publisher()
    await Replica(publisher).connect().heartbeat(1)
    async with deployment.transaction() as db:  # a change without the hint: this process learns of it later
        await db.execute("UPDATE installation SET version = 2")
        await db.execute("UPDATE keys SET version = 2 WHERE id = %s", (key_id(1),))
        await db.execute("INSERT INTO change_log (version, kind, key_id) VALUES (2, 'key', %s)", (key_id(1),))
    replica = Replica(publisher).connect(catalog=Position("e1", 1), directory=Position("e1", 2), snapshot=True)
    event = await replica.next()
    assert event == Heartbeat(Position("e1", 2))


async def test_without_a_database_there_are_no_heartbeats_and_the_stream_goes_on_by_itself(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "data").start()
    url = schema_database(server)
    await fill(url, 5)
    deployment = Deployment(url)
    publisher = await deployment.publisher()
    replica = Replica(publisher).connect(snapshot=True)
    await replica.heartbeat(1)
    server.kill()
    killed = time.monotonic()
    waiting = asyncio.ensure_future(replica.next())
    heard = killed
    while time.monotonic() < killed + 4:
        if waiting.done():
            assert isinstance(waiting.result(), Heartbeat)
            heard = time.monotonic()
            waiting = asyncio.ensure_future(replica.next())
        await asyncio.sleep(0.02)
    assert heard - killed < 2.2
    assert not publisher.fresh
    late = Replica(publisher, "late").connect(directory=Position("e1", 1))
    assert isinstance(await late.next(), CatalogSnapshot)  # known, if not known to be the latest
    server.start()
    await deployment.change(2, name="after")
    async with asyncio.timeout(5):
        await waiting
    await replica.heartbeat(2)
    await late.heartbeat(2)
    assert replica.names()["k2"] == late.names()["k2"] == "after"
    await deployment.close()
    server.stop()


async def test_closing_ends_the_streams(deployment: Deployment) -> None:
    publisher = await deployment.publisher()
    replica = Replica(publisher).connect()
    await replica.heartbeat()
    waiting = asyncio.ensure_future(replica.until(lambda e: False))
    await publisher.close()
    with pytest.raises(StopAsyncIteration):
        await waiting
