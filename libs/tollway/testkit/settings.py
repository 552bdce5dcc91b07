"""What the test kit reads from the environment: servers to use instead of those from wheels."""

from __future__ import annotations

from dataclasses import dataclass

from tollway.runtime.settings import setting


@dataclass(frozen=True)
class TestSettings:
    """Empty: the test run starts servers of its own."""

    __test__ = False

    database_url: str = setting(
        "TOLLWAY_TEST_DATABASE_URL", "an existing Postgres; its user must be allowed to create databases", default=""
    )
    redis_url: str = setting(
        "TOLLWAY_TEST_REDIS_URL", "an existing Redis or Valkey; the database in the URL is emptied", default=""
    )
