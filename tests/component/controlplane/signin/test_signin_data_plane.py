"""Tokens of a real OpenID provider in place of a virtual key: control plane, push, Valkey and a data plane together."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import jwt
import pytest

from tollway.testkit.oidc_provider import AUDIENCE, MACHINE, MACHINE_SECRET, OidcProvider
from tollway.testkit.token_attacks import ATTACKS, WHY

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_machine_calls_a_model_with_client_credentials(gateway: Any, rig: Any) -> None:
    form = {"grant_type": "client_credentials", "scope": "api", "client_id": MACHINE, "client_secret": MACHINE_SECRET}
    async with rig.api.session.post(f"{rig.corp.url}/token", data=form) as answer:
        token = (await answer.json())["access_token"]
    status, body, _headers = await gateway.chat(token)
    assert (status, body["error"]["code"]) == (403, "project_not_allowed")
    assert "Sign in to the portal once" in body["error"]["message"]
    assert (await rig.call(token, "me")).status == 200
    await gateway.becomes((403, "project_not_allowed"), token)  # known, and nothing is granted
    subject = jwt.decode(token, options={"verify_signature": False})["sub"]
    await gateway.grant(subject, role="developer", project="gamma")
    assert await gateway.becomes((200, ""), token) < 2
    assert (await gateway.chat(token, path="messages"))[0] == 200
    async with gateway.plane.client.get(
        f"{gateway.plane.base_url}/models", headers={"Authorization": f"Bearer {token}"}
    ) as models:
        assert [model["id"] for model in (await models.json())["data"]] == ["m"]
    user = await gateway.user(subject)
    async with asyncio.timeout(8):
        while not (rows := await _booked(rig, f"user:{user}")):
            await asyncio.sleep(0.1)
    entry = await rig.api.sql("SELECT id FROM identity_entries WHERE subject = %s", subject)
    assert set(rows) == {(str(entry[0][0]), "", "gamma", "token")}


async def _booked(rig: Any, user: str) -> list[tuple[Any, ...]]:
    """Key, public id, project's name and tag of the ledger's rows of a user."""
    found: list[tuple[Any, ...]] = await rig.api.sql(
        "SELECT l.key_id, l.key_public_id, p.name, l.tags ->> 'by' FROM ledger_requests l"
        " JOIN projects p ON p.id::text = l.project WHERE l.user_name = %s",
        user,
    )
    return found


@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_forged_token_is_refused_and_says_why(gateway: Any, rig: Any, attack: str) -> None:
    token = ATTACKS[attack](rig.corp, rig.other)
    status, body, headers = await gateway.chat(token)
    assert status == 401, (attack, body)
    assert headers["x-tollway-error-code"] in ("invalid_api_key", "key_expired")
    message = body["error"]["message"]
    assert token not in message
    if attack in ("good for days", "expired"):
        return  # told below
    assert WHY.get(attack, "") in message


async def test_the_token_that_the_attacks_are_made_of_is_taken_and_its_beginning_proves_nothing(
    gateway: Any, rig: Any
) -> None:
    assert await gateway.code(rig.corp.token()) == (200, "")
    verified = rig.corp.token({"aaa": "x" * 2000})
    assert await gateway.code(verified) == (200, "")
    head, body, signature = verified.split(".")
    for forged in (f"{head}.{body}.{'A' * len(signature)}", verified[:1000] + "A" * (len(verified) - 1000)):
        assert forged[:1000] == verified[:1000]
        assert (await gateway.code(forged))[0] == 401
    assert await gateway.code(verified) == (200, "")


async def test_a_token_is_good_for_an_hour_at_most(gateway: Any, rig: Any) -> None:
    now = int(time.time())
    assert await gateway.code(rig.corp.token({"iat": now, "exp": now + 3600})) == (200, "")
    status, body, headers = await gateway.chat(rig.corp.token({"iat": now, "exp": now + 3601}))
    assert (status, headers["x-tollway-error-code"]) == (401, "invalid_api_key")
    assert "more than 1 hour" in body["error"]["message"]
    assert await gateway.code(rig.corp.token({"exp": now - 31})) == (401, "key_expired")


async def test_the_project_is_chosen_among_those_that_are_granted(gateway: Any, rig: Any) -> None:
    token = await gateway.known("pat", role="developer", project="alpha")
    assert await gateway.code(token) == (200, "")
    assert await gateway.code(token, "alpha") == (200, "")
    assert await gateway.code(token, "beta") == (403, "project_not_allowed")
    assert await gateway.code(token, "no-such") == (403, "project_not_allowed")
    unit = await gateway.grant("pat", role="unit_manager", business_unit="retail")
    await gateway.becomes((400, "invalid_request"), token)
    _status, body, _headers = await gateway.chat(token)
    assert body["error"]["param"] == "x-tollway-project"
    assert "Granted: alpha, beta." in body["error"]["message"]
    assert await gateway.code(token, "beta") == (200, "")
    beta = (await rig.api.call("GET", "projects/beta")).body["id"]
    assert await gateway.code(token, beta) == (200, "")
    assert await gateway.code(token, "gamma") == (403, "project_not_allowed")
    await gateway.post("projects", {"name": "delta", "business_unit": "retail"})
    await gateway.becomes((200, ""), token, "delta")
    assert (await rig.api.call("DELETE", f"roles/{unit}")).status == 200
    assert await gateway.becomes((403, "project_not_allowed"), token, "beta") < 2
    assert await gateway.code(token) == (200, "")


async def test_roles_that_do_not_let_people_call_models_grant_nothing(gateway: Any) -> None:
    token = await gateway.known("audrey")
    await gateway.grant("audrey", role="auditor")
    await gateway.becomes((403, "project_not_allowed"), token)
    await gateway.grant("audrey", role="project_owner", project="gamma")
    await gateway.becomes((200, ""), token)


async def test_a_role_by_group_is_gone_with_the_group_and_with_the_binding(gateway: Any, rig: Any) -> None:
    role = await gateway.post("roles", {"role": "developer", "group": "callers", "project": "beta"})
    token = rig.corp.token({"sub": "greta", "groups": ["callers"]})
    assert (await rig.call(token, "me")).status == 200
    await gateway.becomes((200, ""), token)
    assert (await rig.call(rig.corp.token({"sub": "greta", "groups": []}), "me")).status == 200
    assert await gateway.becomes((403, "project_not_allowed"), token) < 2
    assert (await rig.call(rig.corp.token({"sub": "greta", "groups": ["callers"], "n": 2}), "me")).status == 200
    await gateway.becomes((200, ""), token)
    assert (await rig.api.call("DELETE", f"roles/{role['id']}")).status == 200
    assert await gateway.becomes((403, "project_not_allowed"), token) < 2


async def test_who_is_known_to_be_in_a_group_and_has_a_token_without_it_is_not(gateway: Any, rig: Any) -> None:
    await gateway.post("roles", {"role": "developer", "group": "callers", "project": "beta"})
    told = rig.corp.token({"sub": "greta", "groups": ["callers"]})
    assert (await rig.call(told, "me")).status == 200
    await gateway.becomes((200, ""), told)
    # Nobody but the data plane sees these two: the control plane still believes the group.
    silent = rig.corp.token({"sub": "greta", "groups": None, "n": 2})
    without = rig.corp.token({"sub": "greta", "groups": ["others"], "n": 2})
    assert await gateway.code(silent) == (200, "")
    assert await gateway.code(without) == (403, "project_not_allowed")
    assert await gateway.code(told) == (200, "")


async def test_a_disabled_user_is_refused_within_two_seconds_and_old_tokens_stay_void(gateway: Any, rig: Any) -> None:
    token = await gateway.known("dora", role="developer", project="alpha")
    user = await gateway.user("dora")
    assert await gateway.code(token) == (200, "")
    await gateway.post(f"users/{user}:disable")
    assert await gateway.becomes((401, "key_revoked"), token) < 2
    await gateway.post(f"users/{user}:enable")
    await asyncio.sleep(1.1)
    fresh = rig.corp.token({"sub": "dora", "groups": []})
    await gateway.becomes((200, ""), fresh)
    assert await gateway.code(token) == (401, "key_revoked")


async def test_who_is_unbound_is_refused(gateway: Any, rig: Any) -> None:
    claims = {"sub": "uma", "groups": [], "email": "uma@example.com", "email_verified": True}
    token = rig.corp.token(claims)
    assert (await rig.call(token, "me")).status == 200
    await gateway.grant("uma", role="developer", project="alpha")
    await gateway.becomes((200, ""), token)
    await gateway.post("users/uma@example.com:unbind")
    assert await gateway.becomes((401, "key_revoked"), token) < 2


async def test_other_keys_of_the_issuer_are_pushed_and_withdrawn_ones_verify_nothing(
    gateway: Any, rig: Any, clock: Any
) -> None:
    old = rig.corp.token({"sub": "alice", "n": 1})
    assert await gateway.code(old) == (200, "")
    rig.corp.rotate("pushed-next")
    new = rig.corp.token({"sub": "alice", "n": 2})
    assert await gateway.code(new) == (401, "invalid_api_key")
    try:
        clock.later(61)
        clock.wait(61)
        await gateway.becomes_eventually(new)
        assert await gateway.code(old) == (401, "invalid_api_key")  # verified before, by a key that is withdrawn
    finally:
        rig.corp.rotate("first")
        clock.later(61)
        clock.wait(61)
        await gateway.becomes_eventually(rig.corp.token({"sub": "alice"}))


async def test_keys_go_on_and_a_token_is_nothing_where_no_issuer_takes_it(
    gateway: Any, rig: Any, oidc: OidcProvider
) -> None:
    made = await gateway.post("keys", {"project": "alpha", "name": "plain"})
    await gateway.becomes((200, ""), made["secret"])
    third = oidc.issuer(key="of-the-third")
    spec: dict[str, Any] = {"name": "third", "issuer": third.url, "client_id": "x", "audiences": [AUDIENCE]}
    await gateway.post("configuration:apply", {"set": "third", "configuration": {"identity": {"issuers": [spec]}}})
    rig.clock.wait(3)
    token = third.token({"sub": "thea"})
    assert (await rig.call(token, "me")).status == 200
    assert await gateway.code(token) == (401, "invalid_api_key")
    assert await rig.api.sql("SELECT FROM identity_entries WHERE subject = 'thea'") == []
    await gateway.grant("thea", role="developer", project="alpha")
    spec["data_plane"] = {"audiences": [AUDIENCE]}
    await gateway.post("configuration:apply", {"set": "third", "configuration": {"identity": {"issuers": [spec]}}})
    rig.clock.wait(3)
    await gateway.becomes_eventually(token)
    del spec["data_plane"]
    await gateway.post("configuration:apply", {"set": "third", "configuration": {"identity": {"issuers": [spec]}}})
    assert await gateway.becomes((401, "invalid_api_key"), token) < 2
