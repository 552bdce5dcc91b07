"""The request log is searched, read and erased through the API; who reads somebody's words leaves a trace."""

from __future__ import annotations

import base64
import json
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import grpc.aio
import pytest
import zstandard

from tollway.core.requestlog import LoggedBody
from tollway.testkit.logged_bodies import logged_body, packed
from tollway.wire.bodies_client import BodyIngestClient
from tollway.wire.bodies_codec import BatchPacker
from tollway.wire.contract import METHODS

JOIN = "join-token-canary-4711"
MINUTE = 60_000
DAY = 86_400_000
LOG = "tollway.control.v1.RequestLogService"


def iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat().replace("+00:00", "Z")


async def send(api: Any, *bodies: LoggedBody, dropped: int = 0) -> int:
    return await BodyIngestClient(api.channel, JOIN).store("dp-1", [BatchPacker().pack(bodies)], dropped)


async def found(api: Any, query: str = "") -> list[str]:
    """The ids of all pages of a search."""
    ids: list[str] = []
    token = ""
    for _ in range(100):
        answer = await api.call("GET", f"request-log?page_token={token}&{query}")
        assert answer.status == 200, answer.body
        ids += [request["request_id"] for request in answer.body["requests"]]
        token = answer.body["next_page_token"]
        if not token:
            return ids
    raise AssertionError("the listing does not end")


async def test_the_join_token_is_asked_for(api: Any) -> None:
    with pytest.raises(ConnectionError, match="UNAUTHENTICATED"):
        await BodyIngestClient(api.channel, "another-token-4711").store("dp-1", [], 0)


async def test_over_grpc_as_over_rest(api: Any) -> None:
    now = int(time.time() * 1000)
    body = logged_body(now, tags={"team": "web"})
    assert await send(api, body) == 1
    assert await send(api, body) == 0
    rest = (await api.call("GET", "request-log")).body["requests"]
    contract = METHODS[f"{LOG}/SearchRequestLog"]
    answer = await api.rpc("RequestLogService/SearchRequestLog", contract.request(tags=["team=web"]))
    assert [r.request_id for r in answer.requests] == [r["request_id"] for r in rest] == [body.request_id]
    read = await api.rpc(
        "RequestLogService/GetLoggedRequest",
        METHODS[f"{LOG}/GetLoggedRequest"].request(request_id=body.request_id),
    )
    assert (read.request.body, read.response.status) == ('{"messages": []}', 200)
    gone = await api.rpc(
        "RequestLogService/DeleteLoggedRequests",
        METHODS[f"{LOG}/DeleteLoggedRequests"].request(request_id=body.request_id),
    )
    assert (gone.deleted, gone.more) == (1, False)


async def test_reading_bodies_is_audited_and_searching_shows_none(api: Any, canary: str) -> None:
    now = int(time.time() * 1000)
    project = (await api.call("POST", "projects", {"name": "shop"})).body
    content = packed(f'{{"prompt": "{canary}"}}', "data: {}\n\n", streamed=True)
    body = logged_body(now, project=project["id"], content=content, user="ana", client_request_id="mine-1")
    await send(api, body)
    listed = await api.call("GET", "request-log?project=shop")
    assert canary not in json.dumps(listed.body)
    (shown,) = listed.body["requests"]
    assert (shown["project"], shown["user"], shown["kept_until"] > shown["started_at"]) == ("shop", "ana", True)
    assert (await api.call("GET", "audit?action=requestlog.read_bodies")).body["events"] == []
    read = await api.call("POST", f"request-log/{body.request_id}:read", {})
    assert read.status == 200
    assert read.body["metadata"] == shown
    assert canary in read.body["request"]["body"]
    assert (read.body["response"]["streamed"], read.body["response"]["body"]) == (True, "data: {}\n\n")
    (event,) = (await api.call("GET", "audit?action=requestlog.read_bodies")).body["events"]
    assert event["resource"] == f"request_log:{body.request_id}"
    assert json.loads(event["after"]) == {"project": "shop", "user": "ana"}
    assert canary not in json.dumps((await api.call("GET", "audit")).body)


async def test_bytes_that_are_no_text_come_as_base64(api: Any) -> None:
    now = int(time.time() * 1000)
    audio = base64.b64encode(bytes(range(256))).decode()
    await send(api, body := logged_body(now, content=packed(None, {"base64": audio})))
    read = (await api.call("POST", f"request-log/{body.request_id}:read", {})).body
    assert (read["request"]["body"], read["request"]["body_base64"]) == ("", "")
    assert (read["response"]["body"], read["response"]["body_base64"]) == ("", audio)


