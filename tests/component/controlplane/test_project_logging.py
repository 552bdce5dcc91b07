"""What the request log keeps of a project is said by the project: through the API or a document, and to data planes."""

from __future__ import annotations

from typing import Any

from tollway.controlplane.catalog.snapshot import build_catalog
from tollway.core.catalog import Bodies, Logging
from tollway.wire.contract import METHODS


async def told(api: Any) -> dict[str, Logging]:
    """What the catalog tells of each project."""
    async with api.plane.pool.connection() as db, db.transaction():
        catalog = await build_catalog(db, api.plane.vault)
    return {project.name: project.logging for project in catalog.projects.values()}


async def test_everything_is_kept_for_30_days_unless_said(api: Any) -> None:
    plain = (await api.call("POST", "projects", {"name": "plain"})).body
    assert (plain["log_bodies"], plain["log_retention_days"]) == ("full", 30)
    asked = {"name": "exam", "log_bodies": "masked", "log_retention_days": 365}
    exam = (await api.call("POST", "projects", asked)).body
    assert (exam["log_bodies"], exam["log_retention_days"]) == ("masked", 365)
    assert await told(api) == {"plain": Logging(), "exam": Logging(bodies=Bodies.MASKED, retention_days=365)}


async def test_one_is_changed_without_the_other(api: Any) -> None:
    await api.call("POST", "projects", {"name": "exam", "log_bodies": "none", "log_retention_days": 7})
    kept = (await api.call("PATCH", "projects/exam", {"description": "changed"})).body
    assert (kept["log_bodies"], kept["log_retention_days"]) == ("none", 7)
    version = (await api.call("GET", "status")).body["config_version"]
    less = (await api.call("PATCH", "projects/exam", {"log_retention_days": 1})).body
    assert (less["log_bodies"], less["log_retention_days"]) == ("none", 1)
    assert await told(api) == {"exam": Logging(bodies=Bodies.NONE, retention_days=1)}
    assert int((await api.call("GET", "status")).body["config_version"]) > int(version)
    request: Any = METHODS["tollway.control.v1.ProjectService/UpdateProject"].request(project="exam")
    request.update_mask.paths.extend(["log_bodies", "log_retention_days"])
    default = await api.rpc("ProjectService/UpdateProject", request)
    assert (default.log_bodies, default.log_retention_days) == ("full", 30)


async def test_what_is_no_class_is_refused(api: Any) -> None:
    for wrong in ({"log_retention_days": 31}, {"log_retention_days": -1}, {"log_bodies": "some"}):
        answer = await api.call("POST", "projects", {"name": "exam", **wrong})
        assert (answer.status, answer.error["field"]) == (400, next(iter(wrong)))


async def test_a_document_says_it_and_takes_it_back(api: Any) -> None:
    def document(**logging: Any) -> dict[str, Any]:
        return {"configuration": {"projects": [{"name": "exam", "logging": logging}]}}

    said: dict[str, Any] = {"bodies": "masked", "retention_days": 90}
    for logging, change in ((said, ["create"]), (said, []), ({}, ["update"]), ({}, [])):
        answer = await api.call("POST", "configuration:apply", document(**logging))
        assert answer.status == 200, answer.body
        assert [c["action"] for c in answer.body["changes"] if c["kind"] == "project"] == change
        bodies = Bodies(logging.get("bodies", "full"))
        assert await told(api) == {"exam": Logging(bodies=bodies, retention_days=logging.get("retention_days", 30))}
    refused = await api.call("POST", "configuration:apply", document(retention_days=31))
    assert (refused.status, refused.error["field"]) == (400, "configuration.projects[0].logging.retention_days")
