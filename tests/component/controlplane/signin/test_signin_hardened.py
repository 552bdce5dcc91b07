"""What an unauthenticated caller, a former holder, a withdrawn grant and a hanging provider cannot do to sign-in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from tollway.controlplane.app import ControlPlane
from tollway.controlplane.signin import throttle
from tollway.controlplane.signin.fetch import Fetcher
from tollway.controlplane.signin.providers import KEYS_SECONDS, METADATA_SECONDS, Provider
from tollway.controlplane.signin.throttle import Limit, TooMany
from tollway.testkit.browser import Browser
from tollway.testkit.oidc_provider import signing_key

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_answers_to_no_sign_in_are_not_counted(
    rig: Any, browser: Browser, monkeypatch: pytest.MonkeyPatch, clock: Any
) -> None:
    clock.later(1000)  # a window of its own
    monkeypatch.setattr(throttle, "CALLBACK", Limit("callback", of_address=2, of_all=3, window=timedelta(minutes=5)))
    rig.corp.account("abel")
    await browser.open(f"{rig.origin}/auth/start/corp", stop=rig.corp.url)
    for query in ("", "?state=guess&code=guess"):
        for _ in range(3):
            assert (await browser.open(f"{rig.origin}/auth/callback/corp{query}")).status == 401
    await rig.sign_in(browser, "abel")
    assert (await rig.whoami(browser))["name"] == "abel@example.com"


async def test_one_address_uses_up_its_own_tries_alone(rig: Any) -> None:
    limit = Limit("test", of_address=3, of_all=6, window=timedelta(minutes=5))
    now = datetime.now(UTC)

    async def tries(address: str, times: int) -> int:
        passed = 0
        for _ in range(times):
            try:
                async with rig.plane.pool.connection() as db:
                    await throttle.count(db, limit, address, now)
                passed += 1
            except TooMany:
                continue
        return passed

    assert await tries("203.0.113.1", 20) == 3
    assert await tries("203.0.113.2", 20) == 3
    assert await tries("203.0.113.3", 20) == 0
    rows = await rig.api.sql("SELECT count(*) FROM signin_tries WHERE scope LIKE %s", "test|%")
    assert rows == [(3,)], "nothing is written any more for further addresses"


async def test_the_caller_behind_a_trusted_proxy_is_in_the_audit_log(
    database: str, make_settings: Any, make_api: Any
) -> None:
    from tollway.controlplane.settings import networks

    plane = ControlPlane(make_settings(database, trusted_proxies=networks("127.0.0.0/8")))
    await plane.start()
    api = make_api(plane, database)
    try:
        sent = {"X-Forwarded-For": "6.6.6.6, 203.0.113.7"}
        assert (await api.call("POST", "projects", {"name": "p"}, headers=sent)).status == 200
        events = (await api.call("GET", "audit?resource=project:p")).body["events"]
        assert [event["source"] for event in events] == ["203.0.113.7"]
    finally:
        await api.close()
        await plane.stop()


async def test_groups_go_when_the_provider_vouches_no_more(rig: Any, browser: Browser, clock: Any) -> None:
    rig.corp.account("zita", groups=["readers"])
    await rig.sign_in(browser, "zita")
    stored = "SELECT groups FROM users WHERE subject = 'zita'"
    assert await rig.api.sql(stored) == [(["readers"],)]
    rig.corp.close_account("zita")
    clock.later(901)
    assert await rig.whoami(browser) is None
    assert await rig.api.sql(stored) == [([],)]
    events = (await rig.api.call("GET", "audit?resource=user:zita@example.com")).body["events"]
    assert (events[0]["before"], events[0]["after"]) == ('{"groups": ["readers"]}', '{"groups": []}')


async def test_who_was_unbound_is_signed_out_and_not_bound_again(rig: Any, browser: Browser) -> None:
    rig.corp.account("ugo")
    await rig.sign_in(browser, "ugo")
    answer = await rig.api.call("POST", "users/ugo@example.com:unbind", {})
    assert answer.status == 200, answer.body
    assert await rig.whoami(browser) is None
    page = await rig.sign_in(browser, "ugo")
    assert (page.status, "unbound" in page.text) == (403, True)
    token = rig.corp.token({"sub": "ugo", "email": "ugo@example.com", "email_verified": True})
    assert (await rig.call(token, "me")).status == 403
    assert await rig.api.sql("SELECT subject FROM users WHERE email = 'ugo@example.com'") == [(None,)]


async def test_a_token_from_before_the_unbinding_binds_nobody(rig: Any) -> None:
    claims = {"email": "vera@example.com", "email_verified": True}
    assert (await rig.call(rig.corp.token(claims | {"sub": "vera-1"}), "me")).status == 200
    early = rig.corp.token(claims | {"sub": "vera-2", "iat": int(time.time()) - 60})
    assert (await rig.api.call("POST", "users/vera@example.com:unbind", {})).status == 200
    assert (await rig.call(early, "me")).status == 403
    late = rig.corp.token(claims | {"sub": "vera-2", "iat": int(time.time()) + 2})
    assert (await rig.call(late, "me")).status == 200


async def test_a_stored_session_binds_nobody(rig: Any, browser: Browser) -> None:
    rig.corp.account("xeno")
    await rig.sign_in(browser, "xeno")
    await rig.api.sql("UPDATE users SET issuer = NULL, subject = NULL WHERE email = 'xeno@example.com'")
    assert await rig.whoami(browser) is None
    assert await rig.api.sql("SELECT subject FROM users WHERE email = 'xeno@example.com'") == [(None,)]


async def test_signing_out_is_audited_under_the_name_that_everything_else_is(rig: Any, browser: Browser) -> None:
    rig.corp.account("yuri", email_verified=False)
    await rig.sign_in(browser, "yuri")
    who = await rig.whoami(browser)
    await browser.post(f"{rig.origin}/auth/logout", csrf_token=who["session"]["csrf_token"])
    events = (await rig.api.call("GET", f"audit?resource=session:{who['name']}")).body["events"]
    assert [(event["action"], event["actor"]) for event in events] == [
        ("signin.sign_out", who["name"]),
        ("signin.sign_in", who["name"]),
    ]


@pytest_asyncio.fixture(loop_scope="module")
async def hanging() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A provider that answers nothing while the event is set."""
    hangs, over = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        if hangs.is_set():
            await over.wait()
            return web.Response(status=500)
        base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        if request.path == "/keys":
            known = signing_key("unit").jwk()
            public = {name: known[name] for name in ("kty", "n", "e", "kid", "use", "alg")}
            return web.json_response({"keys": [public]})
        return web.json_response({"issuer": base, "jwks_uri": f"{base}/keys"})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", hangs
    over.set()
    await runner.cleanup()


