"""A company of 1,000 projects and the ledger of its last 60 days, written straight into the tables.

Owns how it is made: rows of requests and attempts by the day, spread as people work, and roll-ups that the product's
own count of these rows gives. What pages must hold is said by the tests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import AsyncConnection, sql

from tollway.controlplane.ledger.partitions import ensure_partitions
from tollway.controlplane.ledger.verify import FIGURES
from tollway.controlplane.requestlog.partitions import keep

DAYS = 60
LOGGED = 100_000
FILLERS = 2
MODELS, PROVIDERS = 10, 4
WEEKEND = 0.35
"""How much of a working day's traffic a day of the weekend has."""
REQUESTS_PER_ROW = 0.51
"""Some requests are answered by the cache and have no attempt, some have two."""
DEVELOPER, MANAGER = "dev@example.com", "boss@example.com"
DOCUMENT: dict[str, Any] = {
    "identity": {"issuers": [{"name": "login", "issuer": "https://login.example.com", "client_id": "tollway"}]},
    "providers": [
        {
            "name": f"provider-{n}",
            "kind": "simulator",
            "base_url": "http://127.0.0.1:9/v1",
            "credentials": [{"name": "main", "api_key": f"k{n}"}],
        }
        for n in range(PROVIDERS)
    ],
    "models": [
        {
            "name": f"model-{n}",
            "targets": [{"provider": f"provider-{n % PROVIDERS}", "model": "x"}],
            "price": {"input": "1", "output": "2"},
        }
        for n in range(MODELS)
    ],
}
ROLES = (
    {"role": "unit_manager", "user": MANAGER, "business_unit": "unit-01"},
    {"role": "developer", "user": DEVELOPER, "project": "large-0001"},
    {"role": "developer", "user": DEVELOPER, "project": "large-0021"},
)

