"""REST and gRPC over real sockets: the same calls, the same results, the same refusals."""

from __future__ import annotations

import io
import json
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tollway.wire.bodies_client import BodyIngestClient
from tollway.wire.client import ConfigPushClient, UsageIngestClient
from tollway.wire.config_codec import CatalogSnapshot, Heartbeat
from tollway.wire.contract import METHODS
from tollway.wire.json_codec import fill, render

Api = Any


def message(method: str, **fields: Any) -> Any:
    made = METHODS[f"tollway.control.v1.{method}"].request()
    fill(made, fields)
    return made


async def refused(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return failed.value


async def test_both_transports_give_the_same_answers(api: Api) -> None:
    made = await api.rpc("ProjectService/CreateProject", message("ProjectService/CreateProject", name="by-grpc"))
    over_rest = await api.call("GET", "projects/by-grpc")
    assert over_rest.status == 200
    assert over_rest.body == render(made)
    await api.call("POST", "projects", {"name": "by-rest", "models": ["gpt-*"]})
    listed = await api.rpc("ProjectService/ListProjects", message("ProjectService/ListProjects"))
    assert (await api.call("GET", "projects")).body == render(listed)
    assert [project.name for project in listed.projects] == ["by-grpc", "by-rest"]
    status = await api.rpc("SystemService/GetStatus", message("SystemService/GetStatus"))
    assert (await api.call("GET", "status")).body == render(status)


async def test_both_transports_refuse_in_the_same_way(api: Api) -> None:
    await api.call("POST", "projects", {"name": "demo"})
    cases = [
        ("ProjectService/CreateProject", "POST", "projects", {"name": "demo"}, 409, "ALREADY_EXISTS"),
        ("ProjectService/CreateProject", "POST", "projects", {"name": "No"}, 400, "INVALID_ARGUMENT"),
        ("ProjectService/GetProject", "GET", "projects/nope", {"project": "nope"}, 404, "NOT_FOUND"),
        ("ProjectService/UpdateProject", "PATCH", "projects/demo", {"project": "demo", "etag": "x"}, 412, "ABORTED"),
    ]
    for method, verb, path, fields, status, code in cases:
        rest = await api.call(verb, path, None if verb == "GET" else fields)
        error = await refused(api.rpc(method, message(method, **fields)))
        assert (rest.status, error.code().name) == (status, code)
        assert rest.error["message"] == error.details()
        details = dict(error.trailing_metadata() or ())
        found = status_pb2.Status.FromString(details["grpc-status-details-bin"])
        info, violation = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        assert found.details[0].Unpack(info)
        assert info.reason == rest.error["code"]
        fields_named = []
        if len(found.details) > 1 and found.details[1].Unpack(violation):
            fields_named = [v.field for v in violation.field_violations]
        assert fields_named == ([rest.error["field"]] if rest.error["field"] else [])


@pytest.mark.parametrize("token", [None, "", "wrong", "admin-token-canary-471", "join-token-canary-4711"])
async def test_without_the_administrators_token_nothing_is_said(api: Api, token: str | None) -> None:
    rest = await api.call("GET", "projects", token=token)
    assert (rest.status, rest.error["code"]) == (401, "unauthenticated")
    assert rest.headers["www-authenticate"] == "Bearer"
    request = message("ProjectService/ListProjects")
    assert (
        await refused(api.rpc("ProjectService/ListProjects", request, token=token))
    ).code().name == "UNAUTHENTICATED"


async def test_unknown_fields_are_refused_in_both_codecs(api: Api) -> None:
    body = {"configuration": {"projects": [{"name": "a", "keys": [{"name": "k", "valu": "x"}]}]}}
    rest = await api.call("POST", "configuration:apply", body)
    assert (rest.status, rest.error["field"]) == (400, "configuration.projects[0].keys[0].valu")
    query = await api.call("GET", "projects?colour=red")
    assert (query.status, query.error["field"]) == (400, "colour")
    newer = METHODS["tollway.control.v1.ProjectService/ListProjects"].request.FromString(b"\xa2\x06\x01x")  # field 100
    assert (await refused(api.rpc("ProjectService/ListProjects", newer))).code().name == "INVALID_ARGUMENT"
    assert (await api.call("POST", "projects", {"name": "a", "Name": "b"})).error["field"] == "Name"
    assert (await api.call("POST", "projects", raw=b'{"name": "a", "name": "b"}')).error["field"] == "name"


async def test_etags_travel_in_headers_too(api: Api) -> None:
    made = await api.call("POST", "projects", {"name": "demo"})
    assert made.headers["etag"] == f'"{made.body["etag"]}"'
    first = {"If-Match": made.headers["etag"]}
    changed = await api.call("PATCH", "projects/demo", {"description": "one"}, headers=first)
    assert (changed.status, changed.body["description"]) == (200, "one")
    assert changed.headers["etag"] != made.headers["etag"]
    lost = await api.call("PATCH", "projects/demo", {"description": "two"}, headers=first)
    assert (lost.status, lost.error["code"], lost.error["field"]) == (412, "etag_mismatch", "etag")
    assert (await api.call("GET", "projects/demo")).body["description"] == "one"
    both = await api.call("PATCH", "projects/demo", {"etag": "other"}, headers=first)
    assert both.status == 400
    pointless = await api.call("POST", "projects", {"name": "x"}, headers=first)
    assert (pointless.status, pointless.error["message"]) == (400, "this method takes no If-Match")


async def test_a_patch_changes_what_its_body_names(api: Api) -> None:
    await api.call("POST", "projects", {"name": "demo", "description": "d", "models": ["a"]})
    kept = await api.call("PATCH", "projects/demo", {"models": ["b"]})
    assert (kept.body["description"], kept.body["models"]) == ("d", ["b"])
    cleared = await api.call("PATCH", "projects/demo", {"description": None})
    assert (cleared.body["description"], cleared.body["models"]) == ("", ["b"])
    masked = await api.call("PATCH", "projects/demo", {"description": "e", "models": ["c"], "update_mask": "models"})
    assert (masked.body["description"], masked.body["models"]) == ("", ["c"])


async def test_what_is_not_a_call_of_the_api(api: Api) -> None:
    for verb, path, status, code in [
        ("GET", "nothing", 404, "not_found"),
        ("PUT", "projects", 405, "method_not_allowed"),
        ("DELETE", "configuration:apply", 405, "method_not_allowed"),
    ]:
        found = await api.call(verb, path)
        assert (found.status, found.error["code"]) == (status, code)
    assert (await api.call("PUT", "projects")).headers["allow"] == "GET, POST"
    form = await api.call(
        "POST", "projects", raw=b"name=x", headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert (form.status, form.error["code"]) == (415, "unsupported_media_type")
    assert (await api.call("GET", "projects", {"a": 1})).error["message"] == "this method takes no body"
    for raw in (b"{", b"[]", b'{"name": NaN}', b"\xff", b'{"name":"\\ud800"}', b"[" * 100_000):
        broken = await api.call("POST", "projects", raw=raw)
        assert (broken.status, broken.error["code"]) == (400, "invalid_argument")


async def test_a_body_over_the_limit_is_refused(api: Api) -> None:
    huge = io.BytesIO(b'{"name": "' + b"x" * (17 << 20) + b'"}')
    headers = {"Authorization": "Bearer admin-token-canary-4711", "Content-Type": "application/json"}
    async with api.session.post(f"{api.base}/api/v1/projects", data=huge, headers=headers) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (413, "request_too_large")
    assert (await api.call("GET", "projects")).body["projects"] == []


async def test_request_ids_are_kept_or_made_and_never_stored_answers(api: Api) -> None:
    kept = await api.call("GET", "projects/none", headers={"x-request-id": "mine-1"})
    assert (kept.headers["x-request-id"], kept.error["request_id"]) == ("mine-1", "mine-1")
    made = await api.call("GET", "projects")
    assert len(made.headers["x-request-id"]) == 36
    assert made.headers["cache-control"] == "no-store"
    await api.call(
        "POST", "projects", {"name": "demo"}, headers={"x-request-id": "r-7", "x-tollway-reason": "asked for"}
    )
    (event,) = (await api.call("GET", "audit")).body["events"]
    assert (event["request_id"], event["reason"], event["source"]) == ("r-7", "asked for", "127.0.0.1")
    created = message("ProjectService/CreateProject", name="two")
    await api.rpc("ProjectService/CreateProject", created, x_request_id="r-8")
    assert (await api.call("GET", "audit")).body["events"][0]["request_id"] == "r-8"


async def test_the_audit_log_is_listed_newest_first_in_pages(api: Api) -> None:
    for number in range(5):
        await api.call("POST", "projects", {"name": f"p{number}"})
    await api.call("DELETE", "projects/p3")
    seen: list[str] = []
    token = ""
    while True:
        page = await api.call("GET", f"audit?page_size=2&page_token={token}")
        seen += [f"{event['action']} {event['resource']}" for event in page.body["events"]]
        if not (token := page.body["next_page_token"]):
            break
    assert seen == ["projects.archive project:p3", *(f"projects.create project:p{n}" for n in (4, 3, 2, 1, 0))]
    narrowed = await api.call("GET", "audit?resource=project:p3&action=projects.create")
    assert [event["resource"] for event in narrowed.body["events"]] == ["project:p3"]
    assert json.loads(narrowed.body["events"][0]["after"])["name"] == "p3"
    assert narrowed.body["events"][0]["before"] == ""
    foreign = (await api.call("GET", "projects?page_size=1")).body["next_page_token"]
    assert (await api.call("GET", f"audit?page_token={foreign}")).error["field"] == "page_token"


async def test_secrets_are_shown_once_and_nowhere_else(
    api: Api, canary: str, capfd: pytest.CaptureFixture[str]
) -> None:
    await api.call("POST", "projects", {"name": "demo"})
    credential = {"name": "main", "api_key": canary}
    provider = {"name": "sim", "kind": "simulator", "base_url": "http://127.0.0.1:9/v1", "credentials": [credential]}
    made = await api.call("POST", "providers", provider)
    secret = (await api.call("POST", "keys", {"project": "demo", "name": "k"})).body["secret"]
    assert made.status == 200
    assert secret.startswith("sk-tw-")
    broken = {**provider, "name": "other", "credentials": [{**credential, "weight": -1}]}
    refusal = await api.call("POST", "providers", broken)
    assert (refusal.status, refusal.error["field"]) == (400, "credentials[0].weight")
    said = [made.body, refusal.body]
    said += [(await api.call("GET", path)).body for path in ("providers", "keys", "audit", "providers/sim")]
    stored = await api.sql("SELECT coalesce(before::text, '') || coalesce(after::text, '') FROM audit_events")
    metrics = await (await api.session.get(f"http://127.0.0.1:{api.plane.ports['admin']}/metrics")).text()
    logs = capfd.readouterr()
    everything = json.dumps(said) + str(stored) + metrics + logs.err + logs.out
    for value in (canary, secret, "admin-token-canary", "join-token-canary"):
        assert value not in everything


async def test_probes_and_metrics(api: Api) -> None:
    admin = f"http://127.0.0.1:{api.plane.ports['admin']}"
    for url in (f"{api.base}/livez", f"{api.base}/healthz", f"{api.base}/readyz", f"{admin}/readyz"):
        async with api.session.get(url) as response:
            assert response.status == 200
    await api.call("GET", "projects")
    text = await (await api.session.get(f"{admin}/metrics")).text()
    assert (
        'tollway_management_calls_total{code="ok",method="tollway.control.v1.ProjectService/ListProjects"} 1.0' in text
    )
    assert "tollway_config_version 1.0" in text
    stub = health_pb2_grpc.HealthStub(api.channel)
    assert (await stub.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING


async def test_the_planes_own_services_ask_for_the_join_token(api: Api) -> None:
    for token in ("admin-token-canary-4711", "", "join-token-canary-471"):
        with pytest.raises(ConnectionError, match="UNAUTHENTICATED"):
            await UsageIngestClient(api.channel, token).ingest("dp", [])
        with pytest.raises(ConnectionError, match="UNAUTHENTICATED"):
            await anext(ConfigPushClient(api.channel, token).subscribe("dp", None, None, want_directory_snapshot=False))
    stored = await UsageIngestClient(api.channel, "join-token-canary-4711").ingest("dp", [b"no row"])
    assert (stored.inserted, stored.quarantined) == (0, 1)
    with pytest.raises(ConnectionError, match="INVALID_ARGUMENT: batches: a batch is damaged"):
        await BodyIngestClient(api.channel, "join-token-canary-4711").store("dp", [b"no batch"], 0)


async def test_a_data_plane_follows_changes_and_appears_in_the_status(api: Api) -> None:
    stream = ConfigPushClient(api.channel, "join-token-canary-4711").subscribe(
        "dp-1/7", None, None, want_directory_snapshot=True
    )
    async for event in stream:
        if isinstance(event, Heartbeat):
            break
    (subscriber,) = (await api.call("GET", "status")).body["subscribers"]
    assert (subscriber["replica"], subscriber["behind"]) == ("dp-1/7", "0")
    await api.call("POST", "projects", {"name": "demo"})
    async for event in stream:
        if isinstance(event, CatalogSnapshot):
            assert str(event.position.version) == (await api.call("GET", "status")).body["config_version"]
            break
    await stream.aclose()


async def test_the_openapi_document_is_served_without_a_token(api: Api) -> None:
    found = await api.call("GET", "openapi.json", token=None)
    assert (found.status, found.body["openapi"]) == (200, "3.1.0")
