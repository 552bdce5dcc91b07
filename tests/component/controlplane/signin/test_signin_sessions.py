"""What a session may do and how it ends: CSRF, logout here, at the provider and from it; local sign-in; headers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tollway.controlplane.app import ControlPlane
from tollway.testkit.browser import Browser
from tollway.testkit.oidc_provider import CLIENT, Issuer
from tollway.testkit.servers import PostgresServer

pytestmark = pytest.mark.asyncio(loop_scope="module")
ADMIN = "admin-token-canary-4711"
LOGOUT = "http://schemas.openid.net/event/backchannel-logout"


async def rest(rig: Any, browser: Browser, verb: str, path: str, **headers: str) -> int:
    """The status of a REST call with the browser's cookie."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    body = b'{"name":"made-by-cookie"}' if verb == "POST" else None
    sent |= {"Content-Type": "application/json"} if body else {}
    async with browser.session.request(verb, f"{rig.origin}/api/v1/{path}", data=body, headers=sent) as answer:
        return answer.status


async def test_rest_takes_a_session_only_with_its_csrf_token(rig: Any, browser: Browser) -> None:
    rig.corp.account("nina", groups=["readers"])
    await rig.sign_in(browser, "nina")
    token = (await rig.whoami(browser))["session"]["csrf_token"]
    assert await rest(rig, browser, "GET", "projects") == 403
    assert await rest(rig, browser, "GET", "projects", x_csrf_token="x" * 43) == 403
    assert await rest(rig, browser, "GET", "projects", x_csrf_token=token) == 200
    assert await rest(rig, browser, "GET", "projects", x_csrf_token=token, Origin=rig.origin) == 200
    assert await rest(rig, browser, "GET", "projects", x_csrf_token=token, Origin="https://evil.example") == 403
    assert await rest(rig, browser, "GET", "projects", x_csrf_token=token, Origin="null") == 403
    assert await rest(rig, browser, "GET", "projects", x_csrf_token=token, Sec_Fetch_Site="cross-site") == 403
    assert await rest(rig, browser, "GET", "projects", x_csrf_token=token, Sec_Fetch_Site="same-site") == 403
    async with Browser() as another:  # the token of another session
        rig.corp.account("oona")
        await rig.sign_in(another, "oona")
        theirs = (await rig.whoami(another))["session"]["csrf_token"]
    assert await rest(rig, browser, "GET", "projects", x_csrf_token=theirs) == 403


async def test_signing_out_here_needs_the_token_and_ends_the_session_on_the_server(rig: Any, browser: Browser) -> None:
    rig.corp.account("pia")
    await rig.sign_in(browser, "pia")
    cookie = browser.cookie("tollway_session")
    token = (await rig.whoami(browser))["session"]["csrf_token"]
    assert (await browser.post(f"{rig.origin}/auth/logout")).status == 403
    assert await rig.whoami(browser) is not None
    page = await browser.post(f"{rig.origin}/auth/logout", csrf_token=token)
    assert "You are signed out" in page.text
    browser.set_cookie(rig.origin, "tollway_session", cookie)  # a copy of the cookie is of no use
    assert await rig.whoami(browser) is None


async def test_signing_out_at_the_provider_too(rig: Any, browser: Browser) -> None:
    rig.corp.account("quin")
    await rig.sign_in(browser, "quin")
    token = (await rig.whoami(browser))["session"]["csrf_token"]
    page = await browser.post(f"{rig.origin}/auth/logout", csrf_token=token, provider="true")
    url = page.text.split('content="0;url=')[1].split('"')[0].replace("&amp;", "&")
    assert url.startswith(f"{rig.corp.url}/session/end?client_id={CLIENT}")
    asked = await browser.open(url)
    back = await browser.submit(asked, logout="yes")
    assert back.url.startswith(f"{rig.origin}/auth/signed-out"), back.text


