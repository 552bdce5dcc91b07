-- The ledger's statements. Rows come as one JSON array, flat, sorted by id: writers that meet wait for each other in the
-- same order (requests, attempts, adjustments; each by id) and so never for good. Times come as Unix milliseconds.

-- name: insert_requests
INSERT INTO ledger_requests (
    day, id, organisation, business_unit, project, key_id, key_public_id, endpoint, model, stream, started_at,
    ended_at, status, outcome, error_code, client_request_id, tags
)
SELECT
    sent.day, sent.id, sent.organisation, sent.business_unit, sent.project, sent.key_id, sent.key_public_id,
    sent.endpoint, sent.model, sent.stream, to_timestamp(sent.started_at / 1000.0), to_timestamp(sent.ended_at /
    1000.0), sent.status, sent.outcome, sent.error_code, sent.client_request_id, sent.tags
FROM json_to_recordset(%(rows)s::json) AS sent (
    day date, id uuid, organisation text, business_unit text, project text, key_id text, key_public_id text,
    endpoint text, model text, stream boolean, started_at bigint, ended_at bigint, status integer, outcome text,
    error_code text, client_request_id text, tags jsonb
)
ORDER BY id
ON CONFLICT DO NOTHING;

-- name: insert_attempts
-- Of two rows of one attempt in one batch the true one comes first.
INSERT INTO ledger_attempts (
    day, id, request_id, number, business_unit, project, key_id, model, provider, provider_kind, target_model,
    credential, started_at, ended_at, first_byte_at, status, outcome, error_code, input_tokens, cached_input_tokens,
    cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, output_tokens, reasoning_tokens,
    audio_output_tokens, image_input_tokens, image_output_tokens, prediction_accepted_tokens,
    prediction_rejected_tokens, images, audio_ms, characters, searches, cost_nano, price_version, estimated,
    provider_request_id
)
SELECT
    sent.day, sent.id, sent.request_id, sent.number, sent.business_unit, sent.project, sent.key_id, sent.model,
    sent.provider, sent.provider_kind, sent.target_model, sent.credential, to_timestamp(sent.started_at / 1000.0),
    to_timestamp(sent.ended_at / 1000.0), to_timestamp(sent.first_byte_at / 1000.0), sent.status, sent.outcome,
    sent.error_code, sent.input_tokens, sent.cached_input_tokens, sent.cache_write_5m_tokens,
    sent.cache_write_1h_tokens, sent.audio_input_tokens, sent.output_tokens, sent.reasoning_tokens,
    sent.audio_output_tokens, sent.image_input_tokens, sent.image_output_tokens, sent.prediction_accepted_tokens,
    sent.prediction_rejected_tokens, sent.images, sent.audio_ms, sent.characters, sent.searches, sent.cost_nano,
    sent.price_version, sent.estimated, sent.provider_request_id
FROM json_to_recordset(%(rows)s::json) AS sent (
    day date, id uuid, request_id uuid, number integer, business_unit text, project text, key_id text, model text,
    provider text, provider_kind text, target_model text, credential text, started_at bigint, ended_at bigint,
    first_byte_at bigint, status integer, outcome text, error_code text, input_tokens bigint, cached_input_tokens
    bigint, cache_write_5m_tokens bigint, cache_write_1h_tokens bigint, audio_input_tokens bigint, output_tokens
    bigint, reasoning_tokens bigint, audio_output_tokens bigint, image_input_tokens bigint, image_output_tokens bigint,
    prediction_accepted_tokens bigint, prediction_rejected_tokens bigint, images bigint, audio_ms bigint,
    characters bigint, searches bigint, cost_nano bigint, price_version text, estimated boolean,
    provider_request_id text
)
ORDER BY id, estimated
ON CONFLICT DO NOTHING;