def squeezed(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


DAMAGED = [
    (squeezed(b"{"), "not JSON"),
    (squeezed(b"[]"), "not a JSON object"),
    (squeezed(b"{}")[:8], "cannot be unpacked|not JSON"),
    (squeezed(b'{"request": {"body": {"base64": "?"}}}'), "not base64"),
    (squeezed(bytes(50 << 20)), "larger than can be shown"),
]


async def test_damaged_contents_are_told(api: Any) -> None:
    now = int(time.time() * 1000)
    for content, says in DAMAGED:
        await send(api, body := logged_body(now, content=content))
        read = await api.call("POST", f"request-log/{body.request_id}:read", {})
        assert (read.status, read.error["code"]) == (409, "failed_precondition")
        assert any(part in read.error["message"] for part in says.split("|"))


async def test_what_is_not_there_cannot_be_read(api: Any) -> None:
    for identifier, status in (("00000000-0000-7000-8000-000000000000", 404), ("0" * 36, 400), ("mine", 400)):
        assert (await api.call("POST", f"request-log/{identifier}:read", {})).status == status
    assert (await api.call("GET", "audit")).body["events"] == []


Chosen = Callable[[LoggedBody], bool]
FILTERS: list[tuple[str, Chosen]] = [
    ("", lambda b: True),
    ("project=shop", lambda b: b.project != "project-1"),
    ("project=project-1", lambda b: b.project == "project-1"),
    ("project=nobody", lambda b: False),
    ("key=key-2", lambda b: b.key_id == "key-2"),
    ("model=large", lambda b: b.model == "large"),
    ("status=500", lambda b: b.status == 500),
    ("status=0", lambda b: b.status == 0),
    ("outcome=error", lambda b: b.outcome == "error"),
    ("error_code=overloaded", lambda b: b.error_code == "overloaded"),
    ("request_id=client-7", lambda b: b.client_request_id == "client-7"),
    ("tags=team%3Dweb", lambda b: b.tags.get("team") == "web"),
    ("tags=team%3Dweb&tags=stage%3Dprod", lambda b: b.tags == {"team": "web", "stage": "prod"}),
    ("user=ana", lambda b: b.user == "ana"),
    ("endpoint=embeddings", lambda b: b.endpoint == "embeddings"),
    ("model=large&status=500&page_size=3", lambda b: b.model == "large" and b.status == 500),
    ("page_size=7", lambda b: True),
]


async def test_every_filter_finds_what_it_says_newest_first(api: Any) -> None:
    shop = (await api.call("POST", "projects", {"name": "shop"})).body["id"]
    now = int(time.time() * 1000)
    chance = random.Random(7)
    bodies = [
        logged_body(
            now - chance.choice([1, 7, 31, 33, 79]) * DAY - number * 1000,
            retention_days=chance.choice([90, 365]),
            project=chance.choice([shop, "project-1"]),
            key_id=chance.choice(["key-1", "key-2"]),
            model=chance.choice(["small", "large"]),
            status=chance.choice([0, 200, 500]),
            outcome=chance.choice(["ok", "error"]),
            error_code=chance.choice(["", "overloaded"]),
            client_request_id=f"client-{number % 10}" if number % 2 else "",
            tags=chance.choice([{}, {"team": "web"}, {"team": "web", "stage": "prod"}]),
            user=chance.choice(["", "ana"]),
            endpoint=chance.choice(["chat.completions", "embeddings"]),
        )
        for number in range(150)
    ]
    assert await send(api, *bodies) == len(bodies)
    await api.plane.request_log.look()
    newest_first = sorted(bodies, key=lambda body: body.request_id, reverse=True)
    for query, chosen in FILTERS:
        assert await found(api, query) == [b.request_id for b in newest_first if chosen(b)], query
    begin, end = now - 40 * DAY, now - 2 * DAY
    within = [b.request_id for b in newest_first if begin <= b.started_ms < end]
    assert await found(api, f"from={iso(begin)}&to={iso(end)}&page_size=11") == within
    for body in bodies[:5]:
        assert await found(api, f"request_id={body.request_id}") == [body.request_id]
        alone = f"from={iso(body.started_ms)}&to={iso(body.started_ms + 1)}"
        assert body.request_id in await found(api, alone)


MEANINGLESS = [
    ("page_token=nonsense", "page_token"),
    ("tags=team", "tags"),
    ("tags=a%3D1&tags=a%3D2", "tags"),
    ("from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
    ("status=1000", "status"),
    ("model=a%00b", "model"),
    ("text=secret", "text"),
]


async def test_searches_that_mean_nothing_are_refused(api: Any) -> None:
    for query, field in MEANINGLESS:
        answer = await api.call("GET", f"request-log?{query}")
        assert answer.status == 400, answer.body
        assert answer.error["field"].startswith(field)


async def test_a_key_is_found_by_its_names(api: Any) -> None:
    await api.call("POST", "projects", {"name": "shop"})
    key = (await api.call("POST", "keys", {"project": "shop", "name": "web"})).body["key"]
    body = logged_body(int(time.time() * 1000), key_id=key["id"], key_public_id=key["public_id"])
    await send(api, body, logged_body(body.started_ms))
    for reference in (key["id"], key["public_id"], "shop%2Fweb"):
        assert await found(api, f"key={reference}") == [body.request_id]


async def test_one_request_is_erased_and_does_not_come_back(api: Any) -> None:
    now = int(time.time() * 1000)
    bodies = [logged_body(now - number) for number in range(3)]
    await send(api, *bodies)
    gone = await api.call("POST", "request-log:delete", {"request_id": bodies[1].request_id})
    assert gone.body == {"deleted": "1", "more": False}
    assert await send(api, *bodies) == 0
    assert bodies[1].request_id not in await found(api)
    assert len(await found(api)) == 2
    (event,) = (await api.call("GET", "audit?action=requestlog.delete")).body["events"]
    assert (event["resource"], json.loads(event["before"])) == (f"request_log:{bodies[1].request_id}", {"erased": 1})


async def test_a_period_of_a_project_is_erased_and_does_not_come_back(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollway.controlplane.requestlog.bodies.ERASED_A_CALL", 4)
    shop = (await api.call("POST", "projects", {"name": "shop"})).body["id"]
    now = int(time.time() * 1000)
    mine = [logged_body(now - number * 10 * DAY, project=shop, retention_days=365) for number in range(8)]
    other = [logged_body(now - number * 10 * DAY, retention_days=365) for number in range(8)]
    await send(api, *mine[:-1], *other)
    period = {"project": "shop", "from": iso(now - 75 * DAY), "to": iso(now - 5 * DAY)}
    counts = [(await api.call("POST", "request-log:delete", period)).body for _ in range(2)]
    assert counts == [{"deleted": "4", "more": True}, {"deleted": "2", "more": False}]
    assert await found(api, "project=shop") == [mine[0].request_id]
    assert len(await found(api)) == 1 + len(other)
    assert await send(api, *mine) == 0
    assert len((await api.call("GET", "audit?action=requestlog.delete")).body["events"]) == 2


UNCLEAR: list[tuple[dict[str, str], int, str]] = [
    ({}, 400, "request_id"),
    ({"request_id": "x" * 36}, 400, "request_id"),
    ({"project": "shop"}, 400, "from"),
    ({"project": "shop", "from": "2026-01-01T00:00:00Z", "to": "2999-01-01T00:00:00Z"}, 400, "to"),
    ({"project": "shop", "from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, 400, "to"),
    ({"project": "shop", "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}, 404, "project"),
    ({"project": "shop", "request_id": "00000000-0000-7000-8000-000000000000"}, 400, "request_id"),
]


async def test_erasures_that_are_not_clear_are_refused(api: Any) -> None:
    for body, status, field in UNCLEAR:
        answer = await api.call("POST", "request-log:delete", body)
        assert (answer.status, answer.error["field"]) == (status, field)


async def test_without_the_database_the_sender_keeps_its_bodies(api: Any) -> None:
    await api.plane.pool.close()
    with pytest.raises(ConnectionError, match="UNAVAILABLE"):
        await send(api, logged_body(int(time.time() * 1000)))


async def test_counters_are_metrics(api: Any) -> None:
    await send(api, logged_body(int(time.time() * 1000)), logged_body(1, request_id="bad"), dropped=3)
    text = api.plane.telemetry.render().decode()
    assert "tollway_request_log_bodies_stored_total 1.0" in text
    assert "tollway_request_log_bodies_refused_total 1.0" in text
    assert "tollway_request_log_bodies_dropped_by_replicas_total 3.0" in text


async def test_all_of_a_permission_is_needed(api: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await api.rpc(
            "RequestLogService/GetLoggedRequest",
            METHODS[f"{LOG}/GetLoggedRequest"].request(request_id="0" * 36),
            token="no-such-token-4711",
        )
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    permissions = {name.rpartition("/")[2]: m.permission for name, m in METHODS.items() if name.startswith(LOG)}
    assert permissions == {
        "SearchRequestLog": "requestlog.read",
        "GetLoggedRequest": "requestlog.read_bodies",
        "DeleteLoggedRequests": "requestlog.delete",
    }