async def test_a_hanging_provider_holds_nobody_up(rig: Any, hanging: tuple[str, asyncio.Event]) -> None:
    url, hangs = hanging
    fetcher = Fetcher(seconds=0.5)
    await fetcher.open()
    provider = Provider(url, fetcher, rig.clock)
    try:
        assert await provider.key("unit", "RS256")
        hangs.set()
        rig.clock.wait(METADATA_SECONDS + KEYS_SECONDS)
        await asyncio.gather(*(provider.key("unit", "RS256") for _ in range(20)))  # one of them asks, and fails
        began = time.monotonic()
        for _ in range(5):
            rig.clock.wait(11)
            assert await provider.key("unit", "RS256")
            assert (await provider.metadata())["issuer"] == url
            await asyncio.sleep(0)  # what is renewed in the background begins
        assert time.monotonic() - began < 1, "each that waited would take half a second"
        await asyncio.sleep(0.6)
        hangs.clear()
        rig.clock.wait(11)
        reads = provider.reads
        assert await provider.key("unit", "RS256")
        async with asyncio.timeout(2):
            while provider.reads == reads:
                await asyncio.sleep(0.01)
    finally:
        await provider.close()
        await fetcher.close()


@pytest.mark.parametrize(
    ("sent", "content_type"),
    [
        (b"token=\xff", "application/x-www-form-urlencoded"),
        (b"token=x", "application/x-www-form-urlencoded; charset=no-such-charset"),
        (b"--b\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b"),
        (b"token=" + b"x" * 100_000, "application/x-www-form-urlencoded"),
    ],
)
async def test_bytes_that_are_no_form_are_refused(rig: Any, browser: Browser, sent: bytes, content_type: str) -> None:
    rig.corp.account("odile")
    await rig.sign_in(browser, "odile")
    await browser.open(f"{rig.origin}/auth/local")
    for path in ("/auth/local", "/auth/logout", "/auth/backchannel/corp"):
        async with browser.session.post(
            f"{rig.origin}{path}", data=sent, headers={"Content-Type": content_type}, allow_redirects=False
        ) as answer:
            assert answer.status == 400, (path, await answer.text())
