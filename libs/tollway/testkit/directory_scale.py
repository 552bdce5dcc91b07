"""A large key directory: keys made in Postgres by the hundred thousand, and what it costs to load them and to follow.

Owns how it is made and measured; what must hold is said by the tests. Keys are written straight into the tables, as
they stand years after they were made one by one: each has a version of its own, and only the last changes are logged.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import psutil
import psycopg

from tollway.testkit.stack import Service, Stack

MEBIBYTE = 1 << 20
LOGGED = 10_000
"""How many changes the change log still holds."""
_KEYS = """
INSERT INTO keys (id, project_id, lookup, public_id, name, tags, user_name, version)
SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, p.id, 'S' || lpad(to_hex(n), 7, '0'),
       'S' || lpad(to_hex(n), 7, '0'), 'scale-' || n, '{"team": "search"}', 'user-' || n %% 5000 || '@example.com',
       i.version + n
FROM generate_series(1, %(count)s) n, installation i, projects p WHERE p.name = 'demo'
"""
_SECRETS = """
INSERT INTO key_secrets (key_id, digest, pepper)
SELECT k.id, sha256(convert_to(k.name, 'UTF8')), (SELECT pepper FROM key_secrets LIMIT 1)
FROM keys k WHERE k.name LIKE 'scale-%%'
"""
_LOG = """
INSERT INTO change_log (version, kind, key_id)
SELECT version, 'key', id FROM keys WHERE name LIKE 'scale-%%' ORDER BY version DESC LIMIT %(logged)s
"""
_INSTALLATION = """
UPDATE installation SET version = version + %(count)s, pruned_version = version + greatest(%(count)s - %(logged)s, 0)
"""
_CHANGE = """
WITH taken AS (UPDATE installation SET version = version + 1 RETURNING version),
changed AS (
    UPDATE keys k SET revoked_at = now(), revision = k.revision + 1, version = t.version
    FROM taken t WHERE k.id IN (SELECT id FROM keys WHERE name LIKE 'scale-%%' AND revoked_at IS NULL LIMIT %(count)s)
    RETURNING k.id, k.version
)
INSERT INTO change_log (version, kind, key_id) SELECT version, 'key', id FROM changed RETURNING version
"""


def fill(stack: Stack, count: int) -> None:
    """Makes so many keys of the project `demo`. Their secrets are nobody's: no request can be made with them."""
    with psycopg.connect(stack.postgres.url) as db:
        values = {"count": count, "logged": LOGGED}
        for statement in (_KEYS, _SECRETS, _INSTALLATION, _LOG):
            db.execute(statement.encode(), values)
    with psycopg.connect(stack.postgres.url, autocommit=True) as db:
        db.execute("VACUUM ANALYZE keys, key_secrets, change_log")


def revoke_some(stack: Stack, count: int) -> int:
    """Revokes so many keys in one transaction, as another control plane would; the version of it."""
    with psycopg.connect(stack.postgres.url) as db:
        row = db.execute(_CHANGE.encode(), {"count": count}).fetchone()
        db.execute("SELECT pg_notify('tollway_config', '')")
    assert row is not None
    return int(row[0])


def valkey_bytes(stack: Stack) -> int:
    """What Valkey holds in memory."""
    found: Any = stack.valkey.command("INFO", "memory")
    return int(found["used_memory"])


def rss(service: Service) -> float:
    """Resident memory of a process and its children, in MiB."""
    process = psutil.Process(service.pid)
    return float(sum(each.memory_info().rss for each in (process, *process.children(recursive=True))) / MEBIBYTE)


def cpu(service: Service) -> float:
    """CPU seconds that a process has used."""
    times = psutil.Process(service.pid).cpu_times()
    return float(times.user + times.system)


class Peak:
    """The most that a service holds while this is entered, in MiB: `most`, and when it was entered: `before`."""

    def __init__(self, find: Callable[[], Service | None]) -> None:
        self._find = find
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.before = self.most = 0.0

    def __enter__(self) -> Peak:
        self.before = self.most = self._now()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.most = max(self.most, self._now())

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            self.most = max(self.most, self._now())

    def _now(self) -> float:
        service = self._find()
        try:
            return rss(service) if service is not None and service.process is not None else 0.0
        except psutil.Error:
            return 0.0


def seconds_of(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began
