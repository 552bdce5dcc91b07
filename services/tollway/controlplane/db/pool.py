"""Connections to Postgres: one pool a process, with limits on every statement, that heals itself after an outage."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

Pool = AsyncConnectionPool[AsyncConnection[Any]]
WAIT_SECONDS = 3.0
"""How long a call waits for a connection before it is told that the database does not answer."""
STATEMENT_SECONDS = 30
IDLE_TRANSACTION_SECONDS = 60
OUTAGE = (psycopg.OperationalError, psycopg.InterfaceError, OSError, TimeoutError)
"""What is raised when the database does not answer or gives up, as opposed to when a statement is wrong."""
CONNECT: dict[str, Any] = {
    "connect_timeout": 3,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "application_name": "tollway-controlplane",
}


async def _configure(connection: AsyncConnection[Any]) -> None:
    # Plans are made for the values at hand: one for any period at all would read a whole ledger for an hour of it.
    await connection.execute(
        "SELECT set_config('plan_cache_mode', 'force_custom_plan', false), set_config('statement_timeout', %s, false),"
        " set_config('idle_in_transaction_session_timeout', %s, false), set_config('TimeZone', 'UTC', false)",
        (f"{STATEMENT_SECONDS}s", f"{IDLE_TRANSACTION_SECONDS}s"),
    )


def create_pool(url: str, size: int) -> Pool:
    """A pool that is not open yet; its connections are in autocommit mode.

    Every connection is tried before it is handed out, so that a restart of the server costs nobody an error; after a
    failure, the next call tries to connect again.
    """
    return AsyncConnectionPool(
        url,
        kwargs={**CONNECT, "autocommit": True},
        min_size=min(2, size),
        max_size=size,
        timeout=WAIT_SECONDS,
        # The pool waits twice as long after each failure, so it gives up early: then the next call tries at once.
        reconnect_timeout=WAIT_SECONDS,
        check=AsyncConnectionPool.check_connection,
        configure=_configure,
        open=False,
        name="tollway",
    )
