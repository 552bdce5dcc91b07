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
    audio_output_tokens, cost_nano, price_version, estimated, provider_request_id
)
SELECT
    sent.day, sent.id, sent.request_id, sent.number, sent.business_unit, sent.project, sent.key_id, sent.model,
    sent.provider, sent.provider_kind, sent.target_model, sent.credential, to_timestamp(sent.started_at / 1000.0),
    to_timestamp(sent.ended_at / 1000.0), to_timestamp(sent.first_byte_at / 1000.0), sent.status, sent.outcome,
    sent.error_code, sent.input_tokens, sent.cached_input_tokens, sent.cache_write_5m_tokens,
    sent.cache_write_1h_tokens, sent.audio_input_tokens, sent.output_tokens, sent.reasoning_tokens,
    sent.audio_output_tokens, sent.cost_nano, sent.price_version, sent.estimated, sent.provider_request_id
FROM json_to_recordset(%(rows)s::json) AS sent (
    day date, id uuid, request_id uuid, number integer, business_unit text, project text, key_id text, model text,
    provider text, provider_kind text, target_model text, credential text, started_at bigint, ended_at bigint,
    first_byte_at bigint, status integer, outcome text, error_code text, input_tokens bigint, cached_input_tokens
    bigint, cache_write_5m_tokens bigint, cache_write_1h_tokens bigint, audio_input_tokens bigint, output_tokens
    bigint, reasoning_tokens bigint, audio_output_tokens bigint, cost_nano bigint, price_version text, estimated
    boolean, provider_request_id text
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
    audio_output_tokens, cost_nano, price_version, estimated, provider_request_id
)
SELECT
    'adjustment',
    booked.day, sent.late_id, booked.request_id, booked.number, booked.business_unit, booked.project, booked.key_id,
    booked.model, booked.provider, booked.provider_kind, booked.target_model, booked.credential, booked.started_at,
    to_timestamp(sent.ended_at / 1000.0), to_timestamp(sent.first_byte_at / 1000.0), sent.status, sent.outcome,
    sent.error_code, sent.input_tokens - booked.input_tokens, sent.cached_input_tokens - booked.cached_input_tokens,
    sent.cache_write_5m_tokens - booked.cache_write_5m_tokens, sent.cache_write_1h_tokens -
    booked.cache_write_1h_tokens, sent.audio_input_tokens - booked.audio_input_tokens, sent.output_tokens -
    booked.output_tokens, sent.reasoning_tokens - booked.reasoning_tokens, sent.audio_output_tokens -
    booked.audio_output_tokens, sent.cost_nano - booked.cost_nano, sent.price_version, false,
    sent.provider_request_id
FROM json_to_recordset(%(rows)s::json) AS sent (
    late_id uuid, day date, id uuid, request_id uuid, number integer, business_unit text, project text, key_id text,
    model text, provider text, provider_kind text, target_model text, credential text, started_at bigint, ended_at
    bigint, first_byte_at bigint, status integer, outcome text, error_code text, input_tokens bigint,
    cached_input_tokens bigint, cache_write_5m_tokens bigint, cache_write_1h_tokens bigint, audio_input_tokens
    bigint, output_tokens bigint, reasoning_tokens bigint, audio_output_tokens bigint, cost_nano bigint,
    price_version text, estimated boolean, provider_request_id text
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
SELECT count(*) FROM ledger_quarantine;

-- name: default_rows
-- How many rows no partition of their own takes: a clock that is wrong somewhere, or partitions that were not made.
SELECT (SELECT count(*) FROM ledger_requests_default) + (SELECT count(*) FROM ledger_attempts_default);

-- name: try_partition_lock
SELECT pg_try_advisory_xact_lock(%(lock)s);

-- name: partition_lock
SELECT pg_advisory_xact_lock(%(lock)s);

-- name: partition_bounds
-- The days that each partition takes, the default partition left out.
SELECT (regexp_match(bound.text, 'FROM \(''([0-9-]+)''\)'))[1]::date,
       (regexp_match(bound.text, 'TO \(''([0-9-]+)''\)'))[1]::date
FROM pg_inherits
JOIN pg_class part ON part.oid = pg_inherits.inhrelid
CROSS JOIN LATERAL (SELECT pg_get_expr(part.relpartbound, part.oid) AS text) bound
WHERE pg_inherits.inhparent = %(table)s::regclass AND bound.text <> 'DEFAULT'
ORDER BY 1;
