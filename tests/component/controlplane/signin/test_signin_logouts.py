"""Back-channel logout ends bearer tokens too: at once on every control plane, within 2 s on every data plane."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tollway.controlplane.access import identities
from tollway.controlplane.app import ControlPlane
from tollway.controlplane.signin import logouts
from tollway.testkit.browser import Browser
from tollway.testkit.lone_dataplane import FollowingDataPlane, LoneDataPlane
from tollway.testkit.servers import ValkeyServer

pytestmark = pytest.mark.asyncio(loop_scope="module")
VOID = (401, "key_revoked")


async def refused(rig: Any, token: str) -> bool:
    """Whether the management API refuses a token, for the reason that its holder signed out."""
    answer = await rig.call(token, "me")
    assert answer.status in (200, 401), answer.body
    return answer.status == 401 and "its session was signed out" in answer.error["message"]


async def test_a_logout_of_a_session_ends_its_tokens_and_those_that_name_none(gateway: Any, rig: Any) -> None:
    bare = await gateway.known("lena", role="developer", project="alpha")
    mine, other = (rig.corp.token({"sub": "lena", "sid": sid, "groups": []}) for sid in ("s-1", "s-2"))
    for token in (bare, mine, other):
        await gateway.becomes((200, ""), token)
        assert not await refused(rig, token)
    assert await rig.log_out(sid="s-1", sub="lena") == 200
    assert [await refused(rig, token) for token in (bare, mine, other)] == [True, True, False]
    assert await gateway.becomes(VOID, mine) < 2
    assert await gateway.code(bare) == VOID
    _status, body, _headers = await gateway.chat(mine)
    assert "signed out" in body["error"]["message"]
    await gateway.becomes((200, ""), other)
    now = int(time.time())
    later = {"sub": "lena", "groups": [], "iat": now + 2, "exp": now + 600}
    await gateway.becomes((200, ""), rig.corp.token(later))
    late = rig.corp.token(later | {"sid": "s-1"})  # a session that is over makes no tokens any more
    assert (await gateway.code(late), await refused(rig, late)) == (VOID, True)


async def test_a_logout_of_a_person_ends_the_tokens_from_before_alone(gateway: Any, rig: Any) -> None:
    token = await gateway.known("lars", role="developer", project="alpha")
    named = rig.corp.token({"sub": "lars", "sid": "s-3", "groups": []})
    await gateway.becomes((200, ""), named)
    assert await rig.log_out(sub="lars") == 200
    assert [await refused(rig, one) for one in (token, named)] == [True, True]
    assert await gateway.becomes(VOID, token) < 2
    assert await gateway.code(named) == VOID
    now = int(time.time())
    fresh = rig.corp.token({"sub": "lars", "groups": [], "iat": now + 2, "exp": now + 600})
    await gateway.becomes((200, ""), fresh)
    assert not await refused(rig, fresh)
    same = rig.other.token({"sub": "lars"})  # the same name at another issuer is another person
    assert not await refused(rig, same)


async def test_a_session_that_nobody_knows_here_ends_too(gateway: Any, rig: Any) -> None:
    """A provider may name the session alone; nobody signed in to the portal with it."""
    await gateway.known("lina", role="developer", project="alpha")
    token, other = (rig.corp.token({"sub": "lina", "sid": sid, "groups": []}) for sid in ("s-4", "s-5"))
    for one in (token, other):
        await gateway.becomes((200, ""), one)
    assert await rig.log_out(sid="s-4") == 200
    assert await refused(rig, token)
    assert await gateway.becomes(VOID, token) < 2
    await gateway.becomes((200, ""), other)
    assert not await refused(rig, other)
    assert await gateway.code(rig.other.token({"sub": "lina", "sid": "s-4"})) != VOID


async def test_signing_out_at_the_provider_ends_everything(gateway: Any, rig: Any, browser: Browser) -> None:
    """The provider's own message: it names its session and the person."""
    rig.corp.account("lotte")
    await rig.sign_in(browser, "lotte")
    token = await gateway.known("lotte", role="developer", project="alpha")
    asked = await browser.open(f"{rig.corp.url}/session/end")
    await browser.submit(asked, logout="yes")
    assert await rig.whoami(browser) is None
    assert await refused(rig, token)
    assert await gateway.becomes(VOID, token) < 2


@pytest.mark.parametrize("everywhere", [True, False])
async def test_signing_out_everywhere_in_the_portal_ends_tokens_and_of_one_session_none(
    gateway: Any, rig: Any, browser: Browser, everywhere: bool
) -> None:
    name = f"lux-{everywhere}"
    rig.corp.account(name)
    await rig.sign_in(browser, name)
    csrf = (await rig.whoami(browser))["session"]["csrf_token"]
    token = await gateway.known(name, role="developer", project="alpha")
    other = await gateway.known("lyn", role="developer", project="alpha")
    await browser.post(f"{rig.origin}/auth/logout", csrf_token=csrf, everywhere="true" if everywhere else "false")
    assert await rig.whoami(browser) is None
    assert await refused(rig, token) is everywhere
    if everywhere:
        assert await gateway.becomes(VOID, token) < 2
    for held in [other] if everywhere else [token, other]:
        assert await gateway.code(held) == (200, "")
        assert not await refused(rig, held)


