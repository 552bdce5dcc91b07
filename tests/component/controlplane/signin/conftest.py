"""A control plane that trusts issuers of a real OpenID provider, for all tests of a module, with a clock to move."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tollway.controlplane.app import ControlPlane
from tollway.testkit.browser import Browser, Page
from tollway.testkit.oidc_provider import AUDIENCE, CLI_CLIENT, CLIENT, SECRET, Issuer, OidcProvider
from tollway.testkit.servers import PostgresServer

SESSION = "tollway_session"


class MovedClock:
    """The machine's clock, moved: `later` on the wall (forgotten by `reset`), `waited` for what is counted."""

    def __init__(self) -> None:
        self._later = self._waited = 0.0

    def now_ms(self) -> int:
        """Unix time in milliseconds."""
        return time.time_ns() // 1_000_000 + round(self._later * 1000)

    def monotonic(self) -> float:
        """Seconds that only go forward."""
        return time.monotonic() + self._waited

    def later(self, seconds: float) -> None:
        """The wall clock goes forward."""
        self._later += seconds

    def wait(self, seconds: float) -> None:
        """What counts seconds sees them pass."""
        self._waited += seconds

    def reset(self) -> None:
        """The wall clock is right again."""
        self._later = 0.0


@dataclass
class Rig:
    """The control plane, its clients (`api`), and two issuers: `corp` is trusted, so is `other`, which says less."""

    plane: ControlPlane
    api: Any
    clock: MovedClock
    corp: Issuer
    other: Issuer

    @property
    def origin(self) -> str:
        """Where the pages are."""
        base: str = self.api.base
        return base

    async def sign_in(
        self, browser: Browser, account: str, *, name: str = "corp", return_to: str = "/auth/whoami"
    ) -> Page:
        """Signs in at an issuer; the page that follows."""
        issuer = self.corp if name == "corp" else self.other
        issuer.sign_in_as(account)
        return await browser.open(f"{self.origin}/auth/start/{name}?return_to={return_to}")

    async def whoami(self, browser: Browser) -> Any:
        """Who the browser's session is; None when it is nobody's."""
        async with browser.session.get(f"{self.origin}/auth/whoami") as answer:
            assert answer.status in (200, 401), await answer.text()
            return await answer.json() if answer.status == 200 else None

    async def call(self, token: str, path: str = "projects") -> Any:
        """A REST call with a bearer token."""
        return await self.api.call("GET", path, token=token)


def issuers(corp: Issuer, other: Issuer) -> list[dict[str, Any]]:
    """Both issuers as a document has them."""
    known = {
        "client_id": CLIENT,
        "client_secret": SECRET,
        "cli_client_id": CLI_CLIENT,
        "audiences": [AUDIENCE],
        "scopes": ["openid", "profile", "email", "offline_access"],
    }
    return [{"name": "corp", "issuer": corp.url, **known}, {"name": "other", "issuer": other.url, **known}]


@pytest.fixture(scope="session")
def issuer_specs() -> Callable[[Issuer, Issuer], list[dict[str, Any]]]:
    """`issuers(corp, other)`."""
    return issuers


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(
    postgres: PostgresServer,
    migrated: str,
    oidc: OidcProvider,
    make_settings: Callable[..., Any],
    make_api: Callable[..., Any],
) -> AsyncIterator[Rig]:
    """A running control plane with both issuers."""
    url = postgres.create_database(migrated)
    plane = ControlPlane(make_settings(url))
    plane.clock = clock = MovedClock()  # type: ignore[assignment]
    await plane.start()
    made = Rig(plane, make_api(plane, url), clock, oidc.issuer(), oidc.issuer(conform=True, key="of-the-other"))
    for name, issuer in (("corp", made.corp), ("other", made.other)):
        issuer.clients(made.origin, name, machines={"groups": ["machines"]})
    document = {"configuration": {"identity": {"issuers": issuers(made.corp, made.other)}}}
    answer = await made.api.call("POST", "configuration:apply", document)
    assert answer.status == 200, answer.body
    for group in ("readers", "machines"):
        granted = await made.api.call("POST", "roles", {"role": "auditor", "group": group})
        assert granted.status == 200, granted.body
    clock.wait(3)
    yield made
    await made.api.close()
    await plane.stop()


@pytest.fixture
def clock(rig: Rig) -> Iterator[MovedClock]:
    """The clock of the control plane, right again when the test is over."""
    yield rig.clock
    rig.clock.reset()


@pytest_asyncio.fixture(loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A browser without cookies."""
    async with Browser() as opened:
        yield opened
