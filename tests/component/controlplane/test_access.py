"""Users, service accounts and roles over REST: who gets in, what they see, and what they can never give."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tollway.controlplane.access import identities, tokens
from tollway.controlplane.access.model import Identity
from tollway.controlplane.access.service import principal_of
from tollway.controlplane.api.dispatcher import CallContext
from tollway.controlplane.app import ControlPlane
from tollway.controlplane.call import ApiCode, ApiError, Principal
from tollway.testkit.ledger_rows import attempt_row, request_row
from tollway.wire.contract import METHODS

ISSUER = "https://login.example.com"
ANA = Identity(issuer=ISSUER, subject="ana-1", email="Ana@Example.com", email_verified=True, name="Ana")


async def signed_in(plane: ControlPlane, identity: Identity, *, at: datetime | None = None) -> Principal:
    async with plane.pool.connection() as db, db.transaction():
        return await principal_of(db, identity, at or datetime.now(UTC), vault=plane.vault, source="10.0.0.1")


async def refused(plane: ControlPlane, identity: Identity) -> str:
    with pytest.raises(ApiError) as failed:
        await signed_in(plane, identity)
    assert failed.value.code is ApiCode.PERMISSION_DENIED
    return failed.value.message


async def ask(plane: ControlPlane, principal: Principal, method: str, **fields: Any) -> Any:
    contract = METHODS[f"tollway.control.v1.{method}"]
    return await plane.dispatcher.invoke(principal, contract, contract.request(**fields), CallContext(request_id="r"))


async def denied(plane: ControlPlane, principal: Principal, method: str, **fields: Any) -> str:
    with pytest.raises(ApiError) as failed:
        await ask(plane, principal, method, **fields)
    assert failed.value.code is ApiCode.PERMISSION_DENIED, failed.value.message
    return failed.value.message


async def ok(api: Any, verb: str, path: str, body: Any = None, **more: Any) -> Any:
    answer = await api.call(verb, path, body, **more)
    assert answer.status == 200, answer.body
    return answer.body


async def account(api: Any, name: str, role: str, **place: str) -> str:
    """A service account with one role in its place; returns a token."""
    await ok(api, "POST", "service-accounts", {"name": name, **place})
    await ok(api, "POST", "roles", {"role": role, "service_account": name, **place})
    made = await ok(api, "POST", f"service-accounts/{name}/tokens", {})
    token: str = made["secret"]
    return token


@pytest.fixture
async def two_units(api: Any) -> Any:
    """Units shops and labs, each with a project, a key of ana's and one of ben's, a budget and limits."""
    for unit, project in (("shops", "tills"), ("labs", "probes")):
        await ok(api, "POST", "business-units", {"name": unit})
        await ok(api, "POST", "projects", {"name": project, "business_unit": unit})
        for user in ("ana@example.com", "ben@example.com"):
            name = user.partition("@")[0]
            await ok(api, "POST", "keys", {"project": project, "name": name, "user": user})
        await ok(api, "PATCH", f"budgets/project:{project}", {"limit": "10"})
        await ok(api, "PATCH", f"budgets/key:{project}%2Fana", {"limit": "1"})
        limits = {"limits": [{"measure": "requests", "window": "minute", "amount": 5}]}
        await ok(api, "PUT", f"limits/project:{project}", limits)
    return api


async def test_a_named_user_is_bound_once_and_only_by_a_verified_address(api: Any, plane: ControlPlane) -> None:
    made = await ok(api, "POST", "users", {"email": "Ana@example.com"})
    assert (made["email"], made["issuer"], made["disabled"]) == ("ana@example.com", "", False)
    assert (await api.call("POST", "users", {"email": "ANA@example.com"})).status == 409
    unverified = Identity(issuer=ISSUER, subject="liar", email="ana@example.com", email_verified=False)
    liar = await signed_in(plane, unverified)
    assert liar.user_id is not None
    assert (liar.email, liar.name) == ("", f"user:{liar.user_id}")
    ana = await signed_in(plane, ANA)
    assert (str(ana.user_id), ana.name, ana.kind) == (made["id"], "ana@example.com", "user")
    assert (await signed_in(plane, ANA)).user_id == ana.user_id
    other = Identity(issuer="https://other.example.com", subject="ana-1", email="ana@example.com", email_verified=True)
    assert "belongs to another sign-in" in await refused(plane, other)
    shown = await ok(api, "GET", "users/ana@example.com")
    assert (shown["issuer"], shown["subject"], shown["display_name"]) == (ISSUER, "ana-1", "Ana")
    await ok(api, "POST", "users/ana@example.com:unbind", {})
    assert (await signed_in(plane, other)).user_id == ana.user_id
    events = await api.sql(
        "SELECT actor, action, after->>'issuer' FROM audit_events WHERE action = 'users.sign_in' "
        "AND resource = 'user:ana@example.com' ORDER BY seq"
    )
    assert events == [("ana@example.com", "users.sign_in", issuer) for issuer in (ISSUER, other.issuer)]
    assert {user["email"] for user in (await ok(api, "GET", "users"))["users"]} == {"", "ana@example.com"}


async def test_a_disabled_user_is_refused_and_nobody_disables_themselves(api: Any, plane: ControlPlane) -> None:
    await signed_in(plane, ANA)
    await ok(api, "POST", "roles", {"role": "platform_admin", "user": "ana@example.com"})
    ana = await signed_in(plane, ANA)
    with pytest.raises(ApiError, match="themselves"):
        await ask(plane, ana, "UserService/DisableUser", user="ana@example.com")
    stale = (await ok(api, "GET", "users/ana@example.com"))["etag"]
    await ok(api, "POST", "users/ana@example.com:disable", {"etag": stale})
    assert "disabled" in await refused(plane, ANA)
    assert (await api.call("POST", "users/ana@example.com:enable", {"etag": stale})).status == 412
    await ok(api, "POST", "users/ana@example.com:enable", {})
    assert (await signed_in(plane, ANA)).may("projects.create")


async def test_groups_give_roles_until_the_issuer_or_an_administrator_takes_them(
    two_units: Any, plane: ControlPlane
) -> None:
    api = two_units
    bound = await ok(api, "POST", "roles", {"role": "unit_manager", "group": "shop-leads", "business_unit": "shops"})
    only_there = {"role": "auditor", "group": "shop-leads", "issuer": "https://other.example.com"}
    await ok(api, "POST", "roles", only_there)
    lead = Identity(**{**{name: getattr(ANA, name) for name in ANA.__struct_fields__}, "groups": ("shop-leads", "x")})
    ana = await signed_in(plane, lead)
    assert [(grant.role, grant.project) for grant in ana.grants] == [("unit_manager", None)]
    await ask(plane, ana, "ProjectService/GetProject", project="tills")
    await denied(plane, ana, "ProjectService/GetProject", project="probes")
    me = await ask(plane, ana, "UserService/GetCaller")
    assert (me.name, [(role.role, role.business_unit) for role in me.roles]) == (
        "ana@example.com", [("unit_manager", "shops")],
    )  # fmt: skip
    assert (await signed_in(plane, ANA)).grants == ()  # the issuer says no group any more
    assert (await signed_in(plane, lead)).grants != ()
    await ok(api, "DELETE", f"roles/{bound['id']}")
    assert (await signed_in(plane, lead)).grants == ()
    soon = datetime.now(UTC) + timedelta(minutes=5)
    until = {"role": "developer", "user": "ana@example.com", "project": "tills", "expires_at": soon.isoformat()}
    await ok(api, "POST", "roles", until)
    assert (await signed_in(plane, ANA)).has_role("developer", project=(await signed_in(plane, ANA)).grants[0].project)
    assert (await signed_in(plane, ANA, at=soon)).grants == ()


async def test_a_token_of_a_service_account_lives_and_ends(two_units: Any, canary: str) -> None:
    api = two_units
    token = await account(api, "ci", "project_owner", project="tills")
    parsed = tokens.parse(token)
    assert parsed is not None
    assert (await ok(api, "GET", "me", token=token))["name"] == "service_account:ci"
    broken = token[:-1] + ("0" if token[-1] != "0" else "1")
    for wrong in (broken, parsed.digest.hex(), f"sa-tw-{parsed.public_id}-{'a' * 49}", canary):
        assert (await api.call("GET", "me", token=wrong)).status == 401
    stored = await api.sql("SELECT digest, public_id FROM service_account_tokens")
    assert stored == [(parsed.digest, parsed.public_id)]
    second = (await ok(api, "POST", "service-accounts/ci:rotate", {"grace_seconds": 3600}))["secret"]
    for valid in (token, second):
        assert (await api.call("GET", "me", token=valid)).status == 200
    await ok(api, "DELETE", f"service-accounts/ci/tokens/{parsed.public_id}")
    assert (await api.call("GET", "me", token=token)).status == 401
    third = (await ok(api, "POST", "service-accounts/ci:rotate", {}))["secret"]
    assert [(await api.call("GET", "me", token=one)).status for one in (second, third)] == [401, 200]
    await ok(api, "POST", "service-accounts/ci:disable", {})
    assert (await api.call("GET", "me", token=third)).status == 401
    await ok(api, "POST", "service-accounts/ci:enable", {})
    await api.sql("UPDATE service_account_tokens SET expires_at = now() WHERE public_id = %s", third[6:14])
    assert (await api.call("GET", "me", token=third)).status == 401
    last = (await ok(api, "POST", "service-accounts/ci/tokens", {}))["secret"]
    await ok(api, "DELETE", "service-accounts/ci")
    assert (await api.call("GET", "me", token=last)).status == 401
    assert await api.sql("SELECT id FROM role_bindings") == []
    text = str(await api.sql("SELECT before, after FROM audit_events"))
    assert [secret for secret in (token, second, third, last) if secret in text] == []


async def test_listings_show_what_lies_within_the_scope(two_units: Any, plane: ControlPlane) -> None:
    api = two_units
    manager = await account(api, "lead", "unit_manager", business_unit="shops")
    owner = await account(api, "owner", "project_owner", project="probes")
    await ok(api, "POST", "alert-channels", {"name": "labs-mail", "kind": "email", "recipients": ["a@b.example"],
             "scope": "business_unit", "subject": "labs"})  # fmt: skip
    rows = []
    for project in ("tills", "probes"):
        for key in (await ok(api, "GET", f"keys?project={project}"))["keys"]:
            found = await api.sql("SELECT project_id::text FROM keys WHERE id = %s", key["id"])
            now = round(time.time() * 1000)
            rows.append(request_row(now, project=found[0][0], key_id=key["id"], key_public_id=key["public_id"],
                                    attempts=(attempt_row(now),)))  # fmt: skip
    await plane.ledger.ingest("dp-1", rows)

    async def seen(token: str, path: str, member: str, field: str) -> list[Any]:
        return sorted(item[field] for item in (await ok(api, "GET", path, token=token))[member])

    expected: dict[str, tuple[list[str], ...]] = {
        manager: (["shops"], ["tills"], ["key:tills/ana", "project:tills"], ["project:tills"], ["tills"] * 2, []),
        owner: ([], ["probes"], ["key:probes/ana", "project:probes"], ["project:probes"], ["probes"] * 2, []),
    }
    for token, shown in expected.items():
        assert await seen(token, "projects", "projects", "name") == shown[1]
        assert await seen(token, "budgets", "budgets", "subject") == shown[2]
        assert await seen(token, "limits", "limits", "subject") == shown[3]
        assert await seen(token, "keys", "keys", "project") == shown[4]
        assert await seen(token, "requests", "requests", "project") == shown[4]
        assert await seen(token, "alert-channels", "channels", "name") == shown[5]
        usage = await ok(api, "GET", "usage?by=project", token=token)
        assert [(row["group"], row["requests"]) for row in usage["rows"]] == [(shown[1][0], "2")]
        assert usage["total"]["requests"] == "2"
        assert (await ok(api, "GET", "request-log", token=token))["requests"] == []
        assert (await ok(api, "GET", "alerts", token=token))["alerts"] == []
        assert (await ok(api, "GET", "alert-deliveries", token=token))["deliveries"] == []
        foreign = "probes" if shown[1] == ["tills"] else "tills"
        for path in (f"usage?by=day&project={foreign}", f"requests?project={foreign}", f"keys?project={foreign}",
                     f"roles?project={foreign}", "users", "audit", "providers", "status"):  # fmt: skip
            assert (await api.call("GET", path, token=token)).status == 403, path
        mine = await seen(token, "service-accounts", "service_accounts", "name")
        assert mine == (["lead"] if token == manager else ["owner"])
    assert await seen(manager, "business-units", "business_units", "name") == ["shops"]
    assert await seen(owner, "business-units", "business_units", "name") == []
    stolen = await api.call("GET", "usage?by=key&key=probes/ana", token=manager)
    assert stolen.body["rows"] == []


async def test_a_developer_manages_keys_of_their_own(two_units: Any, plane: ControlPlane) -> None:
    api = two_units
    await ok(api, "POST", "roles", {"role": "developer", "user": "ana@example.com", "project": "tills"})
    ana = await signed_in(plane, ANA)
    made = (await ask(plane, ana, "KeyService/CreateKey", project="tills", name="mine")).key
    assert made.user == "ana@example.com"
    keys = (await ask(plane, ana, "KeyService/ListKeys")).keys
    assert sorted((key.project, key.name) for key in keys) == [("tills", "ana"), ("tills", "mine")]
    await ask(plane, ana, "KeyService/RotateKey", key=made.id, grace_seconds=60)
    await denied(plane, ana, "KeyService/UpdateKey", key=made.id, user="ben@example.com")
    await denied(plane, ana, "KeyService/UpdateKey", key=made.id, update_mask={"paths": ["user"]})
    await denied(plane, ana, "KeyService/CreateKey", project="tills", name="his", user="ben@example.com")
    await denied(plane, ana, "KeyService/CreateKey", project="probes", name="there")
    await denied(plane, ana, "BudgetService/SetBudget", subject=f"key:{made.id}", limit="100")
    bens = [key["id"] for key in (await ok(api, "GET", "keys?project=tills"))["keys"] if key["name"] == "ben"]
    for verb in ("GetKey", "RotateKey", "RevokeKey"):
        await denied(plane, ana, f"KeyService/{verb}", key=bens[0])
    rows = []
    for key in (await ok(api, "GET", "keys"))["keys"]:
        project = (await api.sql("SELECT project_id::text FROM keys WHERE id = %s", key["id"]))[0][0]
        now = round(time.time() * 1000)
        rows.append(request_row(now, project=project, key_id=key["id"], key_public_id=key["public_id"], attempts=()))
    await plane.ledger.ingest("dp-1", rows)
    usage = await ask(plane, ana, "UsageService/QueryUsage", by="key")
    assert {row.group: row.requests for row in usage.rows} == {"tills/ana": 1, "tills/mine": 1}
    usage = await ask(plane, ana, "UsageService/QueryUsage", by="key", project="tills")
    assert usage.total.requests == 2
    await denied(plane, ana, "UsageService/QueryUsage", by="key", project="probes")
    await ask(plane, ana, "KeyService/RevokeKey", key=made.id)
    await ask(plane, ana, "BudgetService/GetBudget", subject="key:tills/ana")
    await denied(plane, ana, "BudgetService/GetBudget", subject="project:tills")


async def test_nobody_gives_what_they_do_not_have(two_units: Any) -> None:
    api = two_units
    lead = await account(api, "lead", "unit_manager", business_unit="shops")
    owner = await account(api, "owner", "project_owner", project="tills")

    async def grant(token: str, role: str, who: str = "user", name: str = "new@example.com", **place: str) -> int:
        answer = await api.call("POST", "roles", {"role": role, who: name, **place}, token=token)
        status: int = answer.status
        return status

    assert await grant(lead, "project_owner", project="tills") == 200
    assert await grant(owner, "developer", project="tills") == 200
    assert await grant(owner, "developer", business_unit="shops") == 403
    for token in (lead, owner):
        assert await grant(token, "developer", project="probes") == 403
        assert await grant(token, "auditor", project="tills") == 403
        assert await grant(token, "platform_admin") == 403
        assert await grant(token, "developer") == 403
    assert await grant("admin-token-canary-4711", "platform_admin", project="tills") == 400
    outside = {"role": "developer", "service_account": "owner", "project": "probes"}
    assert (await api.call("POST", "roles", outside)).status == 409
    above = (await ok(api, "POST", "roles", {"role": "auditor", "user": "eve@example.com", "project": "tills"}))["id"]
    assert (await api.call("DELETE", f"roles/{above}", token=owner)).status == 403
    for subject, status in (("project:tills", 403), ("key:tills%2Fana", 200), ("business_unit:shops", 403)):
        assert (await api.call("PATCH", f"budgets/{subject}", {"limit": "2"}, token=owner)).status == status
    for subject, status in (("project:tills", 200), ("business_unit:shops", 403), ("project:probes", 403)):
        assert (await api.call("PATCH", f"budgets/{subject}", {"limit": "3"}, token=lead)).status == status
    assert (await api.call("PATCH", "projects/tills", {"models": ["gpt-*"]}, token=owner)).status == 403
    assert (await api.call("PATCH", "projects/tills", {"description": "tills"}, token=owner)).status == 200
    assert (await api.call("PATCH", "projects/tills", {"business_unit": "labs"}, token=lead)).status == 403
    assert (await api.call("PATCH", "projects/tills", {"models": ["gpt-*"]}, token=lead)).status == 200
    # The project moves: an account of the unit that it left has nothing there any more.
    await ok(api, "PATCH", "projects/tills", {"business_unit": "labs"})
    assert (await api.call("GET", "projects/tills", token=lead)).status == 403
    actors = await api.sql("SELECT DISTINCT actor FROM audit_events WHERE action = 'projects.update' ORDER BY actor")
    assert actors == [("administrator",), ("service_account:lead",), ("service_account:owner",)]


async def test_the_name_of_an_archived_service_account_is_not_used_again(api: Any) -> None:
    await ok(api, "POST", "service-accounts", {"name": "approver"})
    await ok(api, "DELETE", "service-accounts/approver")
    again = await api.call("POST", "service-accounts", {"name": "approver"})
    assert (again.status, again.error["code"]) == (409, "already_exists")


async def test_data_planes_believe_stored_groups_for_a_day_and_longer_for_who_is_seen(
    api: Any, plane: ControlPlane
) -> None:
    await api.sql(
        "INSERT INTO signin_issuers (id, name, issuer, client_id, groups_claim, email_claim, name_claim,"
        " refresh_seconds, data_plane) VALUES (gen_random_uuid(), 'corp', %s, 'x', 'g', 'e', 'n', 900, '{}')",
        ISSUER,
    )
    await ok(api, "POST", "roles", {"role": "developer", "group": "devs"})
    dev = Identity(issuer=ISSUER, subject="dev", email="dev@example.com", email_verified=True, groups=("devs",))
    now = datetime.now(UTC)

    async def known(at: datetime) -> tuple[int, timedelta]:
        await signed_in(plane, dev, at=at)
        async with plane.pool.connection() as db:
            (entry,) = await identities.page(db, None, 10, b"p" * 32)
        (granted,) = entry.grants or ()
        assert granted.not_after_ms is not None
        return entry.version, datetime.fromtimestamp(granted.not_after_ms / 1000, UTC) - at

    version, left = await known(now)
    assert timedelta(hours=18) <= left <= timedelta(hours=24)
    later, left = await known(now + timedelta(hours=7))
    assert later > version, "data planes are told"
    assert timedelta(hours=18) <= left <= timedelta(hours=24)
