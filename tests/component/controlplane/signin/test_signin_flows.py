"""Signing in and out with a real OpenID provider: code, PKCE, state, nonce, mixed issuers, refresh, logout."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tollway.testkit.browser import Browser

pytestmark = pytest.mark.asyncio(loop_scope="module")
COOKIE = "tollway_session"


async def test_a_person_signs_in_and_is_who_the_provider_says(rig: Any, browser: Browser) -> None:
    rig.corp.account("ana", groups=["retail", "dev"])
    page = await rig.sign_in(browser, "ana", return_to="/auth/whoami")
    assert page.status == 200, page.text
    asked = parse_qs(urlsplit(next(url for url in page.way if url.startswith(f"{rig.corp.url}/auth?"))).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["response_type"] == ["code"]
    assert {"state", "nonce", "code_challenge"} <= asked.keys()
    who = await rig.whoami(browser)
    assert (who["name"], who["kind"], who["groups"]) == ("ana@example.com", "user", ["dev", "retail"])
    assert who["session"]["issuer"] == "corp"


async def test_names_and_groups_of_the_userinfo_endpoint_count_too(rig: Any, browser: Browser) -> None:
    rig.other.account("olaf", groups=["far"])
    await rig.sign_in(browser, "olaf", name="other")
    assert (await rig.whoami(browser))["groups"] == ["far"]


async def test_the_session_is_a_new_one_at_each_sign_in_and_known_by_its_digest_alone(
    rig: Any, browser: Browser
) -> None:
    planted = "chosen-by-somebody-else"
    browser.set_cookie(rig.origin, COOKIE, planted)
    rig.corp.account("ben")
    await rig.sign_in(browser, "ben")
    first = browser.cookie(COOKIE)
    assert first not in ("", planted)
    await rig.sign_in(browser, "ben")
    second = browser.cookie(COOKIE)
    assert second != first
    rows = await rig.api.sql(
        "SELECT encode(digest, 'hex'), revoked_for, sealed::text, claims::text FROM signin_sessions"
    )
    stored = str(rows)
    assert first not in stored
    assert second not in stored
    async with Browser() as thief:
        thief.set_cookie(rig.origin, COOKIE, first)
        assert await rig.whoami(thief) is None
    assert (await rig.whoami(browser))["name"] == "ben@example.com"


async def test_cookies_are_of_this_host_and_hidden_from_scripts(rig: Any, browser: Browser) -> None:
    rig.corp.account("cam")
    rig.corp.sign_in_as("cam")
    page = await browser.open(f"{rig.origin}/auth/start/corp", stop="/auth/callback/")
    page = await browser.open(page.url, stop="/")  # the redirect itself
    line = next(line for line in page.cookies if line.startswith(f"{COOKIE}="))
    assert "HttpOnly" in line
    assert "SameSite=Lax" in line
    assert "Domain" not in line
    assert "Path=/" in line


async def test_a_code_is_good_once(rig: Any, browser: Browser) -> None:
    rig.corp.account("dora")
    rig.corp.sign_in_as("dora")
    page = await browser.open(f"{rig.origin}/auth/start/corp?return_to=/auth/whoami", stop="/auth/callback/")
    kept = browser.cookie("tollway_signin")
    assert (await browser.open(page.url)).status == 200
    async with Browser() as thief:  # with all that the browser had, cookie included
        thief.set_cookie(rig.origin, "tollway_signin", kept)
        again = await thief.open(page.url)
        assert again.status == 401
        assert "refused" in again.text
        assert await rig.whoami(thief) is None


@pytest.mark.parametrize("change", ["state", "none", "iss", "no iss", "issuer path", "twice", "error"])
async def test_an_answer_that_is_not_of_this_sign_in_is_refused(rig: Any, browser: Browser, change: str) -> None:
    rig.corp.account("eve")
    rig.corp.sign_in_as("eve")
    page = await browser.open(f"{rig.origin}/auth/start/corp", stop="/auth/callback/")
    query = {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}
    path = "/auth/callback/corp"
    match change:
        case "state":
            query["state"] = "x" * 43
        case "none":
            browser.session.cookie_jar.clear()
        case "iss":
            query["iss"] = rig.other.url
        case "no iss":
            del query["iss"]
        case "issuer path":  # mixed issuers: the answer of one is given to the other's path
            path = "/auth/callback/other"
        case "error":
            query |= {"error": "<b>access_denied"}
    text = urlencode(query) + (f"&state={query['state']}" if change == "twice" else "")
    answer = await browser.open(f"{rig.origin}{path}?{text}")
    assert answer.status == 401, answer.text
    assert "Sign-in did not work" in answer.text
    assert "<b>" not in answer.text
    assert await rig.whoami(browser) is None


async def test_the_code_of_another_browser_is_of_no_use(rig: Any, browser: Browser) -> None:
    """Login CSRF: somebody gives their own code to a browser that has begun a sign-in too."""
    rig.corp.account("mallory")
    rig.corp.sign_in_as("mallory")
    async with Browser() as attacker:
        theirs = await attacker.open(f"{rig.origin}/auth/start/corp", stop="/auth/callback/")
    await browser.open(f"{rig.origin}/auth/start/corp", stop="/auth/callback/")
    assert (await browser.open(theirs.url)).status == 401
    assert await rig.whoami(browser) is None


async def test_a_sign_in_that_takes_too_long_is_over(rig: Any, browser: Browser, clock: Any) -> None:
    rig.corp.account("fred")
    rig.corp.sign_in_as("fred")
    page = await browser.open(f"{rig.origin}/auth/start/corp", stop="/auth/callback/")
    clock.later(601)
    assert "too long" in (await browser.open(page.url)).text


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/a b"]
)
async def test_nobody_is_sent_to_another_site_after_a_sign_in(rig: Any, browser: Browser, target: str) -> None:
    rig.corp.account("gil")
    rig.corp.sign_in_as("gil")
    page = await browser.open(
        f"{rig.origin}/auth/start/corp?{urlencode({'return_to': target})}", stop="/auth/callback/"
    )
    async with browser.session.get(page.url, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/")


async def test_a_group_that_is_taken_away_is_gone_at_the_next_refresh(rig: Any, browser: Browser, clock: Any) -> None:
    rig.corp.account("hana", groups=["admins", "dev"])
    await rig.sign_in(browser, "hana")
    rig.corp.account("hana", groups=["dev"])
    assert (await rig.whoami(browser))["groups"] == ["admins", "dev"]
    clock.later(901)
    assert (await rig.whoami(browser))["groups"] == ["dev"]
    rig.corp.account("hana", groups=["dev", "new"])
    clock.later(901)  # the provider gave another refresh token: it is the one that is used
    assert (await rig.whoami(browser))["groups"] == ["dev", "new"]


async def test_who_is_gone_at_the_provider_is_signed_out_at_the_next_refresh(
    rig: Any, browser: Browser, clock: Any
) -> None:
    rig.corp.account("ivan")
    await rig.sign_in(browser, "ivan")
    rig.corp.close_account("ivan")
    clock.later(901)
    assert await rig.whoami(browser) is None
    clock.reset()
    assert await rig.whoami(browser) is None


async def test_a_provider_that_is_down_signs_nobody_out_at_once_and_everybody_in_the_end(
    rig: Any, browser: Browser, clock: Any
) -> None:
    rig.corp.account("jan", groups=["dev"])
    await rig.sign_in(browser, "jan")
    rig.corp.down()
    try:
        clock.later(901)
        assert (await rig.whoami(browser))["groups"] == ["dev"]
        clock.later(901)
        assert await rig.whoami(browser) is None
    finally:
        rig.corp.down(False)
    clock.later(30)
    assert (await rig.whoami(browser))["groups"] == ["dev"]


async def test_a_session_ends_by_itself(rig: Any, browser: Browser, clock: Any) -> None:
    rig.corp.account("kim")
    await rig.sign_in(browser, "kim")
    clock.later(8 * 3600 + 61)
    assert await rig.whoami(browser) is None


async def test_a_user_who_is_disabled_is_out_at_once(rig: Any, browser: Browser) -> None:
    rig.corp.account("lea")
    await rig.sign_in(browser, "lea")
    await rig.api.sql("UPDATE users SET disabled_at = now() WHERE email = 'lea@example.com'")
    assert await rig.whoami(browser) is None
    page = await rig.sign_in(browser, "lea")
    assert page.status == 403
    assert "disabled" in page.text


async def test_signing_in_and_out_is_in_the_audit_log(rig: Any, browser: Browser) -> None:
    rig.corp.account("max")
    await rig.sign_in(browser, "max")
    token = (await rig.whoami(browser))["session"]["csrf_token"]
    await browser.post(f"{rig.origin}/auth/logout", csrf_token=token)
    events = (await rig.api.call("GET", "audit?resource=session:max@example.com")).body["events"]
    assert [event["action"] for event in events] == ["signin.sign_out", "signin.sign_in"]
    assert events[1]["source"] == "127.0.0.1"
    assert events[1]["actor"] == "max@example.com"


async def test_a_role_that_came_with_a_group_is_gone_with_it(rig: Any, browser: Browser, clock: Any) -> None:
    rig.corp.account("nele", groups=["readers"])
    await rig.sign_in(browser, "nele")
    token = (await rig.whoami(browser))["session"]["csrf_token"]

    async def reads() -> int:
        url, headers = f"{rig.origin}/api/v1/projects", {"x-csrf-token": token}
        async with browser.session.get(url, headers=headers) as answer:
            return answer.status

    assert await reads() == 200
    rig.corp.account("nele")
    clock.later(901)
    assert await reads() == 403
    assert await reads() == 403
    events = (await rig.api.call("GET", "audit?resource=user:nele@example.com")).body["events"]
    assert [(event["action"], event["source"]) for event in events] == [("users.sign_in", "127.0.0.1")] * 3
    lost, had, bound = ([json.loads(event[part] or "null") for part in ("before", "after")] for event in events)
    assert lost == [{"groups": ["readers"]}, {"groups": []}]
    assert had == list(reversed(lost))
    assert bound == [None, {"issuer": rig.corp.url, "subject": "nele"}]


async def test_the_same_document_changes_nothing_and_another_secret_is_told_without_being_shown(
    rig: Any, issuer_specs: Any
) -> None:
    specs = issuer_specs(rig.corp, rig.other)
    document = {"dry_run": True, "configuration": {"identity": {"issuers": specs}}}
    assert (await rig.api.call("POST", "configuration:apply", document)).body["changes"] == []
    specs[0]["client_secret"] = "another-secret"
    (change,) = (await rig.api.call("POST", "configuration:apply", document)).body["changes"]
    assert (change["kind"], change["name"], change["details"]) == ("issuer", "corp", ["value: (secret) -> (secret)"])
    specs[0]["issuer"] = "https://elsewhere.example.com"
    refused = await rig.api.call("POST", "configuration:apply", document | {"dry_run": False, "force": True})
    assert (refused.status, "cannot change" in refused.error["message"]) == (409, True)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"issuer": "http://id.example.com"}, "issuer"),
        ({"issuer": "https://169.254.169.254"}, "issuer"),
        ({"issuer": "https://id.example.com/?x=y"}, "issuer"),
        ({"algorithms": ["HS256"]}, "algorithms[0]"),
        ({"refresh_seconds": 1}, "refresh_seconds"),
        ({"audiences": ["x"]}, "audiences"),
        ({"cli_client_id": "x"}, "cli_client_id"),
    ],
)
async def test_an_issuer_that_cannot_be_trusted_is_refused_by_field(
    rig: Any, wrong: dict[str, Any], field: str
) -> None:
    spec = {"name": "wrong", "issuer": "https://id.example.com", "client_id": "x"} | wrong
    document = {"set": "wrong", "configuration": {"identity": {"issuers": [spec]}}}
    answer = await rig.api.call("POST", "configuration:apply", document)
    assert (answer.status, answer.error["field"]) == (400, f"configuration.identity.issuers[0].{field}")


async def test_the_secret_of_the_client_is_nowhere_to_be_read(rig: Any) -> None:
    from tollway.testkit.oidc_provider import SECRET

    events = (await rig.api.call("GET", "audit?page_size=1000")).body
    assert "issuer:corp" in str(events)
    assert SECRET not in str(events)
    assert SECRET not in str(await rig.api.sql("SELECT row_to_json(i)::text FROM signin_issuers i"))
