"""People in front of the portal: sessions made without an identity provider, and a database as a big company has it.

Owns how that is made; what pages must show is said by the tests.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from tollway.controlplane.access.service import principal_of
from tollway.controlplane.app import ControlPlane
from tollway.controlplane.db.migrate import migrate
from tollway.controlplane.signin.flow import Granted
from tollway.controlplane.signin.model import Claims, Kept
from tollway.testkit.browser import Browser
from tollway.testkit.servers import PostgresServer

ISSUER = "https://login.example.com"
SESSION = "tollway_session"
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')

_LARGE = """
INSERT INTO business_units (id, organisation_id, name)
SELECT ('02900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, o.id, 'unit-' || n
FROM generate_series(1, 20) n, organisations o;
INSERT INTO projects (id, business_unit_id, name, models)
SELECT ('02900000-0000-7000-8001-' || lpad(to_hex(n), 12, '0'))::uuid,
       ('02900000-0000-7000-8000-' || lpad(to_hex(1 + n % 20), 12, '0'))::uuid, 'large-' || lpad(n::text, 4, '0'), '{*}'
FROM generate_series(1, 1000) n;
INSERT INTO keys (id, project_id, lookup, public_id, name, user_name, version)
SELECT ('02900000-0000-7000-8002-' || lpad(to_hex(n), 12, '0'))::uuid,
       ('02900000-0000-7000-8001-' || lpad(to_hex(1 + n % 1000), 12, '0'))::uuid, 'L' || lpad(to_hex(n), 7, '0'),
       'L' || lpad(to_hex(n), 7, '0'), 'key-' || n, 'person-' || n % 500 || '@example.com', 1
FROM generate_series(1, 2000) n;
INSERT INTO ledger_groups (id, organisation, business_unit, project, key_id, key_public_id, user_name, model, provider)
SELECT ('02900000-0000-7000-8003-' || lpad(to_hex(n * 2 + side), 12, '0'))::uuid, o.id::text, p.business_unit_id::text,
       p.id::text, k.id::text, k.public_id, k.user_name, 'model-' || n % 10, CASE side WHEN 1 THEN 'provider-1' END
FROM (SELECT row_number() OVER (ORDER BY id) AS n, * FROM keys WHERE name LIKE 'key-%') k
JOIN projects p ON p.id = k.project_id, organisations o, generate_series(0, 1) side;
INSERT INTO ledger_days (begins, group_id, requests, errors, unpriced, cost_nano, input_tokens, output_tokens)
SELECT date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - day * interval '1 day', g.id,
       CASE WHEN g.provider IS NULL THEN 167 END, CASE WHEN g.provider IS NULL THEN 1 END, 0,
       CASE WHEN g.provider IS NOT NULL THEN 167 * 1234567 END, CASE WHEN g.provider IS NOT NULL THEN 167000 END,
       CASE WHEN g.provider IS NOT NULL THEN 33400 END
FROM ledger_groups g, generate_series(0, 29) day;
ANALYZE;
"""


async def fill(url: str) -> None:
    """20 units, 1,000 projects, 2,000 keys, and the sums of 10 million requests of 30 days (2,000 x 30 x 167)."""
    async with await AsyncConnection.connect(url, autocommit=True) as db:
        for statement in _LARGE.split(";"):
            if statement.strip():
                await db.execute(statement.encode())


class Person:
    """A browser in which somebody has signed in; `get` and `post` are what they do there."""

    def __init__(self, browser: Browser, origin: str) -> None:
        self.browser = browser
        self.origin = origin
        self.token = ""

    async def get(self, path: str) -> tuple[int, str, dict[str, str]]:
        """Status, text and headers of a page; redirects are followed."""
        page = await self.browser.open(self.origin + path)
        if found := _TOKEN.search(page.text):
            self.token = found[1]
        return page.status, page.text, page.headers

    async def post(self, path: str, **fields: str) -> tuple[int, str, dict[str, str]]:
        """The same for a form that is sent, with the session's CSRF token unless `csrf_token` is another."""
        if not self.token:
            await self.get("/account")
        form = {"csrf_token": self.token, **{name.replace("__", "."): value for name, value in fields.items()}}
        page = await self.browser.post(self.origin + path, headers=None, **form)
        return page.status, page.text, page.headers


@asynccontextmanager
async def signed_in(plane: ControlPlane, email: str = "") -> AsyncIterator[Person]:
    """The local administrator, or a user of the issuer `ISSUER`, which must be trusted."""
    origin = f"http://127.0.0.1:{plane.ports['control']}"
    sessions = plane.signin.sessions
    row = granted = None
    if email:
        row = (await plane.signin.issuers.trusted()).by_issuer[ISSUER]
        claims = Claims(email=email, email_verified=True, name=email.partition("@")[0], groups=())
        granted = Granted(subject=email, provider_sid="", claims=claims, kept=Kept())
    async with plane.pool.connection() as db, db.transaction():
        if granted is not None:
            identity = granted.claims.identity(ISSUER, email)
            await principal_of(db, identity, sessions.now(), vault=plane.vault, source="127.0.0.1")
        value = await sessions.begin(db, "127.0.0.1", row=row, granted=granted)
    async with Browser() as browser:
        browser.set_cookie(origin, SESSION, value)
        yield Person(browser, origin)


def issuer() -> dict[str, Any]:
    """The issuer as a configuration has it."""
    return {"name": "login", "issuer": ISSUER, "client_id": "tollway"}


XSS = "<script>alert('x')</script>\"'><img src=x>"
DOCUMENT: dict[str, Any] = {
    "identity": {"issuers": [issuer()]},
    "business_units": [{"name": "sales", "description": XSS}],
    "providers": [
        {
            "name": "sim",
            "kind": "simulator",
            "base_url": "http://127.0.0.1:9/v1",
            "credentials": [{"name": "main", "api_key": "k"}],
        }
    ],
    "models": [
        {
            "name": "sim/chat",
            "targets": [{"provider": "sim", "model": "x"}],
            "price": {"input": "1", "output": "2"},
        }
    ],
    "projects": [
        {
            "name": "alpha",
            "business_unit": "sales",
            "description": XSS,
            "budget": {"limit": "25.00", "period": "month"},
        },
        {"name": "secret-beta"},
    ],
}
"""A unit with one project, another project beside it, and descriptions that a careless page would run."""
ROLES = (
    {"role": "developer", "user": "dev@example.com", "project": "alpha"},
    {"role": "unit_manager", "user": "boss@example.com", "business_unit": "sales"},
)


@dataclass
class Rig:
    """A furnished control plane, and the people in front of it. `api` is the tests' client of the API."""

    api: Any
    plane: ControlPlane
    administrator: Person
    developer: Person
    manager: Person


@asynccontextmanager
async def rig(
    postgres: PostgresServer,
    make_settings: Callable[..., Any],
    make_api: Callable[..., Any],
    gateway: str = "http://127.0.0.1:9",
) -> AsyncIterator[Rig]:
    """A running control plane on a database of its own, with an administrator, a developer and a manager.

    `gateway` is what it takes for the data plane's address; nobody answers at the one that it has otherwise.
    """
    url = postgres.create_database()
    await migrate(url)
    plane = ControlPlane(make_settings(url, gateway_url=gateway))
    await plane.start()
    api = make_api(plane, url)
    done = await api.call("POST", "configuration:apply", {"configuration": DOCUMENT})
    assert done.status == 200, done.body
    for role in ROLES:
        assert (await api.call("POST", "roles", role)).status == 200
    async with (
        signed_in(plane) as administrator,
        signed_in(plane, "dev@example.com") as developer,
        signed_in(plane, "boss@example.com") as manager,
    ):
        yield Rig(api, plane, administrator, developer, manager)
    await api.close()
    await plane.stop()
