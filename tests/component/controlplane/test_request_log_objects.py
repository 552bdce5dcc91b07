"""Bodies in an object store: found by class and day, read through the API, gone with their retention and on request."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tollway.controlplane.app import ControlPlane
from tollway.controlplane.db.pool import Pool, create_pool
from tollway.controlplane.requestlog import s3
from tollway.controlplane.requestlog.place import Place, parse_endpoint, parse_place
from tollway.controlplane.requestlog.s3 import S3Store
from tollway.controlplane.requestlog.service import RequestLog
from tollway.controlplane.requestlog.store import StoreUnavailable
from tollway.controlplane.settings import Settings
from tollway.runtime.lifecycle import StartError
from tollway.runtime.settings import redacted
from tollway.testkit.fakes.clock import FakeClock
from tollway.testkit.ledger_rows import NOON_MS, schema_database
from tollway.testkit.logged_bodies import logged_body
from tollway.testkit.s3_server import ACCESS_KEY, BUCKET, SECRET_KEY, S3Server, s3_server
from tollway.testkit.servers import PostgresServer

DAY_MS = 86_400_000
PLACE = Place(BUCKET, "logs/")


@pytest.fixture
async def server() -> AsyncIterator[S3Server]:
    async with s3_server() as running:
        yield running


@pytest.fixture
async def pool(postgres: PostgresServer) -> AsyncIterator[Pool]:
    async with create_pool(schema_database(postgres), 4) as opened:
        yield opened


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOON_MS)


@pytest.fixture
async def log(server: S3Server, pool: Pool, clock: FakeClock) -> AsyncIterator[RequestLog]:
    store = S3Store(PLACE, endpoint=server.url, access_key=ACCESS_KEY, secret_key=SECRET_KEY)
    await store.open()
    made = RequestLog(pool, clock, store)
    yield made
    await made.close()


async def rows(pool: Pool) -> list[Any]:
    async with pool.connection() as db:
        return await (await db.execute("SELECT id::text, content FROM request_log ORDER BY id DESC")).fetchall()


async def test_contents_lie_by_class_and_day_and_not_in_the_row(log: RequestLog, server: S3Server, pool: Pool) -> None:
    body = logged_body(NOON_MS, retention_days=7)
    assert await log.store("dp-1", [body], 0) == 1
    assert await log.store("dp-1", [body], 0) == 0
    assert server.objects == {f"logs/7/2026-09-21/{body.request_id}.json.zst": body.content}
    assert await rows(pool) == [(body.request_id, None)]


async def test_no_row_without_its_content(log: RequestLog, server: S3Server, pool: Pool) -> None:
    server.down = True
    with pytest.raises(StoreUnavailable, match="writing in the object store failed"):
        await log.store("dp-1", [logged_body(NOON_MS)], 0)
    assert (await rows(pool), log.counters.failures) == ([], 1)
    server.down = False
    assert await log.store("dp-1", [logged_body(NOON_MS)], 0) == 1


async def test_what_is_over_is_swept_with_its_partition(
    log: RequestLog, server: S3Server, pool: Pool, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [logged_body(NOON_MS - 1000 * number, retention_days=1) for number in range(7)]
    kept = [logged_body(NOON_MS, retention_days=30), logged_body(NOON_MS + DAY_MS, retention_days=1)]
    await log.store("dp-1", [*old, *kept], 0)
    server.objects["logs/1/2026-09-01/orphan.json.zst"] = b"a body whose row was refused"
    server.objects["elsewhere/1/2026-09-01/x"] = b"not ours"
    await log.look()
    assert log.counters.objects_deleted == 1
    clock.advance(2 * 86_400)
    server.page = 3
    await log.look()
    assert log.counters.objects_deleted == 1 + len(old)
    assert len([call for call in server.calls if call[0] == "POST"]) == 1 + 3
    assert set(server.objects) == {
        f"logs/30/2026-09-21/{kept[0].request_id}.json.zst",
        f"logs/1/2026-09-22/{kept[1].request_id}.json.zst",
        "elsewhere/1/2026-09-01/x",
    }
    assert {row[0] for row in await rows(pool)} == {body.request_id for body in kept}


async def test_a_sweep_is_bounded(
    log: RequestLog, server: S3Server, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "SWEEP_OBJECTS", 4)
    server.page = 2
    server.objects |= {f"logs/1/2026-09-01/{number}.json.zst": b"" for number in range(9)}
    left = []
    for _ in range(4):
        more = await log.look()  # then the next look follows at once, not in an hour
        left.append((len(server.objects), more))
    assert left == [(5, True), (1, True), (0, True), (0, False)]


def changed(server: S3Server, **more: Any) -> dict[str, Any]:
    return {
        "bodies_s3_url": PLACE,
        "bodies_s3_endpoint": server.url,
        "bodies_s3_access_key": ACCESS_KEY,
        "bodies_s3_secret_key": SECRET_KEY,
        **more,
    }


async def test_through_the_api(
    server: S3Server, database: str, make_settings: Callable[..., Settings], make_api: Callable[..., Any]
) -> None:
    plane = ControlPlane(make_settings(database, **changed(server)))
    await plane.start()
    api = make_api(plane, database)
    try:
        now = int(time.time() * 1000)
        first, second = logged_body(now), logged_body(now)
        assert await plane.request_log.store("dp-1", [first, second], 0) == 2
        read = await api.call("POST", f"request-log/{first.request_id}:read", {})
        assert (read.status, read.body["request"]["body"]) == (200, '{"messages": []}')
        server.down = True
        later = await api.call("POST", f"request-log/{first.request_id}:read", {})
        kept = await api.call("POST", "request-log:delete", {"request_id": first.request_id})
        assert (later.status, kept.status) == (503, 503)
        server.down = False
        assert (await api.call("POST", "request-log:delete", {"request_id": first.request_id})).body["deleted"] == "1"
        day = datetime.fromtimestamp(now / 1000, UTC).date()
        assert list(server.objects) == [f"logs/30/{day}/{second.request_id}.json.zst"]
        # What was erased and comes once more, from a data plane that held it, leaves no copy.
        assert await plane.request_log.store("dp-1", [first, second], 0) == 0
        assert list(server.objects) == [f"logs/30/{day}/{second.request_id}.json.zst"]
        server.objects.clear()
        gone = await api.call("POST", f"request-log/{second.request_id}:read", {})
        assert (gone.status, "gone from the object store" in gone.error["message"]) == (404, True)
    finally:
        await api.close()
        await plane.stop()


async def test_a_store_that_refuses_stops_the_start_and_one_that_is_away_does_not(
    server: S3Server, database: str, make_settings: Callable[..., Settings]
) -> None:
    with pytest.raises(StartError, match=r"TOLLWAY_BODIES_S3_URL: writing .* InvalidAccessKeyId"):
        await ControlPlane(make_settings(database, **changed(server, bodies_s3_access_key="AKIAWRONG"))).start()
    with pytest.raises(StartError, match="NoSuchBucket"):
        await ControlPlane(make_settings(database, **changed(server, bodies_s3_url=Place("other", "")))).start()
    server.down = True
    plane = ControlPlane(make_settings(database, **changed(server)))
    await plane.start()
    await plane.stop()
    assert server.objects == {}


def test_settings_are_checked_and_secrets_hidden(make_settings: Callable[..., Settings]) -> None:
    assert parse_place("s3://my-bucket") == Place("my-bucket", "")
    assert parse_place("s3://my-bucket/a/b/") == Place("my-bucket", "a/b/")
    for wrong in ("http://x", "s3://", "s3://UP", "s3://a b/c"):
        with pytest.raises(ValueError, match="s3://bucket"):
            parse_place(wrong)
    assert parse_endpoint("http://127.0.0.1:9000/") == "http://127.0.0.1:9000"
    with pytest.raises(ValueError, match="link-local"):
        parse_endpoint("http://169.254.169.254")
    shown = redacted(make_settings("postgresql://x", bodies_s3_secret_key="canary-secret"))
    assert (shown["TOLLWAY_BODIES_S3_SECRET_KEY"], "canary" in str(shown)) == ("********", False)
