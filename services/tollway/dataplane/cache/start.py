"""The cache of a process as its settings want it."""

from __future__ import annotations

from tollway.dataplane.cache.cache import Cache
from tollway.dataplane.cache.plan import CacheLimits
from tollway.dataplane.cache.redis_answers import RedisAnswers
from tollway.dataplane.settings import Settings
from tollway.dataplane.stores.redis_connection import RedisConnection
from tollway.runtime.clock import Clock
from tollway.runtime.lifecycle import StartError
from tollway.runtime.tasks import Tasks

WAIT_SECONDS = 0.25
"""For so long a request waits for the store, once in an outage."""


def cache_of(settings: Settings, clock: Clock, tasks: Tasks) -> Cache | None:
    """None: it is off. Nothing is asked of the store before the first request of a project that has caching."""
    if not settings.cache:
        return None
    try:
        connection = RedisConnection(settings.cache_redis_url or settings.redis_url, timeout_seconds=WAIT_SECONDS)
    except ValueError as error:
        raise StartError("TOLLWAY_CACHE_REDIS_URL is not a valid redis:// or unix:// URL") from error
    limits = CacheLimits(
        answer_bytes=settings.cache_answer_bytes,
        partition_bytes=settings.cache_project_bytes,
        memory_bytes=settings.cache_memory_bytes,
    )
    return Cache(RedisAnswers(connection, tasks), settings.fleet_keys, clock, tasks, limits)
