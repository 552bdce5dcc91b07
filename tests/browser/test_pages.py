"""Every page in light and dark, on a desktop and on a phone: axe finds nothing grave, nothing runs over the edge."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
PHONE = {"width": 375, "height": 740}
PAGES = (
    "/", "/account", "/keys", "/keys/new", "/models", "/models/sim/chat", "/playground", "/approvals?view=all",
    "/approvals/new", "/approvals/new?kind=platform_access", "/approvals/new?kind=project",
    "/approvals/new?kind=credit", "/approvals/new?kind=limit", "/delegations", "/projects", "/projects/demo", "/units",
    "/units/default", "/budgets", "/budgets/edit?subject=project:demo", "/request-log", "/providers", "/users",
    "/roles", "/service-accounts", "/policies", "/policies/credit", "/audit", "/keys/none", "/usage/key",
)  # fmt: skip


def name_of(path: str) -> str:
    """A file's name for a page."""
    return path.strip("/").replace("/", "-").replace("?", "-").replace("=", "-").replace(":", "-") or "overview"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("light", {}),
        ("phone-dark", {"viewport": PHONE, "has_touch": True, "color_scheme": "dark"}),
    ],
)
def test_every_page_can_be_used_by_everybody(office: Any, desk: Any, name: str, options: dict[str, Any]) -> None:
    for number in range(6):
        office.stack.chat(messages=[{"role": "user", "content": f"Question {number}"}])
    one = desk(name, bypass_csp=True, **options)
    one.sign_in("carol")
    found: dict[str, list[str]] = {}
    for path in PAGES:
        one.go(path)
        faults = one.faults()
        if one.page.evaluate("() => document.documentElement.scrollWidth > document.documentElement.clientWidth + 1"):
            faults.append("wider than the window")
        if faults:
            found[path] = faults
        one.picture(name_of(path))
    assert found == {}


def test_the_menu_of_a_phone_opens_and_closes_by_keyboard(desk: Any, expect: Any) -> None:
    one = desk("phone-menu", viewport=PHONE)
    one.sign_in("carol")
    menu, button = one.page.locator("#menu"), one.page.get_by_role("button", name="Menu")
    expect(menu).to_be_hidden()
    button.focus()
    one.page.keyboard.press("Enter")
    expect(menu).to_be_visible()
    expect(button).to_have_attribute("aria-expanded", "true")
    one.picture("open")
    menu.get_by_role("link", name="Models").click()
    one.page.wait_for_url("**/models")
    expect(one.page.locator("#main")).to_be_focused()
    expect(menu).to_be_hidden()


def test_everything_works_without_scripts(office: Any, desk: Any, expect: Any) -> None:
    one = desk("plain", java_script_enabled=False)
    one.sign_in("carol")
    one.page.get_by_role("link", name="Cost and requests by day").click()
    expect(one.page.get_by_role("heading", name="Cost and requests by day")).to_be_visible()
    one.go("/keys/new?project=demo")
    one.page.get_by_label("Name").fill("without scripts")
    one.page.get_by_role("button", name="Create key").click()
    expect(one.page.locator("#name-error")).to_be_visible()
    one.page.get_by_label("Name").fill("without-scripts")
    one.page.get_by_role("button", name="Create key").click()
    key = one.page.locator("#secret").inner_text()
    assert key.startswith("sk-tw-")
    one.go("/playground")
    one.page.get_by_label("Key").fill(office.stack.key)
    one.page.get_by_label("Model").fill("sim/chat")
    one.page.get_by_label("Prompt").fill("Hello")
    one.page.get_by_role("button", name="Send").click()
    expect(one.page.get_by_role("heading", name="Answer")).to_be_visible()
    one.picture("playground")


def test_the_back_button_shows_no_secret_again(desk: Any) -> None:
    one = desk("back")
    one.sign_in("carol")
    one.go("/keys/new?project=demo")
    one.page.get_by_label("Name").fill("shown-once")
    one.page.get_by_role("button", name="Create key").click()
    secret = one.page.locator("#secret").inner_text()
    one.page.get_by_role("link", name="shown-once").click()
    one.page.get_by_role("heading", name="shown-once").wait_for()
    one.page.go_back()
    one.page.wait_for_url("**/keys")
    one.page.wait_for_timeout(1_000)
    assert secret not in one.page.content()
    kept = one.page.evaluate("() => JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert secret not in kept