-- name: insert_adjustments
-- What a true row adds to the estimate that was booked before it. It belongs to whatever the estimate was booked on.
INSERT INTO ledger_attempts (
    kind,
    day, id, request_id, number, business_unit, project, key_id, model, provider, provider_kind, target_model,
    credential, started_at, ended_at, first_byte_at, status, outcome, error_code, input_tokens, cached_input_tokens,
    cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, output_tokens, reasoning_tokens,
    audio_output_tokens, image_input_tokens, image_output_tokens, prediction_accepted_tokens,
    prediction_rejected_tokens, images, audio_ms, characters, searches, cost_nano, price_version, estimated,
    provider_request_id
)
SELECT
    'adjustment',
    booked.day, sent.late_id, booked.request_id, booked.number, booked.business_unit, booked.project, booked.key_id,
    booked.model, booked.provider, booked.provider_kind, booked.target_model, booked.credential, booked.started_at,
    to_timestamp(sent.ended_at / 1000.0), to_timestamp(sent.first_byte_at / 1000.0), sent.status, sent.outcome,
    sent.error_code, sent.input_tokens - booked.input_tokens, sent.cached_input_tokens - booked.cached_input_tokens,
    sent.cache_write_5m_tokens - booked.cache_write_5m_tokens, sent.cache_write_1h_tokens -
    booked.cache_write_1h_tokens, sent.audio_input_tokens - booked.audio_input_tokens, sent.output_tokens -
    booked.output_tokens,
    sent.reasoning_tokens - booked.reasoning_tokens, sent.audio_output_tokens - booked.audio_output_tokens,
    sent.image_input_tokens - booked.image_input_tokens, sent.image_output_tokens - booked.image_output_tokens,
    sent.prediction_accepted_tokens - booked.prediction_accepted_tokens,
    sent.prediction_rejected_tokens - booked.prediction_rejected_tokens, sent.images - booked.images,
    sent.audio_ms - booked.audio_ms, sent.characters - booked.characters, sent.searches - booked.searches,
    sent.cost_nano - booked.cost_nano, sent.price_version, false, sent.provider_request_id
FROM json_to_recordset(%(rows)s::json) AS sent (
    late_id uuid, day date, id uuid, request_id uuid, number integer, business_unit text, project text, key_id text,
    model text, provider text, provider_kind text, target_model text, credential text, started_at bigint, ended_at
    bigint, first_byte_at bigint, status integer, outcome text, error_code text, input_tokens bigint,
    cached_input_tokens bigint, cache_write_5m_tokens bigint, cache_write_1h_tokens bigint,
    audio_input_tokens bigint, output_tokens bigint, reasoning_tokens bigint, audio_output_tokens bigint,
    image_input_tokens bigint, image_output_tokens bigint, prediction_accepted_tokens bigint,
    prediction_rejected_tokens bigint, images bigint, audio_ms bigint, characters bigint, searches bigint,
    cost_nano bigint, price_version text, estimated boolean, provider_request_id text
)
JOIN ledger_attempts booked ON booked.day = sent.day AND booked.id = sent.id
WHERE booked.kind = 'attempt' AND booked.estimated AND NOT sent.estimated
ORDER BY sent.late_id
ON CONFLICT DO NOTHING;

-- name: insert_quarantine
INSERT INTO ledger_quarantine (id, replica, reason, row)
SELECT sent.id, %(replica)s, sent.reason, sent.row
FROM json_to_recordset(%(rows)s::json) AS sent (id uuid, reason text, row jsonb)
ORDER BY sent.id
ON CONFLICT DO NOTHING;

-- name: quarantined_rows
SELECT count(*) AS rows FROM ledger_quarantine;

-- name: default_rows
-- How many rows no partition of their own takes: a clock that is wrong somewhere, or partitions that were not made.
SELECT (SELECT count(*) FROM ledger_requests_default) + (SELECT count(*) FROM ledger_attempts_default) AS rows;

-- name: try_partition_lock
SELECT pg_try_advisory_xact_lock(%(lock)s) AS locked;

