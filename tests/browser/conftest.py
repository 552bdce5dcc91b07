"""A whole gateway with a real identity provider, and a real Chromium in front of its portal."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tollway.testkit.oidc_provider import CLIENT, SECRET, Issuer, OidcProvider
from tollway.testkit.stack import SIMULATED, Stack

if TYPE_CHECKING:  # it is there after tests/browser/setup.sh alone
    from playwright.sync_api import Browser, BrowserContext, Page

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / ".cache" / "browser"
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
AXE_SOURCE = f"() => {{ {AXE.read_text()} }}" if AXE.exists() else ""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
PHONE = {"width": 375, "height": 740}
DESKTOP = {"width": 1280, "height": 860}
GRAVE = ("serious", "critical")


_taken: list[Path] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Where the pictures of this run are."""
    if _taken:
        terminalreporter.write_line(f"pictures: {len(set(_taken))} in {PICTURES}")


@dataclass
class Office:
    """The gateway and its company."""

    stack: Stack
    issuer: Issuer

    @property
    def portal(self) -> str:
        """Where the portal is."""
        return f"http://127.0.0.1:{self.stack.control.ports['control']}"


class Desk:
    """One person's browser: a page, and what went wrong in it."""

    def __init__(self, context: BrowserContext, office: Office, name: str, *, scripts: bool = True) -> None:
        self.context = context
        self.scripts = scripts
        self.office = office
        self.name = name
        self.page: Page = context.new_page()
        self.page.set_default_timeout(10_000)
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", self._said)

    def _said(self, message: Any) -> None:
        # A page that answers 4xx on purpose is reported by the browser as a failed resource.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.problems.append(message.text)

    def go(self, path: str) -> None:
        """Opens a page and waits until its parts are there."""
        self.page.goto(self.office.portal + path)
        if self.scripts:
            self.page.wait_for_function("() => !document.querySelector('.waiting')")

    def picture(self, name: str) -> None:
        """Keeps what is seen."""
        path = PICTURES / f"{self.name}-{name}.png"
        self.page.screenshot(path=path, full_page=True)
        _taken.append(path)

    def sign_in(self, account: str) -> None:
        """At the company's identity provider."""
        self.go("/")
        self.page.get_by_role("link", name="Sign in with corp").click()
        self.page.get_by_label("Account").fill(account)
        self.page.get_by_role("button", name="Continue").click()
        self.page.wait_for_url(self.office.portal + "/")

    def faults(self) -> list[str]:
        """What axe finds to be serious or critical on the page that is shown.

        It is put there by the browser's own interface: the page's policy on scripts stands, as for everybody.
        """
        if not self.page.evaluate("() => !!window.axe"):
            self.page.evaluate(AXE_SOURCE)
        found = self.page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
        return [
            f"{one['id']} ({one['impact']}): {node['html'][:160]} {node.get('failureSummary', '')[:300]}"
            for one in found
            if one["impact"] in GRAVE
            for node in one["nodes"]
        ]


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory, oidc: OidcProvider) -> Iterator[Office]:
    """The gateway with a model that costs, whose portal knows where its data plane is."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for old in PICTURES.glob("*.png"):
        old.unlink()
    folder = tmp_path_factory.mktemp("office")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stack = Stack(folder)
    stack.control_settings = {"TOLLWAY_GATEWAY_URL": f"http://127.0.0.1:{port}"}
    try:
        stack.start(dataplanes=0)
        issuer = oidc.issuer()
        made = Office(stack, issuer)
        issuer.clients(made.portal, "corp")
        for name in ("alice", "bob", "carol"):
            issuer.account(name)
        stack.apply(
            {
                "identity": {
                    "issuers": [{"name": "corp", "issuer": issuer.url, "client_id": CLIENT, "client_secret": SECRET}]
                },
                **stack.demo(),
                "models": [
                    {
                        "name": SIMULATED,
                        "targets": [{"provider": "sim", "model": "sim-fast"}],
                        "price": {"input": "1", "output": "2"},
                    }
                ],
                "projects": [{"name": "demo", "budget": {"limit": "0.0065", "period": "month"}}],
            }
        )
        stack.api("POST", "roles", {"role": "platform_admin", "user": "carol@example.com"})
        stack.api("POST", "roles", {"role": "unit_manager", "user": "bob@example.com", "business_unit": "default"})
        easy = [{"name": "developers", "when": 'role == "developer"', "effect": "approve"}]
        stack.api("PUT", "policies/platform_access", {"rules": easy})
        stack.api("PUT", "policies/credit", {"steps": [{"approvers": {"role": "unit_manager"}}]})
        stack.add_dataplane(TOLLWAY_PORT_PROXY=str(port))
        yield made
    finally:
        stack.stop()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert path, "no Chromium: run tests/browser/setup.sh"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def expect(chromium: Browser) -> Any:
    """Playwright's `expect`, which waits for what it is told."""
    from playwright.sync_api import expect as waits

    assert chromium.is_connected()
    return waits


@pytest.fixture
def desk(chromium: Browser, office: Office) -> Iterator[Any]:
    """`desk(name, **options)`: a browser of somebody else, with the options of a Playwright context."""
    opened: list[Desk] = []

    def open_one(name: str, **options: Any) -> Desk:
        context = chromium.new_context(**{"viewport": DESKTOP, **options})
        opened.append(Desk(context, office, name, scripts=options.get("java_script_enabled", True)))
        return opened[-1]

    yield open_one
    for one in opened:
        one.picture("last")
        one.context.close()
    assert {one.name: one.problems for one in opened if one.problems} == {}, json.dumps([o.page.url for o in opened])