async def test_the_provider_ends_sessions_by_the_back_channel(rig: Any, browser: Browser) -> None:
    """The provider's own message, when the person signs out there in another window."""
    rig.corp.account("rosa")
    await rig.sign_in(browser, "rosa")
    asked = await browser.open(f"{rig.corp.url}/session/end")
    await browser.submit(asked, logout="yes")
    assert await rig.whoami(browser) is None
    reasons = await rig.api.sql("SELECT revoked_for FROM signin_sessions WHERE subject = 'rosa'")
    assert reasons == [("back-channel logout",)]


def logout_token(issuer: Issuer, **changed: Any) -> str:
    """A logout token as the provider makes it, but for what is changed."""
    claims = {"aud": CLIENT, "sub": "sven", "jti": f"jti-{time.time_ns()}", "events": {LOGOUT: {}}}
    return issuer.token(claims | changed, header={"typ": "logout+jwt"})


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "another-client"},
        {"events": None},
        {"events": {"other": {}}},
        {"nonce": "n"},
        {"jti": None},
        {"sub": None},
        {"iat": 1_600_000_000, "exp": 1_600_000_600},
        {"iss": "https://evil.example"},
    ],
)
async def test_a_logout_token_that_is_none_ends_nothing(rig: Any, browser: Browser, changed: dict[str, Any]) -> None:
    rig.corp.account("sven")
    await rig.sign_in(browser, "sven")
    page = await browser.post(f"{rig.origin}/auth/backchannel/corp", logout_token=logout_token(rig.corp, **changed))
    assert (page.status, "invalid_request" in page.text) == (400, True)
    assert await rig.whoami(browser) is not None


async def test_a_logout_token_is_good_once(rig: Any, browser: Browser) -> None:
    rig.corp.account("sven")
    token = logout_token(rig.corp)
    url = f"{rig.origin}/auth/backchannel/corp"
    other = await browser.post(url, logout_token=rig.other.token({"aud": CLIENT, "iss": rig.corp.url}))
    assert other.status == 400
    assert (await browser.post(url, logout_token=token)).status == 200
    await rig.sign_in(browser, "sven")
    assert (await browser.post(url, logout_token=token)).status == 400
    assert await rig.whoami(browser) is not None
    assert (await browser.post(url, logout_token=logout_token(rig.corp))).status == 200
    assert await rig.whoami(browser) is None


@pytest.mark.parametrize(("known", "named", "ends"), [("", "s-1", True), ("s-1", "s-1", True), ("s-2", "s-1", False)])
async def test_a_logout_token_ends_the_session_that_it_names(
    rig: Any, browser: Browser, known: str, named: str, ends: bool
) -> None:
    rig.corp.account("sven")
    await rig.sign_in(browser, "sven")
    await rig.api.sql("UPDATE signin_sessions SET provider_sid = %s WHERE subject = 'sven'", known)
    token = logout_token(rig.corp, sid=named)
    assert (await browser.post(f"{rig.origin}/auth/backchannel/corp", logout_token=token)).status == 200
    assert (await rig.whoami(browser) is None) is ends


async def test_signing_out_everywhere_ends_the_sessions_of_other_browsers(rig: Any, browser: Browser) -> None:
    rig.corp.account("wim")
    await rig.sign_in(browser, "wim")
    token = (await rig.whoami(browser))["session"]["csrf_token"]
    async with Browser() as another:
        await rig.sign_in(another, "wim")
        await browser.post(f"{rig.origin}/auth/logout", csrf_token=token, everywhere="true")
        assert await rig.whoami(another) is None


async def test_the_local_administrator_signs_in_with_the_token_and_is_audited(rig: Any, browser: Browser) -> None:
    form = await browser.open(f"{rig.origin}/auth/local?return_to=/auth/whoami")
    wrong = await browser.submit(form, token="not-the-token")
    assert (wrong.status, "not the administrator" in wrong.text) == (401, True)
    page = await browser.submit(wrong, token=ADMIN)
    assert page.path == "/auth/whoami", page.text
    who = await rig.whoami(browser)
    assert (who["name"], who["kind"]) == ("administrator", "bootstrap")
    token = who["session"]["csrf_token"]
    assert await rest(rig, browser, "POST", "projects", x_csrf_token=token) == 200
    events = (await rig.api.call("GET", "audit?action=signin.sign_in")).body["events"]
    tries = [event["actor"] for event in events if event["resource"] == "session:administrator"]
    assert tries[:2] == ["administrator", "anonymous"]
    assert ADMIN not in str(events)


