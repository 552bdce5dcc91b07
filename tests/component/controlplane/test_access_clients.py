"""Roles in a configuration file, and users, service accounts and roles over SDK and command line."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tollway.controlplane.app import ControlPlane
from tollway.sdk.client import AsyncClient
from tollway.sdk.errors import NotFound, PermissionDenied

ADMIN = "admin-token-canary-4711"
DOCUMENT: dict[str, Any] = {
    "business_units": [{"name": "retail", "managers": ["Lead@example.com"]}],
    "projects": [{"name": "demo", "business_unit": "retail"}],
    "users": [{"name": "ana@example.com", "roles": [{"role": "developer", "project": "demo"}]}],
    "roles": [
        {"role": "auditor", "group": "auditors", "issuer": "https://login.example.com"},
        {"role": "developer", "user": "ana@example.com", "project": "demo"},
    ],
}
LABELS = [
    "auditor of group:auditors@https://login.example.com on platform",
    "developer of user:ana@example.com on project:demo",
    "unit_manager of user:lead@example.com on business_unit:retail",
]


async def apply(api: Any, document: dict[str, Any], status: int = 200, **options: Any) -> Any:
    answer = await api.call("POST", "configuration:apply", {"configuration": document, **options})
    assert answer.status == status, answer.body
    return answer.body


def steps(body: Any) -> list[tuple[str, str]]:
    return sorted((step["action"], step["name"]) for step in body["changes"] if step["kind"] == "role")


async def test_roles_of_a_document_are_made_kept_and_pruned(api: Any) -> None:
    planned = await apply(api, DOCUMENT, dry_run=True)
    assert steps(planned) == [("create", name) for name in LABELS]
    await apply(api, DOCUMENT)
    assert steps(await apply(api, DOCUMENT)) == []
    assert [user["email"] for user in (await api.call("GET", "users")).body["users"]] == [
        "ana@example.com",
        "lead@example.com",
    ]
    by_hand = {"role": "developer", "user": "ben@example.com", "project": "demo"}
    await api.call("POST", "roles", by_hand)
    fewer = {**DOCUMENT, "roles": [], "business_units": [{"name": "retail"}]}
    assert steps(await apply(api, fewer)) == []
    assert steps(await apply(api, fewer, prune=True)) == [("archive", LABELS[0]), ("archive", LABELS[2])]
    left = (await api.call("GET", "roles?project=demo")).body["roles"]
    assert sorted(role["user"] for role in left) == ["ana@example.com", "ben@example.com"]


async def test_what_is_wrong_is_refused_with_its_path(api: Any) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"users": [{"name": "ana", "roles": [{"role": "auditor"}]}]}, "users[0].roles[0].user"),
        ({"roles": [{"role": "developer", "user": "a@b.c", "group": "g"}]}, "roles[0]"),
        ({"roles": [{"role": "unit_manager", "user": "a@b.c", "project": "demo"}]}, "roles[0].role"),
        ({"roles": [{"role": "developer", "user": "a@b.c", "project": "nowhere"}]}, "roles[0].project"),
        ({"roles": [{"role": "auditor", "user": "a@b.c", "business_unit": "nowhere"}]}, "roles[0].business_unit"),
        ({"business_units": [{"name": "a", "managers": ["nobody"]}]}, "business_units[0].managers[0].user"),
        ({"roles": [{"role": "developer", "service_account": "none"}]}, "roles[0].service_account"),
    ]
    for document, path in wrong:
        answer = await api.call(
            "POST", "configuration:apply", {"configuration": {"projects": [{"name": "demo"}], **document}}
        )
        assert answer.status in (400, 404), answer.body
        assert answer.error["field"] == f"configuration.{path}"
    assert await api.sql("SELECT id FROM role_bindings") == []


@pytest.fixture
async def connect(plane: ControlPlane) -> AsyncIterator[Callable[[str], Awaitable[AsyncClient]]]:
    """A client of the SDK for a token."""
    async with AsyncExitStack() as opened:
        yield lambda token: opened.enter_async_context(AsyncClient(f"http://127.0.0.1:{plane.ports['control']}", token))


async def test_sdk_and_command_line(api: Any, connect: Callable[[str], Awaitable[AsyncClient]]) -> None:
    tollway = await connect(ADMIN)
    await tollway.business_units.create("retail")
    made = await tollway.users.create("ana@example.com", display_name="Ana")
    assert [user.email async for user in tollway.users.list()] == ["ana@example.com"]
    assert (await tollway.users.disable("ana@example.com", etag=made.etag)).disabled
    assert not (await tollway.users.enable(made.id)).disabled
    account = await tollway.service_accounts.create("ci", business_unit="retail")
    role = await tollway.roles.grant("unit_manager", service_account=account.id, business_unit="retail")
    issued = await tollway.service_accounts.create_token("ci", lifetime_seconds=3600)
    assert issued.secret not in repr(issued)
    machine = await connect(issued.secret)
    caller = await machine.users.me()
    assert (caller.name, caller.kind, [one.role for one in caller.roles]) == (
        "service_account:ci", "service_account", ["unit_manager"],
    )  # fmt: skip
    assert (await machine.projects.create("shop", business_unit="retail")).name == "shop"
    with pytest.raises(PermissionDenied):
        await machine.users.get("ana@example.com")
    with pytest.raises(PermissionDenied):
        await machine.business_units.get("no-such-unit")
    with pytest.raises(NotFound):
        await tollway.business_units.get("no-such-unit")
    rotated = await machine.service_accounts.rotate("ci", grace_seconds=60)
    assert [one.public_id for one in (await tollway.service_accounts.get("ci")).tokens] == [
        issued.token.public_id,
        rotated.token.public_id,
    ]
    await tollway.service_accounts.revoke_token("ci", issued.token.public_id)
    await tollway.roles.revoke(role.id)
    powerless = await connect(rotated.secret)
    with pytest.raises(PermissionDenied):
        await powerless.projects.get("shop")

    async def run(*arguments: str) -> Any:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tollway.cli.main", "--url", api.base, *arguments, "-o", "json",
            env={"TOLLWAY_ADMIN_TOKEN": ADMIN, "HOME": "/nonexistent"},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return json.loads(out)

    granted = await run("roles", "grant", "developer", "--user", "ana@example.com", "--project", "shop")
    assert (granted["role"], granted["user"], granted["project"]) == ("developer", "ana@example.com", "shop")
    assert (await run("service-accounts", "token", "ci", "--lifetime", "1h"))["secret"].startswith("sa-tw-")
