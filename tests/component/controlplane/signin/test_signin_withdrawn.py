"""What a provider took back stays taken: by a refused renewal, and by a newer word about somebody's groups."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tollway.testkit.browser import Browser

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def stored(rig: Any, subject: str) -> list[str]:
    """The groups that are kept of somebody: those that count while the person is not at hand."""
    ((groups,),) = await rig.api.sql("SELECT groups FROM users WHERE subject = %s", subject)
    return list(groups)


async def groups_of(rig: Any, token: str) -> list[str]:
    """The groups that a bearer token has."""
    return list((await rig.call(token, "me")).body["groups"])


async def reads(rig: Any, browser: Browser) -> int:
    """The status of a call that an auditor may make, with the browser's session."""
    who = await rig.whoami(browser)
    if who is None:
        return 401
    headers = {"x-csrf-token": who["session"]["csrf_token"]}
    async with browser.session.get(f"{rig.origin}/api/v1/projects", headers=headers) as answer:
        return answer.status


async def test_a_refused_renewal_ends_every_session_and_only_a_new_sign_in_brings_groups_back(
    rig: Any, browser: Browser, clock: Any
) -> None:
    rig.corp.account("rita", groups=["readers"])
    await rig.sign_in(browser, "rita")
    clock.later(300)
    async with Browser() as second:
        await rig.sign_in(second, "rita")
        long = {"sub": "rita", "exp": int(time.time()) + 3600}
        earlier = rig.corp.token(long)
        assert await groups_of(rig, earlier) == ["readers"]
        rig.corp.close_account("rita")
        clock.later(602)  # the first session is due, the second one is not
        assert await reads(rig, browser) == 401
        assert await stored(rig, "rita") == []
        assert await reads(rig, second) == 401
    assert await groups_of(rig, earlier) == []
    assert await groups_of(rig, rig.corp.token(long | {"n": 2})) == []  # made before, not seen before
    assert await stored(rig, "rita") == []
    rig.corp.account("rita", groups=["readers"])
    await rig.sign_in(browser, "rita")
    assert await reads(rig, browser) == 200
    assert await stored(rig, "rita") == ["readers"]


async def test_a_group_that_is_gone_at_one_refresh_is_brought_back_by_nothing_older(
    rig: Any, browser: Browser, clock: Any
) -> None:
    rig.corp.account("remy", groups=["readers", "staff"])
    await rig.sign_in(browser, "remy")
    now = int(time.time())
    token = rig.corp.token({"sub": "remy", "groups": ["readers", "staff"], "exp": now + 3600})
    assert await groups_of(rig, token) == ["readers", "staff"]
    clock.later(300)
    async with Browser() as second:
        await rig.sign_in(second, "remy")
        rig.corp.account("remy", groups=["staff"])
        clock.later(602)
        assert await reads(rig, browser) == 403
        assert (await rig.whoami(second))["groups"] == ["staff"]
        assert await reads(rig, second) == 403
    assert await groups_of(rig, token) == ["staff"]
    assert await stored(rig, "remy") == ["staff"]
    clock.later(10)
    later = rig.corp.token({"sub": "remy", "groups": ["readers"], "iat": now + 905, "exp": now + 1500})
    assert await groups_of(rig, later) == ["readers"]  # the provider's newer word


async def test_what_a_provider_said_while_it_was_overtaken_does_not_count(
    rig: Any, browser: Browser, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session ends, by a logout, while the provider is asked to renew it."""
    rig.corp.account("rolf", groups=["readers"])
    await rig.sign_in(browser, "rolf")
    flow = rig.plane.signin.flow
    known = flow.refresh
    late = {"iat": int(time.time()) + 900, "exp": int(time.time()) + 1000}

    async def overtaken(*arguments: Any) -> Any:
        granted = await known(*arguments)
        assert await rig.log_out(sub="rolf", **late) == 200
        await rig.api.sql("UPDATE users SET groups = '{}' WHERE subject = 'rolf'")
        return granted

    monkeypatch.setattr(flow, "refresh", overtaken)
    clock.later(901)
    assert await rig.whoami(browser) is None
    assert await stored(rig, "rolf") == []


@pytest.mark.parametrize(
    ("path", "answer", "ends"),
    [
        ("/me", (401, {"error": "invalid_token"}), True),  # at the userinfo endpoint
        ("/me", (403, None), True),
        ("/me", (500, None), False),
        ("/token", (400, {"error": "interaction_required"}), True),
        ("/token", (429, {"error": "slow_down"}), False),
        ("/token", (503, None), False),
    ],
)
async def test_a_refusal_is_told_from_a_provider_that_is_in_trouble(
    rig: Any, browser: Browser, clock: Any, monkeypatch: pytest.MonkeyPatch, path: str, answer: Any, ends: bool
) -> None:
    rig.other.account("runa", groups=["readers"])
    await rig.sign_in(browser, "runa", name="other")
    fetcher = rig.plane.signin._fetcher
    known = fetcher._call

    async def changed(verb: str, url: str, *more: Any) -> Any:
        return answer if url == f"{rig.other.url}{path}" else await known(verb, url, *more)

    monkeypatch.setattr(fetcher, "_call", changed)
    clock.later(901)
    assert await reads(rig, browser) == (401 if ends else 200)
    assert await stored(rig, "runa") == ([] if ends else ["readers"])


async def test_an_error_about_our_client_ends_the_session_and_takes_no_groups(
    rig: Any, browser: Browser, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.corp.account("ralf", groups=["readers"])
    await rig.sign_in(browser, "ralf")
    fetcher = rig.plane.signin._fetcher

    async def refused(*_: Any) -> Any:
        return 401, {"error": "invalid_client"}

    monkeypatch.setattr(fetcher, "post", refused)
    clock.later(901)
    assert await rig.whoami(browser) is None
    assert await stored(rig, "ralf") == ["readers"]


async def test_tokens_of_before_a_user_was_disabled_stay_void_here_too(rig: Any, browser: Browser, clock: Any) -> None:
    rig.corp.account("rune")
    await rig.sign_in(browser, "rune")
    token = rig.corp.token({"sub": "rune"})
    assert (await rig.call(token, "me")).status == 200
    clock.later(5)
    for what in ("disable", "enable"):
        assert (await rig.api.call("POST", f"users/rune@example.com:{what}", {})).status == 200
    assert (await rig.call(token, "me")).status == 401
    assert await rig.whoami(browser) is None
    clock.later(5)
    now = int(time.time())
    assert (await rig.call(rig.corp.token({"sub": "rune", "iat": now + 9}), "me")).status == 200
    await rig.sign_in(browser, "rune")
    assert (await rig.whoami(browser))["name"] == "rune@example.com"
