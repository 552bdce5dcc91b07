-- The request log's statements. Bodies come as one JSON array with their packed contents in an array beside it.

-- name: insert_bodies
INSERT INTO request_log (
    id, day, retention_days, organisation, business_unit, project, key_id, key_public_id, client_user, endpoint, model,
    provider, stream, status, outcome, error_code, client_request_id, tags, client_address, user_agent, started_at,
    duration_ms, masked, truncated, plain_bytes, stored_bytes, content
)
SELECT
    sent.id, sent.day, sent.retention_days, sent.organisation, sent.business_unit, sent.project, sent.key_id,
    sent.key_public_id, sent.client_user, sent.endpoint, sent.model, sent.provider, sent.stream, sent.status,
    sent.outcome, sent.error_code, sent.client_request_id, sent.tags, sent.client_address, sent.user_agent,
    to_timestamp(sent.started_ms / 1000.0), sent.duration_ms, sent.masked, sent.truncated, sent.plain_bytes,
    sent.stored_bytes, sent.unnest
FROM ROWS FROM (
    json_to_recordset(%(rows)s::json) AS (
        id uuid, day date, retention_days smallint, organisation text, business_unit text, project text, key_id text,
        key_public_id text, client_user text, endpoint text, model text, provider text, stream boolean, status integer,
        outcome text, error_code text, client_request_id text, tags jsonb, client_address text, user_agent text,
        started_ms bigint, duration_ms bigint, masked boolean, truncated boolean, plain_bytes bigint,
        stored_bytes integer
    ),
    unnest(%(contents)b::bytea[])
) AS sent
WHERE NOT EXISTS (
    SELECT FROM request_log_erasures erased WHERE erased.request_id = sent.id
) AND NOT EXISTS (
    SELECT FROM request_log_erasures erased
    WHERE erased.project = sent.project AND to_timestamp(sent.started_ms / 1000.0) >= erased.begin_at
      AND to_timestamp(sent.started_ms / 1000.0) < erased.end_at
)
ORDER BY sent.id -- so that batches that share rows wait for one another, and never in a circle
ON CONFLICT DO NOTHING;

-- name: without_row
-- Bodies that were sent and are not stored: they were erased before.
SELECT sent.id FROM unnest(%(ids)s::uuid[], %(days)s::date[]) AS sent (id, day)
WHERE NOT EXISTS (SELECT FROM request_log log WHERE log.day = sent.day AND log.id = sent.id);

-- name: erasure_gate_shared
SELECT pg_advisory_xact_lock_shared(%(lock)s);

-- name: erasure_gate
SELECT pg_advisory_xact_lock(%(lock)s);

-- name: add_losses
INSERT INTO request_log_losses (replica, hour, dropped, refused)
VALUES (%(replica)s, date_trunc('hour', %(at)s::timestamptz), %(dropped)s, %(refused)s)
ON CONFLICT (replica, hour) DO UPDATE SET
    dropped = least(request_log_losses.dropped::numeric + EXCLUDED.dropped, 9223372036854775807)::bigint,
    refused = least(request_log_losses.refused::numeric + EXCLUDED.refused, 9223372036854775807)::bigint;

-- name: losses
SELECT replica, least(sum(dropped), 9223372036854775807)::bigint AS dropped,
       least(sum(refused), 9223372036854775807)::bigint AS refused, max(hour) AS last_hour
FROM request_log_losses
WHERE hour >= date_trunc('hour', %(since)s::timestamptz)
GROUP BY replica
ORDER BY replica;

-- name: prune_losses
DELETE FROM request_log_losses WHERE hour < %(before)s;

-- name: prune_erasures
DELETE FROM request_log_erasures WHERE erased_at < %(before)s;

-- name: try_lock
SELECT pg_try_advisory_lock(%(lock)s) AS locked;

-- name: unlock
SELECT pg_advisory_unlock(%(lock)s);

-- name: day_partitions
-- Every partition of one day with its class; the default partitions are left out.
SELECT class.class AS retention_days, part.relname AS name,
       (regexp_match(bound.text, 'FROM \(''([0-9-]+)''\)'))[1]::date AS day
FROM unnest(%(classes)s::smallint[]) AS class (class)
JOIN pg_inherits ON pg_inherits.inhparent = ('request_log_' || class.class)::regclass
JOIN pg_class part ON part.oid = pg_inherits.inhrelid
CROSS JOIN LATERAL (SELECT pg_get_expr(part.relpartbound, part.oid) AS text) bound
WHERE bound.text <> 'DEFAULT'
ORDER BY 1, 3;

-- name: classes_in_use
-- The classes of projects, and those of rows that no partition takes yet, with their days.
SELECT DISTINCT log_retention_days AS retention_days, NULL::date AS day FROM projects WHERE archived_at IS NULL
UNION
SELECT retention_days, day FROM (
    SELECT DISTINCT retention_days, day FROM request_log_1_default
    UNION ALL SELECT DISTINCT retention_days, day FROM request_log_7_default
    UNION ALL SELECT DISTINCT retention_days, day FROM request_log_30_default
    UNION ALL SELECT DISTINCT retention_days, day FROM request_log_90_default
    UNION ALL SELECT DISTINCT retention_days, day FROM request_log_365_default
) AS stray;