_COMPANY = """
INSERT INTO business_units (id, organisation_id, name)
SELECT ('02900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, o.id, 'unit-' || lpad(n::text, 2, '0')
FROM generate_series(1, 20) n, organisations o;
INSERT INTO projects (id, business_unit_id, name, models)
SELECT ('02900000-0000-7000-8001-' || lpad(to_hex(n), 12, '0'))::uuid,
       ('02900000-0000-7000-8000-' || lpad(to_hex(1 + (n - 1) % 20), 12, '0'))::uuid, 'large-' || lpad(n::text, 4, '0'),
       '{*}'
FROM generate_series(1, 1000) n;
INSERT INTO keys (id, project_id, lookup, public_id, name, user_name, version)
SELECT ('02900000-0000-7000-8002-' || lpad(to_hex(n), 12, '0'))::uuid,
       ('02900000-0000-7000-8001-' || lpad(to_hex(1 + (n - 1) % 1000), 12, '0'))::uuid, 'L' || lpad(to_hex(n), 7, '0'),
       'L' || lpad(to_hex(n), 7, '0'), 'key-' || n,
       CASE WHEN n IN (1, 21) THEN 'dev@example.com' ELSE 'person-' || n % 500 || '@example.com' END, 1
FROM generate_series(1, 2000) n;
INSERT INTO users (id, email, display_name)
SELECT ('02900000-0000-7000-8003-' || lpad(to_hex(n), 12, '0'))::uuid, 'person-' || n || '@example.com', 'Person ' || n
FROM generate_series(0, 499) n;
INSERT INTO role_bindings (id, role, user_id, project_id)
SELECT ('02900000-0000-7000-8004-' || lpad(to_hex(n), 12, '0'))::uuid, 'developer',
       ('02900000-0000-7000-8003-' || lpad(to_hex(n % 500), 12, '0'))::uuid,
       ('02900000-0000-7000-8001-' || lpad(to_hex(1 + n % 1000), 12, '0'))::uuid
FROM generate_series(1, 1000) n;
INSERT INTO budgets (id, rule_id, scope, subject, limit_nano, period, timezone, fiscal_start, mode, carry_over, alerts,
                     created_at, updated_at)
SELECT gen_random_uuid(), gen_random_uuid()::text, scope, subject, 1000000000000,
       (ARRAY['month', 'month', 'month', 'day', 'week', 'quarter', 'year'])[1 + n % 7], 'UTC', '01-01', 'hard',
       n % 10 = 0, '{0.8}', now(), now()
FROM (
    SELECT 'organisation' AS scope, 'default' AS subject, 0 AS n
    UNION ALL SELECT 'business_unit', id::text, right(name, 2)::integer FROM business_units WHERE name LIKE 'unit-%'
    UNION ALL SELECT 'project', id::text, right(name, 4)::integer FROM projects WHERE name LIKE 'large-%'
    UNION ALL SELECT 'key', id::text, substr(name, 5)::integer FROM keys WHERE substr(name, 5)::integer <= 500
    UNION ALL SELECT 'user', email, substr(email, 8, strpos(email, '@') - 8)::integer
    FROM users WHERE email LIKE 'person-%' AND display_name <> 'Person 0'
) subjects
"""
# Every entry moves the head of the chain: the versions of one transaction are all looked through.
_AUDIT = """
INSERT INTO audit_events (id, actor, action, resource, after)
SELECT gen_random_uuid(), 'person-' || n %% 500 || '@example.com', 'keys.create', 'key:large-' || n %% 1000 || '/key',
       '{"name": "key"}'
FROM generate_series(%(first)s::integer, %(first)s::integer + 249) n
"""
_APPROVALS = """
INSERT INTO approvals
    (id, kind, state, requester, reason, terms, target, unit_id, project_id, business_unit, project, facts,
     policy_version, rule, outcome, outcome_reason, steps, step, timing, people, created_at, updated_at, expires_at,
     ended_at)
SELECT ('02900000-0000-7000-8005-' || lpad(to_hex(n), 12, '0'))::uuid, a.kind,
       CASE WHEN n % 4 = 0 THEN 'pending' ELSE 'approved' END, 'person-' || n % 500 || '@example.com', a.reason,
       a.terms, a.target, p.business_unit_id, p.id, a.business_unit, p.name, a.facts, a.policy_version, a.rule,
       a.outcome, a.outcome_reason, a.steps, a.step, a.timing, a.people, a.created_at, a.updated_at, a.expires_at,
       CASE WHEN n % 4 <> 0 THEN a.created_at END
FROM (SELECT * FROM approvals WHERE state = 'pending' LIMIT 1) a
CROSS JOIN generate_series(1, 2000) n
JOIN projects p ON p.name = 'large-' || lpad((1 + n % 1000)::text, 4, '0')
"""
_HOLDERS = """
CREATE TEMP TABLE holders AS
SELECT substr(k.name, 5)::integer AS rank, k.id::text AS key_id, k.public_id, k.user_name, p.id::text AS project,
       p.business_unit_id::text AS unit
FROM keys k JOIN projects p ON p.id = k.project_id WHERE k.name LIKE 'key-%';
CREATE TEMP TABLE sources AS
SELECT right(m.name, 1)::integer AS model, p.id::text AS provider, p.name,
       p.name = 'provider-' || right(m.name, 1)::integer % 4 AS usual
FROM models m, providers p WHERE m.name LIKE 'model-%';
ANALYZE holders;
SELECT setseed(0.5)
"""
# The n-th request of a day: keys by the power law of such things, most of the day's work around noon.
_REQUESTS = """
INSERT INTO ledger_requests (
    day, id, organisation, business_unit, project, key_id, key_public_id, endpoint, model, stream, started_at, ended_at,
    status, outcome, error_code, tags, user_name, cache
)
SELECT %(day)s::date, (lpad(to_hex(ms), 12, '0') || '7' || substr(hash, 1, 3) || '8' || substr(hash, 4, 15))::uuid,
       'default', h.unit, h.project, h.key_id, h.public_id, 'chat.completions',
       'model-' || CASE WHEN dice < 0.85 THEN rank %% 10 ELSE (rank + 3) %% 10 END, dice < 0.5,
       to_timestamp(ms / 1000.0), to_timestamp(ms / 1000.0) + interval '300 milliseconds',
       CASE WHEN luck < 0.02 THEN 502 ELSE 200 END, CASE WHEN luck < 0.02 THEN 'error' ELSE 'ok' END,
       CASE WHEN luck < 0.02 THEN 'upstream_error' END, '{"team": "web"}', h.user_name,
       CASE WHEN luck > 0.95 THEN 'hit' ELSE '' END
FROM (
    SELECT md5(%(day)s::text || n) AS hash, random() AS dice, random() AS luck,
           least(floor(2000 ^ random()), 2000) AS r,
           (extract(epoch FROM %(day)s::timestamp) * 1000)::bigint
           + floor(%(span_ms)s * (u + 0.7 * sin(2 * pi() * u) / (2 * pi())))::bigint AS ms
    FROM generate_series(0, %(count)s - 1) n, LATERAL (SELECT n::float8 / %(count)s AS u) point
) made JOIN holders h ON h.rank = r
ORDER BY ms
"""
_ATTEMPTS = """
INSERT INTO ledger_attempts (
    day, id, request_id, number, organisation, business_unit, project, key_id, model, user_name, provider,
    provider_kind, target_model, credential, request_started_at, started_at, ended_at, first_byte_at, status, outcome,
    error_code, input_tokens, cached_input_tokens, output_tokens, reasoning_tokens, cost_nano, price_version, estimated
)
SELECT r.day,
       (substr(r.id::text, 1, 8) || substr(r.id::text, 10, 4) || '7' || substr(hash, 1, 3) || '8'
        || substr(hash, 4, 15))::uuid,
       r.id, number, r.organisation, r.business_unit, r.project, r.key_id, r.model, r.user_name, s.provider,
       'simulator', 'x', 'main', r.started_at, r.started_at, r.ended_at, r.started_at + interval '50 milliseconds',
       CASE WHEN failed THEN 502 ELSE 200 END, CASE WHEN failed THEN 'error' ELSE 'ok' END,
       CASE WHEN failed THEN 'upstream_error' END, CASE WHEN failed THEN 0 ELSE 900 + byte * 8 END,
       CASE WHEN failed OR byte > 90 THEN 0 ELSE 512 END, CASE WHEN failed THEN 0 ELSE 100 + byte END,
       CASE WHEN failed OR byte > 60 THEN 0 ELSE byte END, CASE WHEN failed THEN 0 ELSE 1100000 + byte * 10000 END,
       '2026-09-01', NOT failed AND byte = 77
FROM ledger_requests r
CROSS JOIN LATERAL (SELECT get_byte(uuid_send(r.id), 15) AS byte) b
CROSS JOIN LATERAL generate_series(1, CASE WHEN byte < 5 THEN 2 ELSE 1 END) number
CROSS JOIN LATERAL (
    SELECT md5(r.id::text || number) AS hash, r.outcome = 'error' OR byte < 5 AND number = 1 AS failed
) f
JOIN sources s ON s.model = right(r.model, 1)::integer
    AND (s.usual AND number = 1 OR number = 2 AND s.name = 'provider-' || (s.model + 1) %% 4)
WHERE r.day = %(day)s AND r.cache = '' AND r.started_at >= %(day)s AND r.started_at < %(day)s::date + 1
ORDER BY r.started_at
"""
_BY = ("organisation", "business_unit", "project", "key_id", "key_public_id", "user_name", "model", "provider")
_COUNTED = """
CREATE TEMP TABLE counted ON COMMIT DROP AS
SELECT begins, {by}, {group} AS group_id, {sums}
FROM ledger_counted(%(day)s, %(day)s::date + interval '1 day', %(day)s, %(day)s)
GROUP BY begins, {by}
"""
_GROUPS = """
INSERT INTO ledger_groups (id, {by}) SELECT DISTINCT ON (group_id) group_id, {by} FROM counted
ORDER BY group_id ON CONFLICT DO NOTHING
"""
_HOURS = "INSERT INTO ledger_hours (begins, group_id, {names}) SELECT begins, group_id, {names} FROM counted"
_DAYS = """
INSERT INTO ledger_days (begins, group_id, {names})
SELECT date_trunc('day', begins, 'UTC'), group_id, {sums} FROM counted GROUP BY 1, 2
"""
_LOG = """
INSERT INTO request_log (
    id, day, retention_days, organisation, business_unit, project, key_id, key_public_id, client_user, endpoint, model,
    provider, stream, status, outcome, error_code, client_request_id, tags, client_address, user_agent, started_at,
    duration_ms, masked, truncated, plain_bytes, stored_bytes, content
)
SELECT r.id, r.day, 30, r.organisation, r.business_unit, r.project, r.key_id, r.key_public_id, '', r.endpoint, r.model,
       'provider-1', r.stream, r.status, r.outcome, coalesce(r.error_code, ''), '', r.tags, '10.0.0.1', 'sdk',
       r.started_at, 300, false, false, 0, 0, NULL
FROM ledger_requests r
WHERE r.day >= %(since)s AND get_byte(uuid_send(r.id), 14) * 256 + get_byte(uuid_send(r.id), 13) < %(share)s
"""


