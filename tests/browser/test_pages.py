"""Every page in light and dark, on a desktop and on a phone: axe finds nothing grave, nothing runs over the edge."""

from __future__ import annotations

from typing import Any

import pytest

from tollway.testkit.stack import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
PHONE = {"width": 360, "height": 740}
TABLET = {"width": 768, "height": 1024}
PAGES = (
    "/", "/account", "/keys", "/keys/new", "/models", "/models/sim/chat", "/playground", "/approvals?view=all",
    "/approvals/new", "/approvals/new?kind=platform_access", "/approvals/new?kind=project",
    "/approvals/new?kind=credit", "/approvals/new?kind=limit", "/approvals/new?kind=model_access", "/delegations",
    "/projects", "/projects/demo", "/units",
    "/units/default", "/budgets", "/budgets/edit?subject=project:demo", "/request-log", "/providers", "/users",
    "/roles", "/service-accounts", "/policies", "/policies/platform_access", "/policies/credit?as=text", "/audit",
    "/keys/none", "/nothing/here", "/usage/key",
)  # fmt: skip
SIGN_IN = ("/auth/local", "/auth/signed-out", "/auth/login")


def name_of(path: str) -> str:
    """A file's name for a page."""
    return path.strip("/").replace("/", "-").replace("?", "-").replace("=", "-").replace(":", "-") or "overview"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("light", {}),
        ("tablet-dark", {"viewport": TABLET, "color_scheme": "dark"}),
        ("phone-dark", {"viewport": PHONE, "has_touch": True, "color_scheme": "dark"}),
    ],
)
def test_every_page_can_be_used_by_everybody(office: Any, desk: Any, name: str, options: dict[str, Any]) -> None:
    stack = office.stack
    for number in range(6):
        stack.chat(messages=[{"role": "user", "content": f"Question {number}"}])
    walk = Walk(desk(name, **options))
    for path in SIGN_IN:
        walk.goes(path)
    walk.one.sign_in("carol")
    for path in PAGES:
        walk.goes(path)
    walk.uses_forms(stack, name)
    assert walk.found == {}


class Walk:
    """One browser on its way through the pages, and what is wrong with each."""

    def __init__(self, one: Any) -> None:
        self.one = one
        self.page = one.page
        self.found: dict[str, list[str]] = {}

    def goes(self, path: str) -> None:
        """Opens a page and looks at it."""
        self.one.go(path)
        self.looks(path)

    def looks(self, path: str) -> None:
        """Looks at what is shown."""
        faults = self.one.faults()
        if self.page.evaluate("() => document.documentElement.scrollWidth > document.documentElement.clientWidth + 1"):
            faults.append("wider than the window")
        if faults:
            self.found[path] = faults
        self.one.picture(name_of(path))

    def does(self, button: str, then: str, path: str) -> None:
        """Presses a button and looks at what comes, once `then` (a selector) is there."""
        self.page.get_by_role("button", name=button, exact=True).first.click()
        self.page.locator(then).first.wait_for()
        self.looks(path)

    def uses_forms(self, stack: Any, name: str) -> None:
        """What only forms show: errors, a secret, a decision, logged words, a trial of a policy."""
        page = self.page
        self.one.go("/keys/new?project=demo")
        page.get_by_label("Name").fill("no name!")
        self.does("Create key", "#name-error", "key-in-error")
        page.get_by_label("Name").fill(f"walk-{name}")
        self.does("Create key", "#secret", "new-secret")
        page.get_by_role("link", name=f"walk-{name}").click()
        page.get_by_role("heading", name="Rotate").wait_for()
        page.wait_for_function("() => !document.querySelector('.waiting')")
        self.looks("key")
        terms = {"project": f"walk-{name}", "models": ["sim/*"]}
        asked = stack.api("POST", "approvals", {"kind": "project", "terms": terms, "reason": "The fair is soon."})
        self.goes(f"/approvals/{asked['id']}")
        page.get_by_label("Your comment").fill("How long?")
        page.get_by_role("button", name="Comment").click()
        page.get_by_text("How long?").wait_for()
        self.does("Approve", ".row .state.good", "approval-given")
        self.one.go("/policies/project")
        self.does("Try it on past requests", "text=What it would have said", "policy-tried")
        until(lambda: stack.api("GET", "request-log")["requests"], 10, "a row of the request log")
        self.one.go("/request-log")
        page.get_by_role("button", name="Read the request").first.click()
        page.get_by_role("heading", name="Logged request").wait_for()
        self.looks("logged-words")
        self.one.go("/users")
        page.locator(".asked summary").first.click()
        self.looks("user-disable")