async def test_a_session_alone_is_enough_where_its_person_signed_in_here(
    gateway: Any, rig: Any, browser: Browser
) -> None:
    rig.corp.account("ludo")
    await rig.sign_in(browser, "ludo")
    token = await gateway.known("ludo", role="developer", project="alpha")
    ((sid,),) = await rig.api.sql("SELECT provider_sid FROM signin_sessions WHERE subject = 'ludo'")
    version = "SELECT count(*) FROM change_log WHERE key_id IS NULL"
    before = await rig.api.sql(version)
    assert await rig.log_out(sid=sid) == 200
    assert await rig.whoami(browser) is None
    assert await refused(rig, token)
    assert await gateway.becomes(VOID, token) < 2
    assert await rig.api.sql(version) == before  # the person's entry alone was pushed, not the catalog


async def test_logouts_outlive_restarts_of_both_planes(
    gateway: Any, rig: Any, valkey: ValkeyServer, make_settings: Any, make_api: Any, tmp_path: Path
) -> None:
    token = await gateway.known("leo", role="developer", project="alpha")
    other = await gateway.known("liv", role="developer", project="alpha")
    assert await rig.log_out(sub="leo") == 200
    await gateway.becomes(VOID, token)
    settings = rig.plane.settings
    another = ControlPlane(make_settings(settings.database_url))
    await another.start()
    api = make_api(another, settings.database_url)
    try:
        assert (await api.call("GET", "me", token=token)).status == 401
        assert (await api.call("GET", "me", token=other)).status == 200
    finally:
        await api.close()
        await another.stop()
    alone = FollowingDataPlane(
        tmp_path, f"{valkey.url}/11", "127.0.0.1:1", fleet_key=settings.fleet_keys[0], join_token=settings.join_token
    )
    await LoneDataPlane.__aenter__(alone)  # no control plane answers it
    try:
        on_its_own = type(gateway)(rig, alone)
        async with asyncio.timeout(20):  # what the other one writes there may not be complete yet
            while (found := await on_its_own.code(token))[0] == 503:
                await asyncio.sleep(0.05)
        assert found == VOID
        await on_its_own.becomes((200, ""), other)
    finally:
        await LoneDataPlane.__aexit__(alone)


async def test_a_role_by_group_ends_with_a_refused_renewal_on_the_data_planes_too(
    gateway: Any, rig: Any, browser: Browser, clock: Any
) -> None:
    await gateway.post("roles", {"role": "developer", "group": "renewed", "project": "gamma"})
    rig.corp.account("lew", groups=["renewed"])
    await rig.sign_in(browser, "lew")
    token = rig.corp.token({"sub": "lew", "groups": ["renewed"]})
    await gateway.becomes((200, ""), token)
    rig.corp.close_account("lew")
    clock.later(901)
    assert await rig.whoami(browser) is None
    assert await gateway.becomes((403, "project_not_allowed"), token) < 2
    clock.reset()
    assert (await rig.call(token, "me")).body["groups"] == []
    assert (await rig.call(rig.corp.token({"sub": "lew", "groups": ["renewed"], "n": 2}), "me")).body["groups"] == []
    assert await gateway.code(token) == (403, "project_not_allowed")


@pytest.mark.parametrize(
    "claims",
    [{}, {"sid": ["s"]}, {"sid": 7}, {"sid": "s\0"}, {"sid": "s" * 257}, {"sub": ""}, {"sub": ["ana"]}, {"sub": "a\0"}],
)
async def test_a_logout_token_that_names_nothing_ends_nothing(rig: Any, claims: dict[str, Any]) -> None:
    assert await rig.log_out(**claims) == 400
    now = int(time.time())
    assert await rig.log_out(sub="ana", iat=now, exp=now + 90_000) == 400
    assert await rig.log_out(name="no-such", sub="ana") == 404


async def test_what_is_pushed_and_kept_of_logouts_is_bounded(
    gateway: Any, rig: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await gateway.known("lux", role="developer", project="alpha")
    began = datetime.now(UTC) - timedelta(minutes=30)
    for number in range(identities.MAX_ENDED + 3):
        await rig.api.sql(
            "INSERT INTO signin_logouts VALUES (%s, 'lux', %s, %s, %s)",
            rig.corp.url, f"many-{number}", began + timedelta(minutes=number / 2), began + timedelta(days=1),
        )  # fmt: skip
    ((entry,),) = await rig.api.sql("SELECT id FROM identity_entries WHERE subject = 'lux'")
    async with rig.plane.pool.connection() as db:
        (found,) = await identities.entries(db, [entry], b"p" * 32)
    assert len(found.ended) == identities.MAX_ENDED
    # Of what is left out, all earlier tokens pay.
    assert found.not_before_ms == int((began + timedelta(minutes=1)).timestamp() * 1000) + 1
    assert not await refused(rig, rig.corp.token({"sub": "lux", "sid": "many"}))
    assert await refused(rig, rig.corp.token({"sub": "lux", "sid": "many-0"}))
    monkeypatch.setattr(logouts, "MAX_UNCLAIMED", 1)
    for sid in ("nobody-1", "nobody-2"):
        assert await rig.log_out(rig.other, name="other", sid=sid) == 200
    async with rig.plane.pool.connection() as db:
        unclaimed = (await logouts.unclaimed(db))[rig.other.url]
    assert len(unclaimed.ended) == 1
    assert unclaimed.sessions_not_before_ms is not None
    assert not await refused(rig, rig.corp.token({"sub": "lux", "iat": int(time.time()) + 2}))
    assert await refused(rig, token) is False
    clock.later(logouts.KEPT.total_seconds() + 5)
    await rig.plane.signin.sessions.forget()
    assert await rig.api.sql("SELECT count(*) FROM signin_logouts") == [(0,)]
