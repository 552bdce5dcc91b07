"""From the first sign-in to a bigger budget, in real browsers: nobody writes to anybody."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tollway.testkit.stack import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
SECONDS_AFTER_THE_CLICK = 2.0


def call(stack: Any, key: str) -> tuple[int, Any]:
    """Status and answer of a small call of the gateway."""
    status, _, body = stack.chat(key=key, max_tokens=50)
    return status, body


def ask_for_access(alice: Any) -> None:
    """A role, which the policy gives at once."""
    page = alice.page
    page.get_by_role("link", name="Request access").wait_for()
    alice.picture("1-welcome")
    page.get_by_role("link", name="Request access").click()
    page.get_by_label("Role").select_option("developer")
    page.get_by_label("Where").fill("project:demo")
    page.get_by_label("Why it is needed").fill("I build the assistant of the shop.")
    alice.picture("2-request")
    page.get_by_role("button", name="Send request").click()
    page.locator(".row .state", has_text="approved").wait_for()
    alice.picture("3-approved-at-once")


def make_key(alice: Any) -> str:
    """A key's secret, shown once."""
    page = alice.page
    page.get_by_role("navigation").get_by_role("link", name="Keys").click()
    page.get_by_role("link", name="New key").click()
    page.get_by_role("heading", name="New key").wait_for()
    page.get_by_label("Project").fill("demo")
    page.get_by_label("Name").fill("laptop")
    page.get_by_role("button", name="Create key").click()
    key: str = page.locator("#secret").inner_text()
    alice.picture("4-key-shown-once")
    assert key.startswith("sk-tw-")
    return key


def play(alice: Any, stack: Any) -> None:
    """A try in the playground, streamed through the data plane with a key that nobody has to paste or sees."""
    page = alice.page
    page.get_by_role("navigation").get_by_role("link", name="Playground").click()
    page.get_by_role("heading", name="Playground").wait_for()
    assert page.get_by_label("Project that pays").input_value() == "demo"
    page.get_by_label("Model").fill("sim/chat")
    page.get_by_label("Prompt").fill("Hello")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("The answer is complete").wait_for()
    assert "tokens out" in page.locator("#answer-state").inner_text()
    assert page.locator("#answer").inner_text().strip()
    assert "sk-tw-" not in page.content()
    alice.picture("5-playground")
    keys = stack.sql(
        "SELECT id::text, expires_at < now() + interval '15 minutes' FROM keys"
        " WHERE name ~ '^playground-' AND user_name = 'alice@example.com'"
    )
    ((key, short),) = keys
    assert short
    booked = f"SELECT project FROM ledger_requests WHERE key_id::text = '{key}'"
    until(lambda: stack.sql(booked), 10, "the call in the ledger")


def use_up(stack: Any, key: str) -> int:
    """Calls until the budget is used up; the status of the refusal."""
    for _ in range(200):
        status, body = call(stack, key)
        if status != 200:
            assert isinstance(body, dict)
            assert body["error"]["code"] == "budget_exceeded", body
            return status
    raise AssertionError("the budget was never used up")


def ask_for_credit(alice: Any) -> None:
    """More budget, which a manager has to decide."""
    page = alice.page
    page.get_by_role("navigation").get_by_role("link", name="Requests").click()
    page.get_by_role("link", name="New request").click()
    page.get_by_role("link", name="Credit").click()
    page.get_by_label("Whose budget").fill("project:demo")
    page.get_by_label("US dollars to add").fill("5")
    page.get_by_label("Why it is needed").fill("The launch is tomorrow.")
    page.get_by_role("button", name="Send request").click()
    page.locator(".row .state", has_text="pending").wait_for()
    assert page.get_by_role("button", name="Approve").count() == 0
    alice.picture("6-credit-pending")


def approve(bob: Any, stack: Any, key: str) -> float:
    """The manager's click; how many seconds after it a call succeeds."""
    bob.sign_in("bob")
    bob.page.get_by_role("link", name="1 request waits for your decision").click()
    bob.page.get_by_role("row").get_by_role("link", name="Credit").wait_for()
    bob.picture("1-inbox")
    bob.page.get_by_role("row").get_by_role("link", name="Credit").click()
    bob.page.get_by_label("Reason").fill("Good luck.")
    bob.picture("2-request")
    clicked = time.monotonic()
    bob.page.get_by_role("button", name="Approve").click(no_wait_after=True)
    until(lambda: call(stack, key)[0] == 200, 5, "a call after the approval")
    waited = time.monotonic() - clicked
    bob.page.locator(".row .state", has_text="approved").wait_for()
    bob.picture("3-approved")
    return waited


def test_a_developer_gets_access_a_key_and_more_credit(office: Any, desk: Any) -> None:
    stack, alice = office.stack, desk("alice")
    page = alice.page
    alice.sign_in("alice")
    ask_for_access(alice)
    key = make_key(alice)
    called = until(lambda: call(stack, key) if call(stack, key)[0] != 401 else None, 5, "the new key's arrival")
    assert called[0] == 200, called
    play(alice, stack)
    refused = use_up(stack, key)
    ask_for_credit(alice)
    assert call(stack, key)[0] == refused
    waited = approve(desk("bob"), stack, key)
    print(f"\nthe call succeeded {waited:.2f} s after the click")
    assert waited < SECONDS_AFTER_THE_CLICK
    page.reload()
    page.locator(".row .state", has_text="approved").wait_for()
    assert "bob@example.com" in page.inner_text("main")
    alice.picture("7-credit-given")
    alice.go("/")
    alice.picture("8-overview")
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.wait_for_url(lambda url: not url.startswith(office.portal) or "signed-out" in url)
    alice.picture("9-signed-out")
    alice.go("/keys")
    assert "/auth/login" in page.url
