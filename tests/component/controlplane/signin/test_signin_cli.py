"""`tollway login`, `whoami` and `logout` as people run them: device flow and loopback against a real provider."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tollway.cli.exits import Failure
from tollway.cli.main import app
from tollway.cli.signin import commands, oauth
from tollway.testkit.browser import Browser

pytestmark = pytest.mark.asyncio(loop_scope="module")
SECONDS = 30.0


class Terminal:
    """Somebody's terminal: commands with a home of their own, each in a thread; `notes` is what they say meanwhile."""

    def __init__(self, home: Path, url: str) -> None:
        self._environment = {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "TOLLWAY_CONTROL_URL": url}
        self.tokens = home / "tollway" / "tokens.json"
        self.notes: queue.Queue[str] = queue.Queue()

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output, and the error or what was said."""
        result = await asyncio.to_thread(CliRunner().invoke, app, list(arguments), env=self._environment)
        if isinstance(result.exception, Failure):
            return result.exception.code, result.stdout, str(result.exception)
        return result.exit_code, result.stdout, result.output

    async def note(self, text: str) -> str:
        """The first thing that is said with some text in it."""
        while text not in (line := await asyncio.to_thread(self.notes.get, True, SECONDS)):
            pass
        return line

    def change(self, **fields: Any) -> None:
        """Writes other values into the one sign-in that is kept."""
        known = json.loads(self.tokens.read_text())
        next(iter(known.values())).update(fields)
        self.tokens.write_text(json.dumps(known))


def shown(out: str) -> Any:
    """The JSON at the end of an output, which the server's own lines share here."""
    return json.loads(out[out.rindex("\n{\n" if "\n{\n" in out else "{\n") :])


@pytest.fixture
def terminal(rig: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal of somebody who never signed in."""
    made = Terminal(tmp_path, rig.origin)
    monkeypatch.setattr(commands, "note", made.notes.put)
    monkeypatch.setattr(oauth, "POLL_SECONDS", 0.2)
    monkeypatch.setattr(oauth._Answer, "timeout", 0.3)
    for name in [name for name in os.environ if name.startswith("TOLLWAY_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return made


async def test_signing_in_with_a_code_on_another_device(rig: Any, terminal: Terminal, browser: Browser) -> None:
    rig.corp.account("uma", groups=["readers"])
    code, _, err = await terminal.run("whoami")
    assert (code, "tollway login" in err) == (3, True)
    login = asyncio.ensure_future(terminal.run("login", "--issuer", "corp", "--device"))
    address = (await terminal.note("open http")).removeprefix("open ")
    rig.corp.sign_in_as("uma")
    page = await browser.open(address)
    while "<form" in page.text:
        page = await browser.submit(page)
    code, _, err = await login
    assert code == 0, err
    await terminal.note("as uma@example.com")
    assert terminal.tokens.stat().st_mode & 0o777 == 0o600
    code, out, err = await terminal.run("whoami", "-o", "json")
    who = shown(out)
    assert (code, who["name"], who["kind"], who["groups"]) == (0, "uma@example.com", "user", ["readers"]), err

    rig.corp.account("uma", groups=["others"])
    terminal.change(expires_at=time.time() + 5)  # soon over: it is renewed, and says what is true now
    code, out, err = await terminal.run("whoami", "-o", "json")
    assert (code, shown(out)["groups"]) == (0, ["others"]), err

    kept = next(iter(json.loads(terminal.tokens.read_text()).values()))
    code, _, err = await terminal.run("logout")
    assert code == 0, err
    assert json.loads(terminal.tokens.read_text()) == {}
    again = {"grant_type": "refresh_token", "client_id": kept["client_id"], "refresh_token": kept["refresh_token"]}
    async with browser.session.post(kept["token_endpoint"], data=again) as answer:
        assert (await answer.json())["error"] == "invalid_grant"  # given back, not only forgotten


async def test_signing_in_with_the_browser_of_this_machine(rig: Any, terminal: Terminal, browser: Browser) -> None:
    rig.other.account("vera")
    rig.other.sign_in_as("vera")
    login = asyncio.ensure_future(terminal.run("login", "--issuer", "other", "--no-browser"))
    address = await terminal.note(f"{rig.other.url}/auth?")
    assert "code_challenge_method=S256" in address
    port = address.split("127.0.0.1%3A")[1].split("%2F")[0]
    forged = await browser.open(f"http://127.0.0.1:{port}/callback?state=guessed&code=theirs")
    assert forged.status == 404  # and ignored
    _, silent = await asyncio.open_connection("127.0.0.1", int(port))  # browsers do so, in case they need it
    page = await browser.open(address)
    assert "Signed in" in page.text
    code, _, err = await login
    assert code == 0, err
    silent.close()
    await silent.wait_closed()
    terminal.change(expires_at=1)
    rig.other.down()
    try:
        code, _, err = await terminal.run("whoami")
        assert (code, "answered 503; try again" in err) == (1, True)
    finally:
        rig.other.down(False)
    assert (await terminal.run("whoami"))[0] == 0  # a provider in trouble takes nobody's sign-in away
    terminal.change(expires_at=1, refresh_token="withdrawn")
    code, _, err = await terminal.run("whoami")
    assert (code, "run `tollway login`" in err) == (3, True)
    assert json.loads(terminal.tokens.read_text()) == {}


async def test_a_file_of_tokens_that_others_can_read_is_not_used(rig: Any, terminal: Terminal) -> None:
    del rig
    terminal.tokens.parent.mkdir()
    terminal.tokens.write_text("{}")
    terminal.tokens.chmod(0o644)
    code, _, err = await terminal.run("whoami")
    assert (code, "chmod 600" in err) == (1, True)


async def test_a_sign_in_that_the_provider_refuses_says_so_in_the_browser_too(
    rig: Any, terminal: Terminal, browser: Browser
) -> None:
    rig.corp.sign_in_as("nobody-of-that-name")
    login = asyncio.ensure_future(terminal.run("login", "--issuer", "corp", "--no-browser"))
    page = await browser.open(await terminal.note(f"{rig.corp.url}/auth?"))
    assert "The sign-in was refused" in page.text
    code, _, err = await login
    assert (code, "access_denied" in err) == (3, True)