async def test_the_local_form_works_from_our_own_page_alone(rig: Any, browser: Browser) -> None:
    form = await browser.open(f"{rig.origin}/auth/local")
    assert (await browser.submit(form, token=ADMIN, headers={"Origin": "https://evil.example"})).status == 403
    assert (await browser.submit(form, token=ADMIN, csrf_token="x")).status == 403
    browser.session.cookie_jar.clear()
    assert (await browser.submit(form, token=ADMIN)).status == 403
    assert await rig.whoami(browser) is None


async def test_local_sign_in_is_limited_per_address(rig: Any, browser: Browser, clock: Any) -> None:
    clock.later(1000)  # a window of its own
    page = await browser.open(f"{rig.origin}/auth/local")
    for _ in range(10):
        page = await browser.submit(page, token="guess")
        assert page.status == 401
    refused = await browser.submit(page, token=ADMIN)  # the right one too: nobody learns that it is
    assert refused.status == 429
    assert 0 < int(refused.headers["retry-after"]) <= 900
    assert (await rig.api.call("GET", "projects")).status == 200  # the way with the bearer token stays open
    clock.later(901)
    assert (await browser.submit(page, token=ADMIN)).status == 200  # signed in, and on to the portal


async def test_pages_carry_the_headers_that_browsers_need(rig: Any, browser: Browser) -> None:
    for path in ("/auth/login", "/auth/local", "/auth/signed-out", "/auth/start/unknown", "/auth/callback/corp"):
        page = await browser.open(f"{rig.origin}{path}")
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["referrer-policy"] == "same-origin"
        assert page.headers["cache-control"] == "no-store"
        assert "strict-transport-security" not in page.headers  # only where there is HTTPS
        assert "<script" not in page.text
        assert " style=" not in page.text


async def test_the_page_of_sign_in_offers_every_issuer(rig: Any, browser: Browser) -> None:
    page = await browser.open(f"{rig.origin}/auth/login?return_to=/keys")
    assert 'href="/auth/start/corp?return_to=%2Fkeys"' in page.text
    assert 'href="/auth/start/other?return_to=%2Fkeys"' in page.text


async def test_what_has_ended_is_forgotten_in_the_end(rig: Any, browser: Browser, clock: Any) -> None:
    rig.corp.account("tina")
    await rig.sign_in(browser, "tina")
    await rig.plane.signin.sessions.forget()
    assert await rig.whoami(browser) is not None
    clock.later(10 * 86_400)
    await rig.plane.signin.sessions.forget()
    for table in ("signin_sessions", "signin_once", "signin_tries"):
        assert await rig.api.sql(f"SELECT count(*) FROM {table}") == [(0,)]


async def test_over_https_cookies_are_bound_to_the_host_and_https_stays(
    postgres: PostgresServer, migrated: str, make_settings: Callable[..., Any], browser: Browser
) -> None:
    url = postgres.create_database(migrated)
    plane = ControlPlane(make_settings(url, public_url="https://tollway.example.com"))
    await plane.start()
    try:
        base = f"http://127.0.0.1:{plane.ports['control']}"
        page = await browser.open(f"{base}/auth/local")
        assert page.headers["strict-transport-security"] == "max-age=31536000"
        (line,) = page.cookies
        assert line.startswith("__Host-tollway_form=")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(line.split("; "))
        cookie = {"Cookie": line.split(";")[0], "Origin": "https://tollway.example.com"}
        entered = await browser.submit(page, token=ADMIN, headers=cookie, stop="/")
        session = next(line for line in entered.cookies if line.startswith("__Host-tollway_session="))
        assert "Secure" in session.split("; ")
        assert "Domain" not in session
        assert (await browser.submit(page, token=ADMIN, headers=cookie | {"Origin": base})).status == 403
    finally:
        await plane.stop()