def _statement(text: str) -> sql.Composed:
    """With the columns of the roll-ups in their places."""
    names = sql.SQL(", ").join(map(sql.Identifier, FIGURES))
    sums = sql.SQL(", ").join(sql.SQL("nullif(sum({0}), 0) AS {0}").format(sql.Identifier(name)) for name in FIGURES)
    by = sql.SQL(", ").join(map(sql.Identifier, _BY))
    group = sql.SQL("ledger_group_id({})").format(by)
    return sql.SQL(text).format(names=names, sums=sums, by=by, group=group)


def portions(rows: int, now: datetime) -> Iterator[tuple[datetime, int, int]]:
    """Every day until now with its number of requests and its milliseconds, so that there are about `rows` rows."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    weights = []
    for back in range(DAYS - 1, -1, -1):
        day = today - timedelta(days=back)
        part = (now - day) / timedelta(days=1) if back == 0 else 1.0
        weights.append((day, (WEEKEND if day.weekday() > 4 else 1.0) * part, int(part * 86_400_000)))
    whole = sum(weight for _, weight, _ in weights)
    for day, weight, span_ms in weights:
        yield day, max(1, round(rows * REQUESTS_PER_ROW * weight / whole)), max(1, span_ms)


async def _script(db: AsyncConnection[Any], text: str) -> None:
    for statement in text.split(";\n"):
        await db.execute(statement.encode())


async def _fill_days(url: str, days: list[tuple[datetime, int, int]]) -> None:
    async with await AsyncConnection.connect(url, autocommit=True) as db:
        await db.execute("SET session_replication_role = replica")  # the roll-ups are counted afterwards
        await db.execute("SET TimeZone = 'UTC'")
        await _script(db, _HOLDERS)
        for day, count, span_ms in days:
            values = {"day": day.date(), "count": count, "span_ms": span_ms}
            await db.execute(_REQUESTS.encode(), values)
            await db.execute(_ATTEMPTS.encode(), values)


async def _roll_up(url: str, days: list[datetime]) -> None:
    counted, groups, hours, by_day = (_statement(text) for text in (_COUNTED, _GROUPS, _HOURS, _DAYS))
    async with await AsyncConnection.connect(url, autocommit=True) as db:
        await db.execute("SET TimeZone = 'UTC'")
        await db.execute("SET work_mem = '256MB'")
        for day in days:
            async with db.transaction():
                await db.execute(counted, {"day": day.date()})
                for statement in (groups, hours, by_day):
                    await db.execute(statement)


async def company(url: str) -> None:
    """20 units, 1,000 projects, 2,000 keys, 500 users with roles, budgets, 10,000 audit entries."""
    async with await AsyncConnection.connect(url, autocommit=True) as db:
        await _script(db, _COMPANY)
        for first in range(1, 10_000, 250):
            await db.execute(_AUDIT.encode(), {"first": first})


async def requests_of_people(url: str) -> None:
    """2,000 requests like the one that waits, a quarter of them waiting."""
    async with await AsyncConnection.connect(url, autocommit=True) as db:
        await db.execute(_APPROVALS.encode())


async def ledger(url: str, rows: int, now: datetime) -> int:
    """The rows of 60 days, their roll-ups, and a request log; returns how many ledger rows there are.

    `company` and the models and providers of `DOCUMENT` must be there.
    """
    days = list(portions(rows, now.astimezone(UTC)))
    async with await AsyncConnection.connect(url, autocommit=True) as db:
        await ensure_partitions(db, days[0][0].date() + timedelta(days=1), days_ahead=DAYS)
        await asyncio.gather(*(_fill_days(url, days[share::FILLERS]) for share in range(FILLERS)))
        await db.execute("VACUUM (ANALYZE) ledger_requests, ledger_attempts")
        # One after the other: two would wait for each other's groups.
        await _roll_up(url, [day for day, *_ in days])
        counted = await (
            await db.execute("SELECT (SELECT count(*) FROM ledger_requests) + (SELECT count(*) FROM ledger_attempts)")
        ).fetchone()
        month = sum(count for _, count, _ in days[-30:])
        share = min(65_536, LOGGED * 65_536 // month)
        await db.execute(_LOG.encode(), {"since": days[-29][0].date(), "share": share})
        await keep(db, now)
        await db.execute("VACUUM (ANALYZE)")
        await db.execute("CHECKPOINT")
    return int(counted[0]) if counted else 0
