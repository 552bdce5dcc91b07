"""The real servers die and come back with what they had; existing ones are left alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tollway.testkit.servers import ExistingPostgres, ExistingValkey, PostgresServer, ValkeyServer
from tollway.testkit.simulator import SimulatorServer


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path / "postgres").start()
    yield server
    server.stop()


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    server = ValkeyServer(tmp_path / "valkey").start()
    yield server
    server.stop()


def rows(url: str) -> list[tuple[int]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute("SELECT n FROM kept").fetchall()


def test_postgres_comes_back_with_its_data(own_postgres: PostgresServer) -> None:
    url = own_postgres.create_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    own_postgres.kill()
    with pytest.raises(psycopg.OperationalError):
        rows(url)
    own_postgres.start()
    assert rows(url) == [(7,)]
    own_postgres.stop()
    own_postgres.start()
    copy = own_postgres.create_database(template=url)
    assert rows(copy) == [(7,)]
    assert copy != url


def test_an_existing_postgres_loses_what_was_made_and_nothing_else(postgres: PostgresServer) -> None:
    kept = postgres.create_database()
    existing = ExistingPostgres(postgres.url)
    made = existing.start().create_database()
    with pytest.raises(AssertionError, match="not killed"):
        existing.kill()
    existing.stop()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(made)
    psycopg.connect(kept).close()


def test_valkey_comes_back_on_its_port_with_its_data(own_valkey: ValkeyServer) -> None:
    port = own_valkey.port
    own_valkey.command("SET", "kept", "7")
    own_valkey.command("WAITAOF", "1", "0", "1000")
    own_valkey.kill()
    with pytest.raises(RedisConnectionError):
        own_valkey.command("PING")
    own_valkey.start()
    assert own_valkey.port == port
    assert own_valkey.command("GET", "kept") == b"7"
    own_valkey.flush()
    assert own_valkey.command("DBSIZE") == 0


def test_an_existing_valkey_is_emptied_of_one_database_alone(own_valkey: ValkeyServer) -> None:
    own_valkey.command("SET", "kept", "7")
    existing = ExistingValkey(own_valkey.url.replace("/0", "/3"))
    existing.start().command("SET", "mine", "1")
    for refused in (existing.kill, existing.freeze):
        with pytest.raises(AssertionError, match="existing server"):
            refused()
    existing.stop()
    with Redis(port=own_valkey.port) as redis:
        assert redis.info("keyspace") == {"db0": redis.info("keyspace")["db0"]}


def test_a_service_dies_and_comes_back_on_its_port(tmp_path: Path) -> None:
    server = SimulatorServer(tmp_path).start()
    origin = server.origin
    server.service.kill()
    with pytest.raises(OSError):
        server.counts()
    assert server.start().origin == origin
    assert server.counts()["received"] == 0
    server.stop()