-- name: expire_stray
-- Rows of a clock that was wrong: kept from their arrival on, where their day lies ahead of it.
DELETE FROM request_log
WHERE (id, day, retention_days) IN (
    SELECT id, day, retention_days FROM (
        SELECT id, day, retention_days, received_at FROM request_log_1_default
        UNION ALL SELECT id, day, retention_days, received_at FROM request_log_7_default
        UNION ALL SELECT id, day, retention_days, received_at FROM request_log_30_default
        UNION ALL SELECT id, day, retention_days, received_at FROM request_log_90_default
        UNION ALL SELECT id, day, retention_days, received_at FROM request_log_365_default
    ) AS stray
    WHERE least(day, received_at::date) + retention_days::integer < %(today)s
    LIMIT %(limit)s
);

-- name: plan_for_these_values
-- A plan for any values would open every partition of every class.
SET LOCAL plan_cache_mode = force_custom_plan;

-- name: projects_named
SELECT id::text AS id, archived_at IS NOT NULL AS ended FROM projects WHERE name = %(text)s;

-- name: keys_named
SELECT id::text AS id FROM keys WHERE public_id = %(text)s
UNION
SELECT keys.id::text FROM keys JOIN projects ON projects.id = keys.project_id
WHERE projects.name = %(project)s AND keys.name = %(key)s;

-- name: named
SELECT id::text AS id, name FROM projects WHERE id = ANY(%(ids)s)
UNION ALL
SELECT id::text, name FROM business_units WHERE id = ANY(%(ids)s);

-- name: search
-- Newest first: ids are made in the order of time. One project or key is asked for by equality: then its index gives
-- the order too.
SELECT id, day, retention_days, business_unit, project, key_public_id, client_user, endpoint, model, provider, stream,
       status, outcome, error_code, client_request_id, tags, client_address, user_agent, started_at, duration_ms, masked,
       truncated, plain_bytes, stored_bytes
FROM request_log
WHERE
    day BETWEEN %(first_day)s AND %(last_day)s AND id >= %(first_id)s AND id < %(before_id)s
    AND started_at >= %(begin)s AND started_at < %(end)s
    AND (%(project)s::text IS NULL OR project = %(project)s::text)
    AND (%(projects)s::text[] IS NULL OR project = ANY(%(projects)s::text[]))
    AND (%(key)s::text IS NULL OR key_id = %(key)s::text)
    AND (%(keys)s::text[] IS NULL OR key_id = ANY(%(keys)s::text[]))
    AND (%(model)s::text IS NULL OR model = %(model)s::text)
    AND (%(status)s::integer IS NULL OR status = %(status)s::integer)
    AND (%(outcome)s::text IS NULL OR outcome = %(outcome)s::text)
    AND (%(error_code)s::text IS NULL OR error_code = %(error_code)s::text)
    AND (%(request_id)s::uuid IS NULL OR id = %(request_id)s::uuid)
    AND (%(client_request_id)s::text IS NULL
         OR (client_request_id = %(client_request_id)s::text AND client_request_id <> ''))
    AND (%(tags)s::jsonb IS NULL OR tags @> %(tags)s::jsonb)
    AND (%(client_user)s::text IS NULL OR (client_user = %(client_user)s::text AND client_user <> ''))
    AND (%(endpoint)s::text IS NULL OR endpoint = %(endpoint)s::text)
ORDER BY id DESC
LIMIT %(limit)s;

-- name: one
SELECT id, day, retention_days, business_unit, project, key_public_id, client_user, endpoint, model, provider, stream,
       status, outcome, error_code, client_request_id, tags, client_address, user_agent, started_at, duration_ms, masked,
       truncated, plain_bytes, stored_bytes, content
FROM request_log WHERE day = %(day)s AND id = %(id)s
ORDER BY retention_days DESC
LIMIT 1;

-- name: insert_erasure
INSERT INTO request_log_erasures (id, request_id, project, begin_at, end_at, erased_at)
VALUES (%(id)s, %(request_id)s, %(project)s, %(begin)s, %(end)s, %(at)s);

-- name: erase_one
DELETE FROM request_log WHERE day = %(day)s AND id = %(id)s
RETURNING id, day, retention_days, content IS NULL AS elsewhere;

-- name: erase_period
DELETE FROM request_log
WHERE day BETWEEN %(first_day)s AND %(last_day)s AND (id, day, retention_days) IN (
    SELECT id, day, retention_days FROM request_log
    WHERE project = ANY(%(projects)s) AND day BETWEEN %(first_day)s AND %(last_day)s
      AND id >= %(first_id)s AND id < %(before_id)s AND started_at >= %(begin)s AND started_at < %(end)s
    ORDER BY id DESC
    LIMIT %(limit)s
)
RETURNING id, day, retention_days, content IS NULL AS elsewhere;
