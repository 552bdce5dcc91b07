"""A whole control plane in this process, on a database of its own, with clients for both of its transports."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import grpc.aio
import pytest
import pytest_asyncio
from psycopg import AsyncConnection

from tollway.controlplane.app import ControlPlane
from tollway.controlplane.db.migrate import migrate
from tollway.controlplane.settings import Settings
from tollway.testkit.portal import Rig
from tollway.testkit.portal import rig as opened
from tollway.testkit.servers import PostgresServer
from tollway.wire.client import connect
from tollway.wire.contract import METHODS

ADMIN = "admin-token-canary-4711"
JOIN = "join-token-canary-4711"


@dataclass(frozen=True)
class Answer:
    """What REST answered."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def error(self) -> dict[str, Any]:
        """The error object."""
        found: dict[str, Any] = self.body["error"]
        return found


class Api:
    """Clients of one control plane: `call` for REST, `rpc` for gRPC, `sql` for what the database holds."""

    def __init__(self, plane: ControlPlane, url: str) -> None:
        self.plane = plane
        self.database_url = url
        self.base = f"http://127.0.0.1:{plane.ports['control']}"
        self.channel: grpc.aio.Channel = connect(f"127.0.0.1:{plane.ports['grpc']}")
        self.session = aiohttp.ClientSession(auto_decompress=True)

    async def call(
        self,
        verb: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = ADMIN,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Answer:
        """One REST call; `path` is below /api/v1/."""
        sent = {"Authorization": f"Bearer {token}"} if token is not None else {}
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        url = f"{self.base}/api/v1/{path}"
        async with self.session.request(verb, url, data=data, headers=sent | (headers or {})) as response:
            text = await response.read()
            shown = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, json.loads(text) if text else None, shown)

    async def rpc(self, method: str, request: Any, *, token: str | None = ADMIN, **metadata: str) -> Any:
        """One gRPC call with a message of the contract; raises AioRpcError."""
        contract = METHODS[f"tollway.control.v1.{method}"]
        stub = self.channel.unary_unary(
            f"/{contract.name}",
            request_serializer=contract.request.SerializeToString,
            response_deserializer=contract.response.FromString,
        )
        sent = [(name.replace("_", "-"), value) for name, value in metadata.items()]
        if token is not None:
            sent.append(("authorization", f"Bearer {token}"))
        return await stub(request, metadata=sent, timeout=10)

    async def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query, on a connection of its own."""
        async with await AsyncConnection.connect(self.database_url, autocommit=True) as db:
            cursor = await db.execute(query.encode(), values)
            return list(await cursor.fetchall()) if cursor.description else []

    async def close(self) -> None:
        """Closes the clients."""
        await self.channel.close()
        await self.session.close()


def settings(url: str, **changed: Any) -> Settings:
    """Settings of a control plane on free ports."""
    known: dict[str, Any] = {
        "database_url": url,
        "keks": (b"k" * 32,),
        "fleet_keys": (b"f" * 32,),
        "join_token": JOIN,
        "admin_token": ADMIN,
        "port_control": 0,
        "port_grpc": 0,
        "port_admin": 0,
        "drain_seconds": 1,
    }
    return Settings(**known | changed)


@pytest.fixture(scope="session")
def make_settings() -> Callable[..., Settings]:
    """`settings(url, **changed)`."""
    return settings


@pytest.fixture(scope="session")
def migrated(postgres: PostgresServer) -> str:
    """The URL of an empty database at the present schema, to be copied: that is quicker than to migrate another one."""
    url = postgres.create_database()
    asyncio.run(migrate(url))
    return url


@pytest.fixture
def database(postgres: PostgresServer, migrated: str) -> Iterator[str]:
    """The URL of a new database at the present schema."""
    url = postgres.create_database(migrated)
    yield url
    postgres.drop_database(url)


@pytest.fixture
async def plane(database: str) -> AsyncIterator[ControlPlane]:
    """A running control plane."""
    made = ControlPlane(settings(database))
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def api(plane: ControlPlane, database: str) -> AsyncIterator[Api]:
    """Clients of a running control plane."""
    made = Api(plane, database)
    yield made
    await made.close()


@pytest.fixture(scope="session")
def make_api() -> Callable[..., Api]:
    """`Api(plane, url)`, for planes that a test makes; to be closed by it."""
    return Api


@pytest.fixture
def canary() -> str:
    """A value that must appear nowhere."""
    return f"sk-canary-{secrets.token_hex(16)}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(
    postgres: PostgresServer, make_settings: Callable[..., Settings], make_api: Callable[..., Api]
) -> AsyncIterator[Rig]:
    """A control plane with its portal, made once for the module; tests change only what is theirs."""
    async with opened(postgres, make_settings, make_api) as made:
        yield made
