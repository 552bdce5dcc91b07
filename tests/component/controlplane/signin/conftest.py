"""A control plane that trusts issuers of a real OpenID provider, for all tests of a module, with a clock to move.

`gateway` adds a data plane that takes their tokens.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tollway.controlplane.app import ControlPlane
from tollway.testkit.browser import Browser, Page
from tollway.testkit.lone_dataplane import FollowingDataPlane
from tollway.testkit.oidc_provider import AUDIENCE, CLI_CLIENT, CLIENT, SECRET, Issuer, OidcProvider
from tollway.testkit.servers import PostgresServer, ValkeyServer
from tollway.testkit.upstream import Upstream

SESSION = "tollway_session"
TAGS = {"by": "token"}
LOGOUT = "http://schemas.openid.net/event/backchannel-logout"


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

    async def log_out(self, issuer: Issuer | None = None, *, name: str = "corp", **claims: Any) -> int:
        """The status of the answer to an issuer's logout token; claims that are given as None are left out."""
        known: dict[str, Any] = {
            "aud": CLIENT,
            "sub": None,
            "jti": f"jti-{time.time_ns()}",
            "events": {LOGOUT: {}},
            "groups": None,
        }
        token = (issuer or self.corp).token(known | claims, header={"typ": "logout+jwt"})
        async with self.api.session.post(
            f"{self.origin}/auth/backchannel/{name}", data={"logout_token": token}
        ) as answer:
            assert answer.headers["Cache-Control"] == "no-store"
            status: int = answer.status
        return status


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


class Gateway:
    """A data plane behind the control plane of `rig`. `chat` calls a model with a token."""

    def __init__(self, rig: Any, plane: FollowingDataPlane) -> None:
        self.rig = rig
        self.plane = plane

    async def chat(self, token: str, project: str | None = None, *, path: str = "chat/completions") -> Any:
        """Status, error (or answer), headers."""
        headers = {"Authorization": f"Bearer {token}"}
        if path == "messages":
            headers = {"x-api-key": token, "anthropic-version": "2023-06-01"}
        if project is not None:
            headers["x-tollway-project"] = project
        body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
        async with self.plane.client.post(f"{self.plane.base_url}/{path}", json=body, headers=headers) as answer:
            return answer.status, await answer.json(), answer.headers

    async def code(self, token: str, project: str | None = None) -> tuple[int, str]:
        """Status and code of the refusal, empty when there was none."""
        status, _body, headers = await self.chat(token, project)
        return status, headers.get("x-tollway-error-code", "")

    async def becomes(self, expected: tuple[int, str], token: str, project: str | None = None) -> float:
        """Asks until the answer is that; how many seconds it took, at most 2."""
        began = time.monotonic()
        while (found := await self.code(token, project)) != expected:
            assert time.monotonic() - began < 2.0, found
            await asyncio.sleep(0.05)
        return time.monotonic() - began

    async def becomes_eventually(self, token: str) -> None:
        """Waits until a token is taken: first its issuer's keys have to be read."""
        async with asyncio.timeout(8):
            while await self.code(token) != (200, ""):
                await asyncio.sleep(0.05)

    async def known(self, name: str, **role: str) -> str:
        """A token of somebody who called the management API once, with a role; it is taken from now on."""
        token: str = self.rig.corp.token({"sub": name, "groups": []})
        assert (await self.rig.call(token, "me")).status == 200
        if role:
            await self.grant(name, **role)
            async with asyncio.timeout(3):
                while (await self.code(token))[0] == 403:
                    await asyncio.sleep(0.05)
        return token

    async def user(self, name: str) -> str:
        """The id of a user by the subject."""
        rows = await self.rig.api.sql("SELECT id FROM users WHERE subject = %s", name)
        return str(rows[0][0])

    async def grant(self, name: str, **role: str) -> str:
        """Gives a role; the id of the binding."""
        answer = await self.rig.api.call("POST", "roles", {"user": await self.user(name), **role})
        assert answer.status == 200, answer.body
        return str(answer.body["id"])

    async def post(self, path: str, body: Any = None) -> Any:
        """A call of the administrator that succeeds."""
        answer = await self.rig.api.call("POST", path, body or {})
        assert answer.status == 200, answer.body
        return answer.body


def document(rig: Rig, specs: list[dict[str, Any]], url: str) -> dict[str, Any]:
    """Both issuers with their tokens taken, a model, three projects in two units."""
    taken = {"audiences": [AUDIENCE], "tags": TAGS}
    return {
        "identity": {"issuers": [spec | {"data_plane": taken} for spec in specs]},
        "providers": [{"name": "up", "kind": "vllm", "base_url": url}],
        "models": [{"name": "m", "targets": [{"provider": "up", "model": "up-model"}]}],
        "business_units": [{"name": "retail"}, {"name": "labs"}],
        "projects": [
            {"name": "alpha", "business_unit": "retail"},
            {"name": "beta", "business_unit": "retail"},
            {"name": "gamma", "business_unit": "labs"},
        ],
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(
    rig: Any,
    valkey: ValkeyServer,
    issuer_specs: Callable[[Issuer, Issuer], list[dict[str, Any]]],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Gateway]:
    """The control plane of `rig` with a data plane on its push stream."""
    folder: Path = tmp_path_factory.mktemp("data-plane")
    settings = rig.plane.settings
    async with Upstream() as upstream:
        await rig.call(rig.corp.token({"sub": "before"}))
        await rig.api.call(
            "POST",
            "configuration:apply",
            {"configuration": document(rig, issuer_specs(rig.corp, rig.other), upstream.url)},
        )
        rig.clock.wait(3)
        plane = FollowingDataPlane(
            folder,
            f"{valkey.url}/11",
            f"127.0.0.1:{rig.plane.ports['grpc']}",
            fleet_key=settings.fleet_keys[0],
            join_token=settings.join_token,
        )
        async with plane:
            made = Gateway(rig, plane)
            async with asyncio.timeout(8):
                while not _has_keys(plane):
                    await asyncio.sleep(0.05)
            await made.known("alice", role="developer", project="alpha")
            await made.known("mallory", role="developer", project="alpha")
            yield made


def _has_keys(plane: FollowingDataPlane) -> bool:
    routes = plane.process.holder.routes
    issuers = routes.catalog.issuers.values() if routes is not None else ()
    return len(issuers) == 2 and all(issuer.keys for issuer in issuers)