-- name: partition_lock
SELECT true AS locked FROM pg_advisory_xact_lock(%(lock)s);

-- name: partition_bounds
-- The days that each partition takes, the default partition left out.
SELECT (regexp_match(bound.text, 'FROM \(''([0-9-]+)''\)'))[1]::date AS first,
       (regexp_match(bound.text, 'TO \(''([0-9-]+)''\)'))[1]::date AS "end"
FROM pg_inherits
JOIN pg_class part ON part.oid = pg_inherits.inhrelid
CROSS JOIN LATERAL (SELECT pg_get_expr(part.relpartbound, part.oid) AS text) bound
WHERE pg_inherits.inhparent = %(table)s::regclass AND bound.text <> 'DEFAULT'
ORDER BY 1;

-- name: usage_requests
-- Requests belong to no single provider: asked by provider, they are one group.
SELECT
    CASE %(by)s::text
        WHEN 'project' THEN project
        WHEN 'key' THEN key_id
        WHEN 'model' THEN model
        WHEN 'business_unit' THEN business_unit
        WHEN 'day' THEN (started_at AT TIME ZONE 'UTC')::date::text
        ELSE ''
    END AS id,
    max(key_public_id) AS public_id,
    max(project) AS project,
    count(*) AS requests,
    count(*) FILTER (WHERE outcome IN ('error', 'lost')) AS errors
FROM ledger_requests
WHERE
    started_at >= %(begin)s AND started_at < %(end)s AND day BETWEEN %(first_day)s AND %(last_day)s
    AND (%(projects)s::text[] IS NULL OR project = ANY(%(projects)s::text[]))
    AND (%(keys)s::text[] IS NULL OR key_id = ANY(%(keys)s::text[]))
    AND (%(model)s::text IS NULL OR model = %(model)s::text)
GROUP BY 1;

-- name: usage_attempts
-- An estimate that a true row has adjusted is none any more.
SELECT
    CASE %(by)s::text
        WHEN 'project' THEN project
        WHEN 'key' THEN key_id
        WHEN 'model' THEN model
        WHEN 'business_unit' THEN business_unit
        WHEN 'day' THEN (started_at AT TIME ZONE 'UTC')::date::text
        ELSE provider
    END AS id,
    sum(input_tokens) AS input_tokens,
    sum(cached_input_tokens) AS cached_input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(reasoning_tokens) AS reasoning_tokens,
    sum(cache_write_5m_tokens) AS cache_write_5m_tokens,
    sum(cache_write_1h_tokens) AS cache_write_1h_tokens,
    sum(audio_input_tokens) AS audio_input_tokens,
    sum(image_input_tokens) AS image_input_tokens,
    sum(audio_output_tokens) AS audio_output_tokens,
    sum(image_output_tokens) AS image_output_tokens,
    sum(prediction_accepted_tokens) AS prediction_accepted_tokens,
    sum(prediction_rejected_tokens) AS prediction_rejected_tokens,
    sum(images) AS images,
    sum(audio_ms) AS audio_ms,
    sum(characters) AS characters,
    sum(searches) AS searches,
    sum(cost_nano) AS cost,
    coalesce(sum(cost_nano) FILTER (WHERE estimated AND NOT EXISTS (
        SELECT FROM ledger_attempts late
        WHERE late.request_id = booked.request_id AND late.day = booked.day AND late.number = booked.number
          AND late.kind = 'adjustment'
    )), 0) AS estimated_cost,
    count(*) FILTER (WHERE kind = 'attempt' AND price_version IS NULL) AS unpriced
FROM ledger_attempts booked
WHERE
    started_at >= %(begin)s AND started_at < %(end)s AND day BETWEEN %(first_day)s AND %(last_day)s
    AND (%(projects)s::text[] IS NULL OR project = ANY(%(projects)s::text[]))
    AND (%(keys)s::text[] IS NULL OR key_id = ANY(%(keys)s::text[]))
    AND (%(model)s::text IS NULL OR model = %(model)s::text)