HOSTILE = "<img src=x onerror=alert(1)> \u202ecod.exe \u05e9\u05dc\u05d5\u05dd " + "w" * 130


def test_odd_names_and_large_amounts_fit_a_phone(office: Any, desk: Any) -> None:
    """What people type is shown as they typed it, and breaks neither the page nor the line."""
    stack, long = office.stack, "p" + "x" * 61 + "y"
    stack.api("POST", "projects", {"name": long, "description": HOSTILE, "models": ["sim/*"]})
    stack.api("PATCH", f"budgets/project:{long}", {"limit": "8999999.50", "period": "month", "mode": "soft"})
    stack.api("POST", "users", {"email": "odd@example.com", "display_name": HOSTILE})
    one = desk("hostile", viewport=PHONE)
    alerts: list[str] = []

    def said(dialog: Any) -> None:
        alerts.append(dialog.message)
        dialog.dismiss()

    one.page.on("dialog", said)
    one.sign_in("carol")
    for path in ("/projects", f"/projects/{long}", "/users", "/budgets", "/units/default", "/audit"):
        one.go(path)
        assert not one.page.evaluate("() => document.documentElement.scrollWidth > innerWidth + 1"), path
        assert one.page.locator("main img").count() == 0, path
        one.picture(name_of(path)[:30])
    assert alerts == []
    one.go("/")
    cut = "(d) => { d[0].textContent = '$12,345,678.90'; return d[0].getClientRects().length > 0 && d[0].offsetHeight }"
    assert one.page.locator(".card dd").evaluate_all(cut) < 40  # one line


def test_a_policy_is_written_with_the_keyboard_alone(office: Any, desk: Any, expect: Any) -> None:
    one = desk("keyboard")
    one.sign_in("carol")
    one.go("/policies/model_access")
    page, press = one.page, one.page.keyboard.press
    page.get_by_role("button", name="Add a rule").focus()
    press("Enter")
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    page.keyboard.type("cheap")
    press("Tab")
    page.keyboard.type("approve at once")
    press("Tab")
    page.keyboard.type("models.all(m, m.startsWith('sim/')")
    expect(page.locator(".checked .error")).to_be_visible()
    page.keyboard.type(")")
    expect(page.locator(".checked")).to_contain_text("Can be used.")
    for _ in range(60):
        press("Tab")
        seen = page.evaluate(
            "() => { const e = document.activeElement, s = getComputedStyle(e), b = e.getBoundingClientRect();"
            " return [e.textContent.trim(), s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2,"
            " b.top < innerHeight && b.bottom > 0 && b.right > 0] }"
        )
        assert seen[1:] == [True, True], seen
        if seen[0] == "Save a new version":
            break
    press("Enter")
    expect(page.get_by_text("Saved.")).to_be_visible()
    one.picture("policy")
    (rule,) = office.stack.api("GET", "policies/model_access")["rules"]
    assert (rule["name"], rule["effect"], rule["when"]) == ("cheap", "approve", "models.all(m, m.startsWith('sim/'))")


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
    one.page.get_by_label("Project that pays").select_option("demo")
    one.page.get_by_label("Model").fill("sim/chat")
    one.page.get_by_label("Prompt").fill("Hello")
    one.page.get_by_role("button", name="Send").click()
    expect(one.page.get_by_role("heading", name="Answer")).to_be_visible()
    one.picture("playground")


def test_whose_session_has_ended_is_sent_to_sign_in(desk: Any) -> None:
    """By what htmx asks for and by the playground's stream; from there one comes back to the playground."""
    one = desk("ended")
    one.sign_in("carol")
    one.context.clear_cookies()
    one.page.get_by_role("navigation").get_by_role("link", name="Keys").click()
    one.page.wait_for_url("**/auth/login?return_to=%2Fkeys")
    one.sign_in("carol")
    one.go("/playground")
    one.page.get_by_label("Model").fill("sim/chat")
    one.page.get_by_label("Prompt").fill("Hello")
    one.context.clear_cookies()
    one.page.get_by_role("button", name="Send").click()
    one.page.wait_for_url("**/auth/login?return_to=%2Fplayground")
    one.page.get_by_role("link", name="Sign in with corp").click()
    one.page.get_by_label("Account").fill("carol")
    one.page.get_by_role("button", name="Continue").click()
    one.page.get_by_role("heading", name="Playground").wait_for()


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
