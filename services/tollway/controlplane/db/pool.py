"""The connection pool: checked before use, so that a restarted Postgres is an error for nobody."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

Pool = AsyncConnectionPool[AsyncConnection[Any]]
WAIT_SECONDS = 5.0
STATEMENT_SECONDS = 30
OUTAGE = (psycopg.OperationalError, psycopg.InterfaceError)
"""What is raised when the database is away, refuses connections, or the pool has none in time."""


def create_pool(url: str, size: int) -> Pool:
    """A pool that is not open yet. Connections are in autocommit; use `transaction()`."""
    return AsyncConnectionPool(
        url,
        min_size=1,
        max_size=size,
        timeout=WAIT_SECONDS,
        open=False,
        check=AsyncConnectionPool.check_connection,
        reconnect_timeout=60,
        kwargs={
            "autocommit": True,
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "application_name": "tollway-controlplane",
            "options": f"-c statement_timeout={STATEMENT_SECONDS}s -c idle_in_transaction_session_timeout=60s",
        },
    )