GROUP BY 1;

-- name: usage_provider_requests
SELECT provider AS id, count(*) AS requests, count(*) FILTER (WHERE failed) AS errors
FROM (
    SELECT provider, request_id, bool_and(outcome IN ('error', 'lost')) AS failed
    FROM ledger_attempts
    WHERE kind = 'attempt' AND
    started_at >= %(begin)s AND started_at < %(end)s AND day BETWEEN %(first_day)s AND %(last_day)s
    AND (%(projects)s::text[] IS NULL OR project = ANY(%(projects)s::text[]))
    AND (%(keys)s::text[] IS NULL OR key_id = ANY(%(keys)s::text[]))
    AND (%(model)s::text IS NULL OR model = %(model)s::text)
    GROUP BY provider, request_id
) asked
GROUP BY provider;

-- name: project_names
SELECT id::text, name, archived_at IS NOT NULL AS ended, id::text AS mark
FROM projects WHERE id = ANY(%(ids)s);

-- name: business_unit_names
SELECT id::text, name, archived_at IS NOT NULL AS ended, id::text AS mark
FROM business_units WHERE id = ANY(%(ids)s);

-- name: provider_names
SELECT id::text, name, archived_at IS NOT NULL AS ended, id::text AS mark
FROM providers WHERE id = ANY(%(ids)s);

-- name: key_names
SELECT keys.id::text, projects.name || '/' || keys.name AS name, keys.revoked_at IS NOT NULL AS ended,
       keys.public_id AS mark
FROM keys JOIN projects ON projects.id = keys.project_id WHERE keys.id = ANY(%(ids)s);

-- name: projects_named
SELECT id::text, archived_at IS NOT NULL AS ended FROM projects WHERE name = %(text)s;

-- name: keys_named
SELECT id::text FROM keys WHERE public_id = %(text)s
UNION
SELECT keys.id::text
FROM keys JOIN projects ON projects.id = keys.project_id
WHERE projects.name = %(project)s AND keys.name = %(key)s;

-- name: keys_in_ledger
-- A key whose row is gone is still known by what was booked on it.
SELECT DISTINCT key_id AS id FROM ledger_requests
WHERE key_public_id = %(text)s AND day BETWEEN %(first_day)s AND %(last_day)s;

-- name: requests_page
SELECT day, id, project, key_id, key_public_id, endpoint, model, stream, outcome, coalesce(status, 0) AS status,
       coalesce(error_code, '') AS error_code, coalesce(client_request_id, '') AS client_request_id, tags, started_at,
       ended_at
FROM ledger_requests
WHERE
    started_at >= %(begin)s AND started_at < %(end)s AND day BETWEEN %(first_day)s AND %(last_day)s
    AND (%(projects)s::text[] IS NULL OR project = ANY(%(projects)s::text[]))
    AND (%(keys)s::text[] IS NULL OR key_id = ANY(%(keys)s::text[]))
    AND (%(model)s::text IS NULL OR model = %(model)s::text)
    AND day <= %(before_day)s AND (day, id) < (%(before_day)s, %(before_id)s)
ORDER BY day DESC, id DESC
LIMIT %(limit)s;

-- name: attempts_of
SELECT id, request_id, kind, number, provider, target_model, outcome, coalesce(status, 0) AS status,
       coalesce(error_code, '') AS error_code, input_tokens, cached_input_tokens, output_tokens, reasoning_tokens,
       cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, audio_output_tokens,
       image_output_tokens, prediction_accepted_tokens, prediction_rejected_tokens, images, audio_ms, characters,
       searches, cost_nano, coalesce(price_version, '') AS price_version,
       estimated, started_at, ended_at, coalesce(provider_request_id, '') AS provider_request_id
FROM ledger_attempts
WHERE request_id = ANY(%(ids)s) AND day BETWEEN %(first_day)s AND %(last_day)s
ORDER BY request_id, number, kind = 'adjustment', id;
