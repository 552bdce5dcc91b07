"""People with roles who call a control plane, for tests of requests and policies: straight into its dispatcher."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

from google.protobuf.json_format import MessageToDict, ParseDict
from psycopg import AsyncConnection

from tollway.controlplane.access.permissions import FULL, Role, base, grant
from tollway.controlplane.api.dispatcher import CallContext, Dispatcher
from tollway.controlplane.api.telemetry import Telemetry
from tollway.controlplane.app import prepare
from tollway.controlplane.audit import api as audit
from tollway.controlplane.call import Principal
from tollway.controlplane.credentials.vault import Vault
from tollway.controlplane.db.pool import Pool, create_pool
from tollway.controlplane.identity import api as identity
from tollway.controlplane.rules import api as rules
from tollway.controlplane.workflows import api as workflows
from tollway.runtime.clock import SystemClock
from tollway.testkit.servers import PostgresServer
from tollway.wire.contract import METHODS

ADMINISTRATOR = Principal(name="administrator")


METHODS_SERVED = identity.METHODS | rules.METHODS | workflows.METHODS | audit.METHODS


class SetClock(SystemClock):
    """The machine's clock, ahead by `ahead_ms`."""

    ahead_ms = 0

    def now_ms(self) -> int:
        """Unix time in milliseconds."""
        return super().now_ms() + self.ahead_ms


class Office:
    """An organisation with the unit `retail`, the project `demo` in it and a budget of 25 dollars."""

    def __init__(self, database_url: str, vault: Vault, pools: list[Pool]) -> None:
        self.database_url = database_url
        self.clock, self.vault, self.pools = SetClock(), vault, pools
        self.planes = [Dispatcher(pool, METHODS_SERVED, self.clock, vault, Telemetry()) for pool in pools]
        self.dispatcher = self.planes[0]
        self.unit = self.project = UUID(int=0)

    async def furnish(self) -> None:
        """Makes the unit, the project and its budget."""
        unit = await self.ask(ADMINISTRATOR, "BusinessUnitService/CreateBusinessUnit", name="retail")
        project = await self.ask(
            ADMINISTRATOR, "ProjectService/CreateProject", name="demo", business_unit="retail", models=["small"]
        )
        self.unit, self.project = UUID(unit["id"]), UUID(project["id"])
        await self.ask(ADMINISTRATOR, "BudgetService/SetBudget", subject="project:demo", limit="25")

    async def find(self) -> None:
        """Looks up what a furnished database has."""
        self.unit = (await self.sql("SELECT id FROM business_units WHERE name = 'retail'"))[0][0]
        self.project = (await self.sql("SELECT id FROM projects WHERE name = 'demo'"))[0][0]

    async def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        async with await AsyncConnection.connect(self.database_url, autocommit=True) as db:
            cursor = await db.execute(query.encode(), values)
            return list(await cursor.fetchall()) if cursor.description else []

    async def person(self, name: str, role: Role | None = None, where: str = "project") -> Principal:
        """A user who has signed in, with a role on the project, the unit or the platform."""
        user = uuid4()
        await self.sql("INSERT INTO users (id, email) VALUES (%s, %s)", user, name)
        unit = self.unit if where == "unit" else None
        project = self.project if where == "project" else None
        if role is not None:
            columns = "INSERT INTO role_bindings (id, role, user_id, unit_id, project_id) VALUES (%s, %s, %s, %s, %s)"
            await self.sql(columns, uuid4(), role.value, user, unit, project)
        platform = base([role] if role is not None else [])
        platform |= FULL[role] if role is not None and where == "platform" else frozenset()
        grants = (grant(role, unit, project),) if role is not None else ()
        return Principal(name=name, permissions=platform, kind="user", user_id=user, email=name, grants=grants)

    async def ask(
        self, who: Principal, method: str, *, through: Dispatcher | None = None, **fields: Any
    ) -> dict[str, Any]:
        """One call; the answer by field name. Raises ApiError."""
        contract = METHODS[f"tollway.control.v1.{method}"]
        message = ParseDict(fields, contract.request())
        answer = await (through or self.dispatcher).invoke(who, contract, message, CallContext(request_id="test"))
        return MessageToDict(answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)

    async def request(self, who: Principal, kind: str = "credit", **terms: Any) -> dict[str, Any]:
        """Asks for something; of credit, five dollars for the project unless something else is said."""
        if kind == "credit":
            terms = {"subject": "project:demo", "amount": "5", **terms}
        return await self.ask(who, "ApprovalService/CreateApproval", kind=kind, terms=terms, reason="for the launch")

    async def decide(
        self, who: Principal, approval: str, verdict: str = "approve", *, through: Dispatcher | None = None
    ) -> dict[str, Any]:
        """Votes."""
        return await self.ask(
            who, "ApprovalService/DecideApproval", through=through, approval=approval, verdict=verdict,
            reason="" if verdict == "approve" else "not now",
        )  # fmt: skip

    async def policy(self, kind: str = "credit", **fields: Any) -> dict[str, Any]:
        """Sets the policy of a kind."""
        return await self.ask(ADMINISTRATOR, "PolicyService/SetPolicy", kind=kind, **fields)

    async def limit(self, subject: str = "project:demo") -> str:
        """The limit of a budget, increases in force included."""
        found = await self.ask(ADMINISTRATOR, "BudgetService/GetBudget", subject=subject)
        return str(found["limit_now"])


KEK = b"k" * 32


@asynccontextmanager
async def _planes(database_url: str, vault: Vault, planes: int, connections: int) -> AsyncIterator[Office]:
    pools = [create_pool(database_url, connections) for _ in range(planes)]
    try:
        for pool in pools:
            await pool.open()
        yield Office(database_url, vault, pools)
    finally:
        for pool in pools:
            await pool.close()


def furnished(server: PostgresServer, migrated: str) -> str:
    """A copy of a migrated database with an organisation in it, to be copied for each test. Not for coroutines."""

    async def make(url: str) -> None:
        vault = Vault((KEK,))
        await prepare(url, vault)
        async with _planes(url, vault, 1, 1) as made:
            await made.furnish()

    url = server.create_database(migrated)
    asyncio.run(make(url))
    return url


@asynccontextmanager
async def office(
    server: PostgresServer, template: str, *, planes: int = 1, connections: int = 4
) -> AsyncIterator[Office]:
    """An office on a copy of a furnished database, with dispatchers that share nothing but it."""
    async with _planes(server.create_database(template), Vault((KEK,)), planes, connections) as made:
        await made.find()
        yield made
