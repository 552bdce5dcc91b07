-- The ledger's statements: taking rows in.
--
-- Rows go in in the order of their ids: writers that meet wait for each other in the same order (requests, attempts,
-- adjustments; each by id) and so never for good. Rows of which some may be known are copied into a table of the session
-- first.

-- name: make_sent_requests
CREATE TEMPORARY TABLE IF NOT EXISTS sent_requests (
    day date, id uuid, started_at timestamptz, ended_at timestamptz, stream boolean, status integer, organisation
    text, business_unit text, project text, key_id text, model text, user_name text, key_public_id text, endpoint
    text, outcome text, error_code text, client_request_id text, tags jsonb, cache text
) ON COMMIT DELETE ROWS;

-- name: make_sent_attempts
CREATE TEMPORARY TABLE IF NOT EXISTS sent_attempts (
    late_id uuid, day date, id uuid, request_id uuid, number integer, request_started_at timestamptz, started_at
    timestamptz, ended_at timestamptz, cost_nano bigint, estimated boolean, input_tokens bigint, cached_input_tokens
    bigint, cache_write_5m_tokens bigint, cache_write_1h_tokens bigint, audio_input_tokens bigint, image_input_tokens
    bigint, output_tokens bigint, reasoning_tokens bigint, audio_output_tokens bigint, image_output_tokens bigint,
    prediction_accepted_tokens bigint, prediction_rejected_tokens bigint, images bigint, audio_ms bigint, characters
    bigint, searches bigint, first_byte_at timestamptz, status integer, organisation text, business_unit text, project
    text, key_id text, model text, user_name text, provider text, provider_kind text, target_model text, credential
    text, outcome text, error_code text, price_version text, provider_request_id text
) ON COMMIT DELETE ROWS;

-- name: copy_requests
COPY ledger_requests (
    day, id, started_at, ended_at, stream, status, organisation, business_unit, project, key_id, model, user_name,
    key_public_id, endpoint, outcome, error_code, client_request_id, tags, cache
) FROM STDIN (FORMAT binary);

-- name: copy_attempts
COPY ledger_attempts (
    day, id, request_id, number, request_started_at, started_at, ended_at, cost_nano, estimated, input_tokens,
    cached_input_tokens, cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens,
    output_tokens, reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
    prediction_rejected_tokens, images, audio_ms, characters, searches, first_byte_at, status, organisation,
    business_unit, project, key_id, model, user_name, provider, provider_kind, target_model, credential, outcome,
    error_code, price_version, provider_request_id
) FROM STDIN (FORMAT binary);

-- name: copy_sent_requests
COPY pg_temp.sent_requests FROM STDIN (FORMAT binary);

-- name: copy_sent_attempts
COPY pg_temp.sent_attempts FROM STDIN (FORMAT binary);

-- name: insert_requests
INSERT INTO ledger_requests (
    day, id, started_at, ended_at, stream, status, organisation, business_unit, project, key_id, model, user_name,
    key_public_id, endpoint, outcome, error_code, client_request_id, tags, cache
)
SELECT
    day, id, started_at, ended_at, stream, status, organisation, business_unit, project, key_id, model, user_name,
    key_public_id, endpoint, outcome, error_code, client_request_id, tags, cache
FROM pg_temp.sent_requests
ORDER BY id
ON CONFLICT DO NOTHING;

-- name: fresh_requests
-- Those of the requests sent that this transaction has inserted.
SELECT kept.id::text
FROM pg_temp.sent_requests sent
JOIN ledger_requests kept ON kept.day = sent.day AND kept.id = sent.id
WHERE kept.xmin = pg_current_xact_id()::xid;

-- name: say_whether_fresh
SELECT set_config('tollway.new_requests', %(fresh)s, true);

-- name: insert_attempts
-- Of two rows of one attempt in one batch the true one comes first.
INSERT INTO ledger_attempts (
    day, id, request_id, number, request_started_at, started_at, ended_at, cost_nano, estimated, input_tokens,
    cached_input_tokens, cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens,
    output_tokens, reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
    prediction_rejected_tokens, images, audio_ms, characters, searches, first_byte_at, status, organisation,
    business_unit, project, key_id, model, user_name, provider, provider_kind, target_model, credential, outcome,
    error_code, price_version, provider_request_id
)
SELECT
    day, id, request_id, number, request_started_at, started_at, ended_at, cost_nano, estimated, input_tokens,
    cached_input_tokens, cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens,
    output_tokens, reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
    prediction_rejected_tokens, images, audio_ms, characters, searches, first_byte_at, status, organisation,
    business_unit, project, key_id, model, user_name, provider, provider_kind, target_model, credential, outcome,
    error_code, price_version, provider_request_id
FROM pg_temp.sent_attempts
ORDER BY id, estimated
ON CONFLICT DO NOTHING;

-- name: insert_adjustments
-- What a true row adds to the estimate that was booked before it, and to what re-ratings made of that. It belongs to
-- whatever the estimate was booked on.
INSERT INTO ledger_attempts (
    kind, day, id, request_id, number, request_started_at, started_at, ended_at, cost_nano, estimated, input_tokens,
    cached_input_tokens, cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens,
    output_tokens, reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
    prediction_rejected_tokens, images, audio_ms, characters, searches, first_byte_at, status, organisation,
    business_unit, project, key_id, model, user_name, provider, provider_kind, target_model, credential, outcome,
    error_code, price_version, provider_request_id, estimated_nano
)
SELECT
    'adjustment', booked.day, sent.late_id, booked.request_id, booked.number, booked.request_started_at,
    booked.started_at, sent.ended_at, sent.cost_nano - so_far.cost_nano, false, sent.input_tokens -
    booked.input_tokens, sent.cached_input_tokens - booked.cached_input_tokens, sent.cache_write_5m_tokens -
    booked.cache_write_5m_tokens, sent.cache_write_1h_tokens - booked.cache_write_1h_tokens, sent.audio_input_tokens -
    booked.audio_input_tokens, sent.image_input_tokens - booked.image_input_tokens, sent.output_tokens -
    booked.output_tokens, sent.reasoning_tokens - booked.reasoning_tokens, sent.audio_output_tokens -
    booked.audio_output_tokens, sent.image_output_tokens - booked.image_output_tokens, sent.prediction_accepted_tokens
    - booked.prediction_accepted_tokens, sent.prediction_rejected_tokens - booked.prediction_rejected_tokens,
    sent.images - booked.images, sent.audio_ms - booked.audio_ms, sent.characters - booked.characters, sent.searches -
    booked.searches, sent.first_byte_at, sent.status, booked.organisation, booked.business_unit, booked.project,
    booked.key_id, booked.model, booked.user_name, booked.provider, booked.provider_kind, booked.target_model,
    booked.credential, sent.outcome, sent.error_code, sent.price_version, sent.provider_request_id,
    -so_far.estimated_nano
FROM pg_temp.sent_attempts sent
JOIN ledger_attempts booked ON booked.day = sent.day AND booked.id = sent.id
CROSS JOIN LATERAL (
    SELECT sum(cost_nano)::bigint AS cost_nano,
           sum(coalesce(estimated_nano, CASE WHEN estimated THEN cost_nano ELSE 0 END))::bigint AS estimated_nano
    FROM ledger_attempts
    WHERE request_id = booked.request_id AND day = booked.day AND number = booked.number
) so_far
WHERE booked.kind = 'attempt' AND booked.estimated AND NOT sent.estimated
ORDER BY sent.late_id
ON CONFLICT DO NOTHING;

-- name: forget_attempts
DELETE FROM pg_temp.sent_attempts;

-- name: horizon
SELECT to_char(horizon, 'YYYY-MM-DD') AS horizon FROM ledger_retention WHERE horizon > '0001-01-01';

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

-- name: default_has_ledger_requests
SELECT EXISTS (SELECT FROM ledger_requests_default WHERE day >= %(first)s AND day < %(end)s) AS found;

-- name: default_has_ledger_attempts
SELECT EXISTS (SELECT FROM ledger_attempts_default WHERE day >= %(first)s AND day < %(end)s) AS found;

-- name: fold_memory
-- What a fold adds up and sorts fits. It knows every column of the deltas (migration 0024).
SELECT set_config('work_mem', '96MB', true), set_config('tollway.folds_cached', 'on', true);

-- name: reuse_deltas
-- The room of folded deltas is for the next ones: whoever reads what is not folded reads over it too.
VACUUM (SKIP_LOCKED, TRUNCATE false) ledger_deltas;

-- name: sparse_indexes
-- The indexes of the ledger's partitions that know what ranges of pages hold, and how many pages there are.
SELECT part_index.indexrelid::regclass::text AS name, pg_relation_size(part_index.indrelid) / 8192 AS pages
FROM pg_inherits
JOIN pg_index part_index ON part_index.indrelid = pg_inherits.inhrelid
JOIN pg_class ON pg_class.oid = part_index.indexrelid
JOIN pg_am ON pg_am.oid = pg_class.relam AND pg_am.amname = 'brin'
WHERE pg_inherits.inhparent IN ('ledger_requests'::regclass, 'ledger_attempts'::regclass)
ORDER BY 1;

-- name: summarize
SELECT brin_summarize_new_values(%(name)s::regclass) AS rows;

-- name: fold
-- Moves up to so many deltas into the sums. One at a time does this, so that nobody waits for a sum. Most kinds are never
-- used: a sum that meets no value costs neither time nor memory.
WITH taken AS (
    DELETE FROM ledger_deltas
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM ledger_deltas LIMIT %(limit)s))
    RETURNING *
), summed AS (
    SELECT
        begins,
        organisation, business_unit, project, key_id, key_public_id, user_name, model, provider,
        nullif(sum(requests) FILTER (WHERE requests IS NOT NULL), 0) AS requests,
        nullif(sum(cached_requests) FILTER (WHERE cached_requests IS NOT NULL), 0) AS cached_requests,
        nullif(sum(errors) FILTER (WHERE errors IS NOT NULL), 0) AS errors,
        nullif(sum(unpriced) FILTER (WHERE unpriced IS NOT NULL), 0) AS unpriced,
        nullif(sum(cost_nano) FILTER (WHERE cost_nano IS NOT NULL), 0) AS cost_nano,
        nullif(sum(estimated_nano) FILTER (WHERE estimated_nano IS NOT NULL), 0) AS estimated_nano,
        nullif(sum(input_tokens) FILTER (WHERE input_tokens IS NOT NULL), 0) AS input_tokens,
        nullif(sum(cached_input_tokens) FILTER (WHERE cached_input_tokens IS NOT NULL), 0) AS cached_input_tokens,
        nullif(sum(cache_write_5m_tokens) FILTER (WHERE cache_write_5m_tokens IS NOT NULL), 0) AS cache_write_5m_tokens,
        nullif(sum(cache_write_1h_tokens) FILTER (WHERE cache_write_1h_tokens IS NOT NULL), 0) AS cache_write_1h_tokens,
        nullif(sum(audio_input_tokens) FILTER (WHERE audio_input_tokens IS NOT NULL), 0) AS audio_input_tokens,
        nullif(sum(image_input_tokens) FILTER (WHERE image_input_tokens IS NOT NULL), 0) AS image_input_tokens,
        nullif(sum(output_tokens) FILTER (WHERE output_tokens IS NOT NULL), 0) AS output_tokens,
        nullif(sum(reasoning_tokens) FILTER (WHERE reasoning_tokens IS NOT NULL), 0) AS reasoning_tokens,
        nullif(sum(audio_output_tokens) FILTER (WHERE audio_output_tokens IS NOT NULL), 0) AS audio_output_tokens,
        nullif(sum(image_output_tokens) FILTER (WHERE image_output_tokens IS NOT NULL), 0) AS image_output_tokens,
        nullif(sum(prediction_accepted_tokens) FILTER (WHERE prediction_accepted_tokens IS NOT NULL), 0) AS prediction_accepted_tokens,
        nullif(sum(prediction_rejected_tokens) FILTER (WHERE prediction_rejected_tokens IS NOT NULL), 0) AS prediction_rejected_tokens,
        nullif(sum(images) FILTER (WHERE images IS NOT NULL), 0) AS images,
        nullif(sum(audio_ms) FILTER (WHERE audio_ms IS NOT NULL), 0) AS audio_ms,
        nullif(sum(characters) FILTER (WHERE characters IS NOT NULL), 0) AS characters,
        nullif(sum(searches) FILTER (WHERE searches IS NOT NULL), 0) AS searches
    FROM taken
    GROUP BY begins, organisation, business_unit, project, key_id, key_public_id, user_name, model, provider
), identified AS (
    SELECT *, ledger_group_id(
        organisation, business_unit, project, key_id, key_public_id, user_name, model, provider) AS group_id
    FROM summed
), grouped AS (
    INSERT INTO ledger_groups (
        id, organisation, business_unit, project, key_id, key_public_id, user_name, model, provider
    )
    SELECT DISTINCT ON (group_id)
        group_id, organisation, business_unit, project, key_id, key_public_id, user_name, model, provider
    FROM identified
    WHERE NOT EXISTS (SELECT FROM ledger_groups known WHERE known.id = group_id)
    ORDER BY group_id
    ON CONFLICT DO NOTHING
), hours AS (
    INSERT INTO ledger_hours AS kept (
        begins, group_id,
        requests, cached_requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
        reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
        prediction_rejected_tokens, images, audio_ms, characters, searches
    )
    SELECT
        begins, group_id,
        requests, cached_requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
        reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
        prediction_rejected_tokens, images, audio_ms, characters, searches
    FROM identified
    ORDER BY begins, group_id
    ON CONFLICT (begins, group_id) DO UPDATE SET
        cached_requests = nullif(coalesce(kept.cached_requests, 0) + coalesce(excluded.cached_requests, 0), 0),
        requests = nullif(coalesce(kept.requests, 0) + coalesce(excluded.requests, 0), 0), errors =
        nullif(coalesce(kept.errors, 0) + coalesce(excluded.errors, 0), 0), unpriced = nullif(coalesce(kept.unpriced,
        0) + coalesce(excluded.unpriced, 0), 0), cost_nano = nullif(coalesce(kept.cost_nano, 0) +
        coalesce(excluded.cost_nano, 0), 0), estimated_nano = nullif(coalesce(kept.estimated_nano, 0) +
        coalesce(excluded.estimated_nano, 0), 0), input_tokens = nullif(coalesce(kept.input_tokens, 0) +
        coalesce(excluded.input_tokens, 0), 0), cached_input_tokens = nullif(coalesce(kept.cached_input_tokens, 0) +
        coalesce(excluded.cached_input_tokens, 0), 0), cache_write_5m_tokens =
        nullif(coalesce(kept.cache_write_5m_tokens, 0) + coalesce(excluded.cache_write_5m_tokens, 0), 0),
        cache_write_1h_tokens = nullif(coalesce(kept.cache_write_1h_tokens, 0) +
        coalesce(excluded.cache_write_1h_tokens, 0), 0), audio_input_tokens = nullif(coalesce(kept.audio_input_tokens,
        0) + coalesce(excluded.audio_input_tokens, 0), 0), image_input_tokens =
        nullif(coalesce(kept.image_input_tokens, 0) + coalesce(excluded.image_input_tokens, 0), 0), output_tokens =
        nullif(coalesce(kept.output_tokens, 0) + coalesce(excluded.output_tokens, 0), 0), reasoning_tokens =
        nullif(coalesce(kept.reasoning_tokens, 0) + coalesce(excluded.reasoning_tokens, 0), 0), audio_output_tokens =
        nullif(coalesce(kept.audio_output_tokens, 0) + coalesce(excluded.audio_output_tokens, 0), 0),
        image_output_tokens = nullif(coalesce(kept.image_output_tokens, 0) + coalesce(excluded.image_output_tokens,
        0), 0), prediction_accepted_tokens = nullif(coalesce(kept.prediction_accepted_tokens, 0) +
        coalesce(excluded.prediction_accepted_tokens, 0), 0), prediction_rejected_tokens =
        nullif(coalesce(kept.prediction_rejected_tokens, 0) + coalesce(excluded.prediction_rejected_tokens, 0), 0),
        images = nullif(coalesce(kept.images, 0) + coalesce(excluded.images, 0), 0), audio_ms =
        nullif(coalesce(kept.audio_ms, 0) + coalesce(excluded.audio_ms, 0), 0), characters =
        nullif(coalesce(kept.characters, 0) + coalesce(excluded.characters, 0), 0), searches =
        nullif(coalesce(kept.searches, 0) + coalesce(excluded.searches, 0), 0)
), days AS (
    INSERT INTO ledger_days AS kept (
        begins, group_id,
        requests, errors, cached_requests, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
        reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
        prediction_rejected_tokens, images, audio_ms, characters, searches
    )
    SELECT
        date_trunc('day', begins, 'UTC'), group_id,
        sum(requests) FILTER (WHERE requests IS NOT NULL), sum(errors) FILTER (WHERE errors IS NOT NULL),
        sum(cached_requests) FILTER (WHERE cached_requests IS NOT NULL),
        sum(unpriced) FILTER (WHERE unpriced IS NOT NULL), sum(cost_nano) FILTER (WHERE cost_nano IS NOT NULL),
        sum(estimated_nano) FILTER (WHERE estimated_nano IS NOT NULL),
        sum(input_tokens) FILTER (WHERE input_tokens IS NOT NULL),
        sum(cached_input_tokens) FILTER (WHERE cached_input_tokens IS NOT NULL),
        sum(cache_write_5m_tokens) FILTER (WHERE cache_write_5m_tokens IS NOT NULL),
        sum(cache_write_1h_tokens) FILTER (WHERE cache_write_1h_tokens IS NOT NULL),
        sum(audio_input_tokens) FILTER (WHERE audio_input_tokens IS NOT NULL),
        sum(image_input_tokens) FILTER (WHERE image_input_tokens IS NOT NULL),
        sum(output_tokens) FILTER (WHERE output_tokens IS NOT NULL),
        sum(reasoning_tokens) FILTER (WHERE reasoning_tokens IS NOT NULL),
        sum(audio_output_tokens) FILTER (WHERE audio_output_tokens IS NOT NULL),
        sum(image_output_tokens) FILTER (WHERE image_output_tokens IS NOT NULL),
        sum(prediction_accepted_tokens) FILTER (WHERE prediction_accepted_tokens IS NOT NULL),
        sum(prediction_rejected_tokens) FILTER (WHERE prediction_rejected_tokens IS NOT NULL),
        sum(images) FILTER (WHERE images IS NOT NULL), sum(audio_ms) FILTER (WHERE audio_ms IS NOT NULL),
        sum(characters) FILTER (WHERE characters IS NOT NULL), sum(searches) FILTER (WHERE searches IS NOT NULL)
    FROM identified
    GROUP BY 1, 2
    ON CONFLICT (begins, group_id) DO UPDATE SET
        cached_requests = nullif(coalesce(kept.cached_requests, 0) + coalesce(excluded.cached_requests, 0), 0),
        requests = nullif(coalesce(kept.requests, 0) + coalesce(excluded.requests, 0), 0), errors =
        nullif(coalesce(kept.errors, 0) + coalesce(excluded.errors, 0), 0), unpriced = nullif(coalesce(kept.unpriced,
        0) + coalesce(excluded.unpriced, 0), 0), cost_nano = nullif(coalesce(kept.cost_nano, 0) +
        coalesce(excluded.cost_nano, 0), 0), estimated_nano = nullif(coalesce(kept.estimated_nano, 0) +
        coalesce(excluded.estimated_nano, 0), 0), input_tokens = nullif(coalesce(kept.input_tokens, 0) +
        coalesce(excluded.input_tokens, 0), 0), cached_input_tokens = nullif(coalesce(kept.cached_input_tokens, 0) +
        coalesce(excluded.cached_input_tokens, 0), 0), cache_write_5m_tokens =
        nullif(coalesce(kept.cache_write_5m_tokens, 0) + coalesce(excluded.cache_write_5m_tokens, 0), 0),
        cache_write_1h_tokens = nullif(coalesce(kept.cache_write_1h_tokens, 0) +
        coalesce(excluded.cache_write_1h_tokens, 0), 0), audio_input_tokens = nullif(coalesce(kept.audio_input_tokens,
        0) + coalesce(excluded.audio_input_tokens, 0), 0), image_input_tokens =
        nullif(coalesce(kept.image_input_tokens, 0) + coalesce(excluded.image_input_tokens, 0), 0), output_tokens =
        nullif(coalesce(kept.output_tokens, 0) + coalesce(excluded.output_tokens, 0), 0), reasoning_tokens =
        nullif(coalesce(kept.reasoning_tokens, 0) + coalesce(excluded.reasoning_tokens, 0), 0), audio_output_tokens =
        nullif(coalesce(kept.audio_output_tokens, 0) + coalesce(excluded.audio_output_tokens, 0), 0),
        image_output_tokens = nullif(coalesce(kept.image_output_tokens, 0) + coalesce(excluded.image_output_tokens,
        0), 0), prediction_accepted_tokens = nullif(coalesce(kept.prediction_accepted_tokens, 0) +
        coalesce(excluded.prediction_accepted_tokens, 0), 0), prediction_rejected_tokens =
        nullif(coalesce(kept.prediction_rejected_tokens, 0) + coalesce(excluded.prediction_rejected_tokens, 0), 0),
        images = nullif(coalesce(kept.images, 0) + coalesce(excluded.images, 0), 0), audio_ms =
        nullif(coalesce(kept.audio_ms, 0) + coalesce(excluded.audio_ms, 0), 0), characters =
        nullif(coalesce(kept.characters, 0) + coalesce(excluded.characters, 0), 0), searches =
        nullif(coalesce(kept.searches, 0) + coalesce(excluded.searches, 0), 0)
)
SELECT count(*) AS rows FROM taken;

-- name: report_memory
-- What a report adds up fits, for the rest of the transaction: otherwise it is sorted on disk first.
SELECT set_config('work_mem', '32MB', true);

-- name: dearest
-- The dearest projects, keys or users, and how many there are: as `usage_sums` would rank them, from the fewest columns.
-- What is added up by group first has to be named once only.
WITH summed AS (
    SELECT group_id, sum(requests) AS requests, sum(cost_nano) AS cost_nano
    FROM (
        SELECT group_id, requests, cost_nano FROM ledger_weeks
        WHERE begins >= %(weeks_from)s AND begins < %(weeks_to)s
        UNION ALL
        SELECT group_id, %(head_sign)s::integer * requests, %(head_sign)s::integer * cost_nano FROM ledger_days
        WHERE begins >= %(head_from)s AND begins < %(head_to)s
        UNION ALL
        SELECT group_id, %(tail_sign)s::integer * requests, %(tail_sign)s::integer * cost_nano FROM ledger_days
        WHERE begins >= %(tail_from)s AND begins < %(tail_to)s
        UNION ALL
        SELECT group_id, %(early_sign)s::integer * requests, %(early_sign)s::integer * cost_nano FROM ledger_hours
        WHERE begins >= %(early_from)s AND begins < %(early_to)s
        UNION ALL
        SELECT group_id, %(late_sign)s::integer * requests, %(late_sign)s::integer * cost_nano FROM ledger_hours
        WHERE begins >= %(late_from)s AND begins < %(late_to)s
    ) parts
    GROUP BY group_id
), named AS (
    SELECT business_unit, project, key_id, user_name, model, requests, cost_nano
    FROM summed JOIN ledger_groups ON ledger_groups.id = group_id
    UNION ALL
    SELECT business_unit, project, key_id, user_name, model, weight * requests, weight * cost_nano
    FROM ledger_deltas
    CROSS JOIN LATERAL (SELECT
        (begins >= %(days_from)s AND begins < %(days_to)s)::integer
        + (begins >= %(early_from)s AND begins < %(early_to)s)::integer * %(early_sign)s::integer
        + (begins >= %(late_from)s AND begins < %(late_to)s)::integer * %(late_sign)s::integer AS weight
    ) weighed
    WHERE weight <> 0
    UNION ALL
    SELECT business_unit, project, key_id, user_name, model, %(early_sign)s::integer * requests,
           %(early_sign)s::integer * cost_nano
    FROM ledger_counted(%(first_from)s, %(first_to)s, %(first_from_day)s, %(first_to_day)s)
    WHERE %(first_from)s::timestamptz < %(first_to)s::timestamptz
    UNION ALL
    SELECT business_unit, project, key_id, user_name, model, %(late_sign)s::integer * requests,
           %(late_sign)s::integer * cost_nano
    FROM ledger_counted(%(last_from)s, %(last_to)s, %(last_from_day)s, %(last_to_day)s)
    WHERE %(last_from)s::timestamptz < %(last_to)s::timestamptz
)
SELECT
    (CASE %(by)s::text WHEN 'project' THEN project WHEN 'key' THEN key_id ELSE user_name END) COLLATE "C" AS id,
    count(*) OVER () AS groups
FROM named
WHERE (%(model)s::text IS NULL OR model = %(model)s::text)
    AND (%(units)s::text[] IS NULL OR business_unit = ANY(%(units)s::text[]))
GROUP BY 1
HAVING sum(requests) <> 0 OR sum(cost_nano) <> 0
ORDER BY nullif(sum(cost_nano), 0) DESC NULLS LAST, 1
LIMIT %(top)s;

-- name: usage_sums
-- Weeks, days and hours from the roll-ups, what is left of hours at both ends from the rows; a sign says what is too much
-- of a week or a day and is taken off. What nobody asks for by project, key or user comes from the totals (`coarse`).
-- Filters are in every part: what they leave out is not read. Requests have no provider: what they add up to is apart
-- from what attempts do. A sum that meets no value costs neither time nor memory; it is null, as is one of nothing.
-- Weeks, of which there are most, are added up where they are read, which is faster; the rest is added up together.
-- Rows without an id are the sums of all groups. Of the others those of the dearest come (`top`, null: of all); by
-- provider, requests have no group. `groups` counts those in which anything is left.
WITH chosen AS (
    SELECT
        %(head_sign)s::integer AS sign, begins, business_unit, project, key_id, key_public_id, user_name, model,
        provider,
        requests, cached_requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
        reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
        prediction_rejected_tokens, images, audio_ms, characters, searches
    FROM ledger_days JOIN ledger_groups ON ledger_groups.id = group_id
    WHERE NOT %(coarse)s AND begins >= %(head_from)s AND begins < %(head_to)s
        AND (%(projects)s::text[] IS NULL OR project = ANY(%(projects)s::text[]))
        AND (%(keys)s::text[] IS NULL OR key_id = ANY(%(keys)s::text[]))
        AND (%(users)s::text[] IS NULL OR user_name = ANY(%(users)s::text[]))
        AND (%(model)s::text IS NULL OR model = %(model)s::text)
        AND (%(units)s::text[] IS NULL OR business_unit = ANY(%(units)s::text[]))
    UNION ALL
    SELECT
        %(tail_sign)s::integer AS sign, begins, business_unit, project, key_id, key_public_id, user_name, model,
        provider,
        requests, cached_requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
        reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
        prediction_rejected_tokens, images, audio_ms, characters, searches
    FROM ledger_days JOIN ledger_groups ON ledger_groups.id = group_id
    WHERE NOT %(coarse)s AND begins >= %(tail_from)s AND begins < %(tail_to)s
        AND (%(projects)s::text[] IS NULL OR project = ANY(%(projects)s::text[]))
        AND (%(keys)s::text[] IS NULL OR key_id = ANY(%(keys)s::text[]))
        AND (%(users)s::text[] IS NULL OR user_name = ANY(%(users)s::text[]))
        AND (%(model)s::text IS NULL OR model = %(model)s::text)
        AND (%(units)s::text[] IS NULL OR business_unit = ANY(%(units)s::text[]))
    UNION ALL
    SELECT
        1 AS sign, begins, business_unit, '', '', '', '', model, provider,
        requests, cached_requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
        reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
        prediction_rejected_tokens, images, audio_ms, characters, searches
    FROM ledger_totals
    WHERE %(coarse)s AND begins >= %(days_from)s AND begins < %(days_to)s
        AND (%(model)s::text IS NULL OR model = %(model)s::text)
        AND (%(units)s::text[] IS NULL OR business_unit = ANY(%(units)s::text[]))
    UNION ALL
    SELECT
        %(early_sign)s::integer AS sign, begins, business_unit, project, key_id, key_public_id, user_name, model,
        provider,
        requests, cached_requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
        reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
        prediction_rejected_tokens, images, audio_ms, characters, searches
    FROM ledger_hours JOIN ledger_groups ON ledger_groups.id = group_id
    WHERE begins >= %(early_from)s AND begins < %(early_to)s
        AND (%(projects)s::text[] IS NULL OR project = ANY(%(projects)s::text[]))
        AND (%(keys)s::text[] IS NULL OR key_id = ANY(%(keys)s::text[]))
        AND (%(users)s::text[] IS NULL OR user_name = ANY(%(users)s::text[]))
        AND (%(model)s::text IS NULL OR model = %(model)s::text)
        AND (%(units)s::text[] IS NULL OR business_unit = ANY(%(units)s::text[]))
    UNION ALL
    SELECT
        %(late_sign)s::integer AS sign, begins, business_unit, project, key_id, key_public_id, user_name, model,
        provider,
        requests, cached_requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
        reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
        prediction_rejected_tokens, images, audio_ms, characters, searches
    FROM ledger_hours JOIN ledger_groups ON ledger_groups.id = group_id
    WHERE begins >= %(late_from)s AND begins < %(late_to)s
        AND (%(projects)s::text[] IS NULL OR project = ANY(%(projects)s::text[]))
        AND (%(keys)s::text[] IS NULL OR key_id = ANY(%(keys)s::text[]))
        AND (%(users)s::text[] IS NULL OR user_name = ANY(%(users)s::text[]))
        AND (%(model)s::text IS NULL OR model = %(model)s::text)
        AND (%(units)s::text[] IS NULL OR business_unit = ANY(%(units)s::text[]))
    UNION ALL
    SELECT
        weight AS sign, begins, business_unit, project, key_id, key_public_id, user_name, model, provider,
        requests, cached_requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
        reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
        prediction_rejected_tokens, images, audio_ms, characters, searches
    FROM ledger_deltas
    CROSS JOIN LATERAL (SELECT
        (begins >= %(days_from)s AND begins < %(days_to)s)::integer
        + (begins >= %(early_from)s AND begins < %(early_to)s)::integer * %(early_sign)s::integer
        + (begins >= %(late_from)s AND begins < %(late_to)s)::integer * %(late_sign)s::integer AS weight
    ) weighed
    WHERE weight <> 0
        AND (%(projects)s::text[] IS NULL OR project = ANY(%(projects)s::text[]))
        AND (%(keys)s::text[] IS NULL OR key_id = ANY(%(keys)s::text[]))
        AND (%(users)s::text[] IS NULL OR user_name = ANY(%(users)s::text[]))
        AND (%(model)s::text IS NULL OR model = %(model)s::text)
        AND (%(units)s::text[] IS NULL OR business_unit = ANY(%(units)s::text[]))
    UNION ALL
    SELECT
        %(early_sign)s::integer AS sign, begins, business_unit, project, key_id, key_public_id, user_name, model,
        provider,
        requests, cached_requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
        reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
        prediction_rejected_tokens, images, audio_ms, characters, searches
    FROM ledger_counted(%(first_from)s, %(first_to)s, %(first_from_day)s, %(first_to_day)s)
    WHERE %(first_from)s::timestamptz < %(first_to)s::timestamptz
        AND (%(projects)s::text[] IS NULL OR project = ANY(%(projects)s::text[]))
        AND (%(keys)s::text[] IS NULL OR key_id = ANY(%(keys)s::text[]))
        AND (%(users)s::text[] IS NULL OR user_name = ANY(%(users)s::text[]))
        AND (%(model)s::text IS NULL OR model = %(model)s::text)
        AND (%(units)s::text[] IS NULL OR business_unit = ANY(%(units)s::text[]))
    UNION ALL
    SELECT
        %(late_sign)s::integer AS sign, begins, business_unit, project, key_id, key_public_id, user_name, model,
        provider,
        requests, cached_requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
        reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
        prediction_rejected_tokens, images, audio_ms, characters, searches
    FROM ledger_counted(%(last_from)s, %(last_to)s, %(last_from_day)s, %(last_to_day)s)
    WHERE %(last_from)s::timestamptz < %(last_to)s::timestamptz
        AND (%(projects)s::text[] IS NULL OR project = ANY(%(projects)s::text[]))
        AND (%(keys)s::text[] IS NULL OR key_id = ANY(%(keys)s::text[]))
        AND (%(users)s::text[] IS NULL OR user_name = ANY(%(users)s::text[]))
        AND (%(model)s::text IS NULL OR model = %(model)s::text)
        AND (%(units)s::text[] IS NULL OR business_unit = ANY(%(units)s::text[]))
), summed AS (
    SELECT
        1 AS sign,
        CASE WHEN %(by)s::text IN ('day', 'hour') THEN begins END AS begins,
        CASE %(by)s::text
            WHEN 'project' THEN project
            WHEN 'key' THEN key_id
            WHEN 'model' THEN model
            WHEN 'business_unit' THEN business_unit
            WHEN 'user' THEN user_name
            WHEN 'provider' THEN coalesce(provider, '')
        END AS id,
        provider IS NOT NULL AS spent,
        max(CASE WHEN %(by)s::text = 'key' THEN key_public_id END) AS public_id,
        max(CASE WHEN %(by)s::text = 'key' THEN project END) AS project,
        sum(requests) FILTER (WHERE requests IS NOT NULL) AS requests,
        sum(cached_requests) FILTER (WHERE cached_requests IS NOT NULL) AS cached_requests,
        sum(errors) FILTER (WHERE errors IS NOT NULL) AS errors,
        sum(unpriced) FILTER (WHERE unpriced IS NOT NULL) AS unpriced,
        sum(cost_nano) FILTER (WHERE cost_nano IS NOT NULL) AS cost_nano,
        sum(estimated_nano) FILTER (WHERE estimated_nano IS NOT NULL) AS estimated_nano,
        sum(input_tokens) FILTER (WHERE input_tokens IS NOT NULL) AS input_tokens,
        sum(cached_input_tokens) FILTER (WHERE cached_input_tokens IS NOT NULL) AS cached_input_tokens,
        sum(cache_write_5m_tokens) FILTER (WHERE cache_write_5m_tokens IS NOT NULL) AS cache_write_5m_tokens,
        sum(cache_write_1h_tokens) FILTER (WHERE cache_write_1h_tokens IS NOT NULL) AS cache_write_1h_tokens,
        sum(audio_input_tokens) FILTER (WHERE audio_input_tokens IS NOT NULL) AS audio_input_tokens,
        sum(image_input_tokens) FILTER (WHERE image_input_tokens IS NOT NULL) AS image_input_tokens,
        sum(output_tokens) FILTER (WHERE output_tokens IS NOT NULL) AS output_tokens,
        sum(reasoning_tokens) FILTER (WHERE reasoning_tokens IS NOT NULL) AS reasoning_tokens,
        sum(audio_output_tokens) FILTER (WHERE audio_output_tokens IS NOT NULL) AS audio_output_tokens,
        sum(image_output_tokens) FILTER (WHERE image_output_tokens IS NOT NULL) AS image_output_tokens,
        sum(prediction_accepted_tokens) FILTER (WHERE prediction_accepted_tokens IS NOT NULL) AS prediction_accepted_tokens,
        sum(prediction_rejected_tokens) FILTER (WHERE prediction_rejected_tokens IS NOT NULL) AS prediction_rejected_tokens,
        sum(images) FILTER (WHERE images IS NOT NULL) AS images,
        sum(audio_ms) FILTER (WHERE audio_ms IS NOT NULL) AS audio_ms,
        sum(characters) FILTER (WHERE characters IS NOT NULL) AS characters,
        sum(searches) FILTER (WHERE searches IS NOT NULL) AS searches
    FROM ledger_weeks JOIN ledger_groups ON ledger_groups.id = group_id
    WHERE NOT %(coarse)s AND begins >= %(weeks_from)s AND begins < %(weeks_to)s
        AND (%(projects)s::text[] IS NULL OR project = ANY(%(projects)s::text[]))
        AND (%(keys)s::text[] IS NULL OR key_id = ANY(%(keys)s::text[]))
        AND (%(users)s::text[] IS NULL OR user_name = ANY(%(users)s::text[]))
        AND (%(model)s::text IS NULL OR model = %(model)s::text)
        AND (%(units)s::text[] IS NULL OR business_unit = ANY(%(units)s::text[]))
    GROUP BY 2, 3, 4
    UNION ALL
    SELECT
        sign,
        CASE WHEN %(by)s::text IN ('day', 'hour') THEN begins END AS begins,
        CASE %(by)s::text
            WHEN 'project' THEN project
            WHEN 'key' THEN key_id
            WHEN 'model' THEN model
            WHEN 'business_unit' THEN business_unit
            WHEN 'user' THEN user_name
            WHEN 'provider' THEN coalesce(provider, '')
        END AS id,
        provider IS NOT NULL AS spent,
        max(CASE WHEN %(by)s::text = 'key' THEN key_public_id END) AS public_id,
        max(CASE WHEN %(by)s::text = 'key' THEN project END) AS project,
        sum(requests) FILTER (WHERE requests IS NOT NULL) AS requests,
        sum(cached_requests) FILTER (WHERE cached_requests IS NOT NULL) AS cached_requests,
        sum(errors) FILTER (WHERE errors IS NOT NULL) AS errors,
        sum(unpriced) FILTER (WHERE unpriced IS NOT NULL) AS unpriced,
        sum(cost_nano) FILTER (WHERE cost_nano IS NOT NULL) AS cost_nano,
        sum(estimated_nano) FILTER (WHERE estimated_nano IS NOT NULL) AS estimated_nano,
        sum(input_tokens) FILTER (WHERE input_tokens IS NOT NULL) AS input_tokens,
        sum(cached_input_tokens) FILTER (WHERE cached_input_tokens IS NOT NULL) AS cached_input_tokens,
        sum(cache_write_5m_tokens) FILTER (WHERE cache_write_5m_tokens IS NOT NULL) AS cache_write_5m_tokens,
        sum(cache_write_1h_tokens) FILTER (WHERE cache_write_1h_tokens IS NOT NULL) AS cache_write_1h_tokens,
        sum(audio_input_tokens) FILTER (WHERE audio_input_tokens IS NOT NULL) AS audio_input_tokens,
        sum(image_input_tokens) FILTER (WHERE image_input_tokens IS NOT NULL) AS image_input_tokens,
        sum(output_tokens) FILTER (WHERE output_tokens IS NOT NULL) AS output_tokens,
        sum(reasoning_tokens) FILTER (WHERE reasoning_tokens IS NOT NULL) AS reasoning_tokens,
        sum(audio_output_tokens) FILTER (WHERE audio_output_tokens IS NOT NULL) AS audio_output_tokens,
        sum(image_output_tokens) FILTER (WHERE image_output_tokens IS NOT NULL) AS image_output_tokens,
        sum(prediction_accepted_tokens) FILTER (WHERE prediction_accepted_tokens IS NOT NULL) AS prediction_accepted_tokens,
        sum(prediction_rejected_tokens) FILTER (WHERE prediction_rejected_tokens IS NOT NULL) AS prediction_rejected_tokens,
        sum(images) FILTER (WHERE images IS NOT NULL) AS images,
        sum(audio_ms) FILTER (WHERE audio_ms IS NOT NULL) AS audio_ms,
        sum(characters) FILTER (WHERE characters IS NOT NULL) AS characters,
        sum(searches) FILTER (WHERE searches IS NOT NULL) AS searches
    FROM chosen
    GROUP BY 1, 2, 3, 4
), told AS (
    SELECT
        CASE %(by)s::text
            WHEN 'day' THEN to_char(begins AT TIME ZONE 'UTC', 'YYYY-MM-DD')
            WHEN 'hour' THEN to_char(begins AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24":00Z"')
            ELSE id
        END AS id,
        spent,
        coalesce(max(public_id), '') AS public_id,
        coalesce(max(project), '') AS project,
        nullif(sum(sign * requests) FILTER (WHERE requests IS NOT NULL), 0) AS requests,
        nullif(sum(sign * cached_requests) FILTER (WHERE cached_requests IS NOT NULL), 0) AS cached_requests,
        nullif(sum(sign * errors) FILTER (WHERE errors IS NOT NULL), 0) AS errors,
        nullif(sum(sign * unpriced) FILTER (WHERE unpriced IS NOT NULL), 0) AS unpriced,
        nullif(sum(sign * cost_nano) FILTER (WHERE cost_nano IS NOT NULL), 0) AS cost_nano,
        nullif(sum(sign * estimated_nano) FILTER (WHERE estimated_nano IS NOT NULL), 0) AS estimated_nano,
        nullif(sum(sign * input_tokens) FILTER (WHERE input_tokens IS NOT NULL), 0) AS input_tokens,
        nullif(sum(sign * cached_input_tokens) FILTER (WHERE cached_input_tokens IS NOT NULL), 0) AS cached_input_tokens,
        nullif(sum(sign * cache_write_5m_tokens) FILTER (WHERE cache_write_5m_tokens IS NOT NULL), 0) AS cache_write_5m_tokens,
        nullif(sum(sign * cache_write_1h_tokens) FILTER (WHERE cache_write_1h_tokens IS NOT NULL), 0) AS cache_write_1h_tokens,
        nullif(sum(sign * audio_input_tokens) FILTER (WHERE audio_input_tokens IS NOT NULL), 0) AS audio_input_tokens,
        nullif(sum(sign * image_input_tokens) FILTER (WHERE image_input_tokens IS NOT NULL), 0) AS image_input_tokens,
        nullif(sum(sign * output_tokens) FILTER (WHERE output_tokens IS NOT NULL), 0) AS output_tokens,
        nullif(sum(sign * reasoning_tokens) FILTER (WHERE reasoning_tokens IS NOT NULL), 0) AS reasoning_tokens,
        nullif(sum(sign * audio_output_tokens) FILTER (WHERE audio_output_tokens IS NOT NULL), 0) AS audio_output_tokens,
        nullif(sum(sign * image_output_tokens) FILTER (WHERE image_output_tokens IS NOT NULL), 0) AS image_output_tokens,
        nullif(sum(sign * prediction_accepted_tokens) FILTER (WHERE prediction_accepted_tokens IS NOT NULL), 0) AS prediction_accepted_tokens,
        nullif(sum(sign * prediction_rejected_tokens) FILTER (WHERE prediction_rejected_tokens IS NOT NULL), 0) AS prediction_rejected_tokens,
        nullif(sum(sign * images) FILTER (WHERE images IS NOT NULL), 0) AS images,
        nullif(sum(sign * audio_ms) FILTER (WHERE audio_ms IS NOT NULL), 0) AS audio_ms,
        nullif(sum(sign * characters) FILTER (WHERE characters IS NOT NULL), 0) AS characters,
        nullif(sum(sign * searches) FILTER (WHERE searches IS NOT NULL), 0) AS searches
    FROM summed
    GROUP BY GROUPING SETS ((1, 2), (2))
), ranked AS (
    SELECT
        id, row_number() OVER (ORDER BY sum(cost_nano) FILTER (WHERE spent) DESC NULLS LAST, id COLLATE "C") AS place,
        count(*) OVER () AS groups
    FROM told
    WHERE id IS NOT NULL AND (spent OR %(by)s::text <> 'provider') AND num_nonnulls(
        requests, cached_requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
        reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
        prediction_rejected_tokens, images, audio_ms, characters, searches
    ) > 0
    GROUP BY id
)
SELECT told.*, coalesce(groups, 0) AS groups
FROM told LEFT JOIN ranked USING (id)
WHERE told.id IS NULL OR %(top)s::integer IS NULL AND place IS NOT NULL OR place <= %(top)s::integer;

-- name: balances
-- One period, many questions. What came after the cut is taken off again. A part answers questions on all of a unit or an
-- organisation (`wide`), on projects, keys and users (`narrow`; of weeks and days only those that are asked for), or
-- both.
WITH asked AS (
    SELECT * FROM unnest(%(numbers)s::int[], %(scopes)s::text[], %(subjects)s::text[], %(models)s::text[])
        AS asked (number, scope, subject, model)
), chosen AS (
    SELECT true AS wide, false AS narrow, organisation, business_unit, NULL AS project, NULL AS key_id,
           NULL AS user_name, model, provider IS NULL AS counts, requests, cost_nano,
           coalesce(input_tokens, 0) + coalesce(output_tokens, 0) AS tokens
    FROM ledger_totals
    WHERE %(wide)s AND begins >= %(days_from)s AND begins < %(days_to)s
    UNION ALL
    SELECT false, true, organisation, business_unit, project, key_id, user_name, model, provider IS NULL, requests,
           cost_nano, coalesce(input_tokens, 0) + coalesce(output_tokens, 0)
    FROM ledger_weeks JOIN ledger_groups ON ledger_groups.id = group_id
    WHERE begins >= %(weeks_from)s AND begins < %(weeks_to)s AND (
        project = ANY (%(projects)s::text[]) OR key_id = ANY (%(keys)s::text[]) OR user_name = ANY (%(users)s::text[])
    )
    UNION ALL
    SELECT false, true, organisation, business_unit, project, key_id, user_name, model, provider IS NULL,
           requests * %(head_sign)s, cost_nano * %(head_sign)s,
           (coalesce(input_tokens, 0) + coalesce(output_tokens, 0)) * %(head_sign)s
    FROM ledger_days JOIN ledger_groups ON ledger_groups.id = group_id
    WHERE begins >= %(head_from)s AND begins < %(head_to)s AND (
        project = ANY (%(projects)s::text[]) OR key_id = ANY (%(keys)s::text[]) OR user_name = ANY (%(users)s::text[])
    )
    UNION ALL
    SELECT false, true, organisation, business_unit, project, key_id, user_name, model, provider IS NULL,
           requests * %(tail_sign)s, cost_nano * %(tail_sign)s,
           (coalesce(input_tokens, 0) + coalesce(output_tokens, 0)) * %(tail_sign)s
    FROM ledger_days JOIN ledger_groups ON ledger_groups.id = group_id
    WHERE begins >= %(tail_from)s AND begins < %(tail_to)s AND (
        project = ANY (%(projects)s::text[]) OR key_id = ANY (%(keys)s::text[]) OR user_name = ANY (%(users)s::text[])
    )
    UNION ALL
    SELECT true, true, organisation, business_unit, project, key_id, user_name, model, provider IS NULL, requests,
           cost_nano, coalesce(input_tokens, 0) + coalesce(output_tokens, 0)
    FROM ledger_hours JOIN ledger_groups ON ledger_groups.id = group_id
    WHERE begins >= %(early_from)s AND begins < %(early_to)s OR begins >= %(late_from)s AND begins < %(late_to)s
    UNION ALL
    SELECT true, true, organisation, business_unit, project, key_id, user_name, model, provider IS NULL, requests,
           cost_nano, coalesce(input_tokens, 0) + coalesce(output_tokens, 0)
    FROM ledger_deltas
    WHERE begins >= %(days_from)s AND begins < %(days_to)s OR begins >= %(early_from)s AND begins < %(early_to)s
       OR begins >= %(late_from)s AND begins < %(late_to)s
    UNION ALL
    SELECT true, true, organisation, business_unit, project, key_id, user_name, model, provider IS NULL, requests,
           cost_nano, coalesce(input_tokens, 0) + coalesce(output_tokens, 0)
    FROM ledger_counted(%(first_from)s, %(first_to)s, %(first_from_day)s, %(first_to_day)s)
    WHERE %(first_from)s::timestamptz < %(first_to)s::timestamptz
    UNION ALL
    SELECT true, true, organisation, business_unit, project, key_id, user_name, model, provider IS NULL, requests,
           cost_nano, coalesce(input_tokens, 0) + coalesce(output_tokens, 0)
    FROM ledger_counted(%(last_from)s, %(last_to)s, %(last_from_day)s, %(last_to_day)s)
    WHERE %(last_from)s::timestamptz < %(last_to)s::timestamptz
    UNION ALL
    SELECT true, true, organisation, business_unit, project, key_id, user_name, model, true, -1, 0, 0
    FROM ledger_requests
    WHERE %(cuts)s AND taken_at > %(cut)s AND started_at >= %(since)s AND started_at < %(until)s
    UNION ALL
    SELECT true, true, coalesce(organisation, ''), business_unit, project, key_id, user_name, model, false, 0,
           -cost_nano, -input_tokens - output_tokens
    FROM ledger_attempts
    WHERE %(cuts)s AND taken_at > %(cut)s AND coalesce(request_started_at, started_at) >= %(since)s
      AND coalesce(request_started_at, started_at) < %(until)s
), summed AS (
    SELECT wide, narrow, organisation, business_unit, project, key_id, user_name, model,
           coalesce(sum(requests) FILTER (WHERE counts), 0) AS requests,
           coalesce(sum(cost_nano), 0) AS cost, coalesce(sum(tokens), 0) AS tokens
    FROM chosen
    WHERE %(organisation)s::text = '' OR organisation = %(organisation)s::text
    GROUP BY wide, narrow, organisation, business_unit, project, key_id, user_name, model
)
SELECT asked.number, sum(requests)::text AS requests, sum(cost)::text AS cost, sum(tokens)::text AS tokens
FROM summed
CROSS JOIN LATERAL (VALUES
    ('organisation', wide, organisation), ('business_unit', wide, business_unit), ('project', narrow, project),
    ('key', narrow, key_id), ('user', narrow, user_name), ('model', wide, summed.model)
) AS belongs (scope, answers, subject)
JOIN asked ON belongs.answers AND asked.scope = belongs.scope AND asked.subject = belongs.subject
    AND summed.model LIKE asked.model
GROUP BY asked.number;

-- name: key_families
-- A key goes on from those that it replaced.
SELECT asked.id::text AS key, ARRAY(
    SELECT one.id::text FROM keys one
    WHERE one.id = coalesce(asked.rules_of, asked.id) OR one.rules_of = coalesce(asked.rules_of, asked.id)
) AS family
FROM keys asked
WHERE asked.id = ANY (%(keys)s::uuid[]);

-- name: ledger_now
-- A moment before which every row was committed: whoever takes rows in holds this lock until then.
SELECT true AS locked FROM pg_advisory_xact_lock(%(lock)s);

-- name: cut_now
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS cut;

-- name: share_lock
SELECT pg_advisory_xact_lock_shared(%(lock)s);

-- name: compare_hours
-- The sums by hour beside what the rows add up to, those that differ first. Cached requests of before they were counted
-- are compared once they are (`ledger_recount`).
WITH told AS (
    SELECT 'kept' AS side, * FROM ledger_by_hour WHERE begins >= %(begins)s AND begins < %(ends)s
    UNION ALL
    SELECT 'counted' AS side, * FROM ledger_counted(%(begins)s, %(ends)s, %(first_day)s, %(last_day)s)
), compared AS (
    SELECT
        begins, organisation, business_unit, project, key_id, key_public_id, user_name, model, provider,
        ARRAY[
            coalesce(sum(requests) FILTER (WHERE side = 'kept'), 0),
            coalesce(sum(cached_requests) FILTER (WHERE side = 'kept' AND begins < %(counted_until)s), 0),
            coalesce(sum(errors) FILTER (WHERE side =
            'kept'), 0), coalesce(sum(unpriced) FILTER (WHERE side = 'kept'), 0), coalesce(sum(cost_nano) FILTER
            (WHERE side = 'kept'), 0), coalesce(sum(estimated_nano) FILTER (WHERE side = 'kept'), 0),
            coalesce(sum(input_tokens) FILTER (WHERE side = 'kept'), 0), coalesce(sum(cached_input_tokens) FILTER
            (WHERE side = 'kept'), 0), coalesce(sum(cache_write_5m_tokens) FILTER (WHERE side = 'kept'), 0),
            coalesce(sum(cache_write_1h_tokens) FILTER (WHERE side = 'kept'), 0), coalesce(sum(audio_input_tokens)
            FILTER (WHERE side = 'kept'), 0), coalesce(sum(image_input_tokens) FILTER (WHERE side = 'kept'), 0),
            coalesce(sum(output_tokens) FILTER (WHERE side = 'kept'), 0), coalesce(sum(reasoning_tokens) FILTER (WHERE
            side = 'kept'), 0), coalesce(sum(audio_output_tokens) FILTER (WHERE side = 'kept'), 0),
            coalesce(sum(image_output_tokens) FILTER (WHERE side = 'kept'), 0),
            coalesce(sum(prediction_accepted_tokens) FILTER (WHERE side = 'kept'), 0),
            coalesce(sum(prediction_rejected_tokens) FILTER (WHERE side = 'kept'), 0), coalesce(sum(images) FILTER
            (WHERE side = 'kept'), 0), coalesce(sum(audio_ms) FILTER (WHERE side = 'kept'), 0),
            coalesce(sum(characters) FILTER (WHERE side = 'kept'), 0), coalesce(sum(searches) FILTER (WHERE side =
            'kept'), 0)
        ]::numeric[] AS kept,
        ARRAY[
            coalesce(sum(requests) FILTER (WHERE side = 'counted'), 0),
            coalesce(sum(cached_requests) FILTER (WHERE side = 'counted' AND begins < %(counted_until)s), 0),
            coalesce(sum(errors) FILTER (WHERE side =
            'counted'), 0), coalesce(sum(unpriced) FILTER (WHERE side = 'counted'), 0), coalesce(sum(cost_nano) FILTER
            (WHERE side = 'counted'), 0), coalesce(sum(estimated_nano) FILTER (WHERE side = 'counted'), 0),
            coalesce(sum(input_tokens) FILTER (WHERE side = 'counted'), 0), coalesce(sum(cached_input_tokens) FILTER
            (WHERE side = 'counted'), 0), coalesce(sum(cache_write_5m_tokens) FILTER (WHERE side = 'counted'), 0),
            coalesce(sum(cache_write_1h_tokens) FILTER (WHERE side = 'counted'), 0), coalesce(sum(audio_input_tokens)
            FILTER (WHERE side = 'counted'), 0), coalesce(sum(image_input_tokens) FILTER (WHERE side = 'counted'), 0),
            coalesce(sum(output_tokens) FILTER (WHERE side = 'counted'), 0), coalesce(sum(reasoning_tokens) FILTER
            (WHERE side = 'counted'), 0), coalesce(sum(audio_output_tokens) FILTER (WHERE side = 'counted'), 0),
            coalesce(sum(image_output_tokens) FILTER (WHERE side = 'counted'), 0),
            coalesce(sum(prediction_accepted_tokens) FILTER (WHERE side = 'counted'), 0),
            coalesce(sum(prediction_rejected_tokens) FILTER (WHERE side = 'counted'), 0), coalesce(sum(images) FILTER
            (WHERE side = 'counted'), 0), coalesce(sum(audio_ms) FILTER (WHERE side = 'counted'), 0),
            coalesce(sum(characters) FILTER (WHERE side = 'counted'), 0), coalesce(sum(searches) FILTER (WHERE side =
            'counted'), 0)
        ]::numeric[] AS counted
    FROM told
    GROUP BY begins, organisation, business_unit, project, key_id, key_public_id, user_name, model, provider
)
SELECT
    begins, organisation, business_unit, project, key_id, user_name, model, coalesce(provider, '') AS provider,
    kept::text[] AS kept, counted::text[] AS counted, kept <> counted AS differs,
    count(*) OVER () AS compared, count(*) FILTER (WHERE kept <> counted) OVER () AS different
FROM compared
ORDER BY
    kept <> counted DESC, begins, organisation, business_unit, project, key_id, key_public_id, user_name, model,
    provider
LIMIT %(limit)s;

-- name: compare_days
-- The sums by day beside those of their hours. The period is of whole days.
WITH told AS (
    SELECT 'kept' AS side, begins,
           organisation, business_unit, project, key_id, key_public_id, user_name, model, provider,
           requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
           cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, output_tokens, reasoning_tokens,
           audio_output_tokens, image_input_tokens, image_output_tokens, prediction_accepted_tokens,
           prediction_rejected_tokens, images, audio_ms, characters, searches, cached_requests
    FROM ledger_days JOIN ledger_groups ON ledger_groups.id = group_id
    WHERE begins >= %(begins)s AND begins < %(ends)s
    UNION ALL
    SELECT 'kept' AS side, date_trunc('day', begins, 'UTC') AS begins,
           organisation, business_unit, project, key_id, key_public_id, user_name, model, provider,
           requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
           cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, output_tokens, reasoning_tokens,
           audio_output_tokens, image_input_tokens, image_output_tokens, prediction_accepted_tokens,
           prediction_rejected_tokens, images, audio_ms, characters, searches, cached_requests
    FROM ledger_deltas WHERE begins >= %(begins)s AND begins < %(ends)s
    UNION ALL
    SELECT 'counted' AS side, * FROM (
        SELECT date_trunc('day', begins, 'UTC') AS begins,
               organisation, business_unit, project, key_id, key_public_id, user_name, model, provider,
               requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
               cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, output_tokens, reasoning_tokens,
               audio_output_tokens, image_input_tokens, image_output_tokens, prediction_accepted_tokens,
               prediction_rejected_tokens, images, audio_ms, characters, searches, cached_requests
        FROM ledger_by_hour WHERE begins >= %(begins)s AND begins < %(ends)s
    ) hours
), compared AS (
    SELECT
        begins, organisation, business_unit, project, key_id, key_public_id, user_name, model, provider,
        ARRAY[
            coalesce(sum(requests) FILTER (WHERE side = 'kept'), 0),
            coalesce(sum(cached_requests) FILTER (WHERE side = 'kept'), 0),
            coalesce(sum(errors) FILTER (WHERE side =
            'kept'), 0), coalesce(sum(unpriced) FILTER (WHERE side = 'kept'), 0), coalesce(sum(cost_nano) FILTER
            (WHERE side = 'kept'), 0), coalesce(sum(estimated_nano) FILTER (WHERE side = 'kept'), 0),
            coalesce(sum(input_tokens) FILTER (WHERE side = 'kept'), 0), coalesce(sum(cached_input_tokens) FILTER
            (WHERE side = 'kept'), 0), coalesce(sum(cache_write_5m_tokens) FILTER (WHERE side = 'kept'), 0),
            coalesce(sum(cache_write_1h_tokens) FILTER (WHERE side = 'kept'), 0), coalesce(sum(audio_input_tokens)
            FILTER (WHERE side = 'kept'), 0), coalesce(sum(image_input_tokens) FILTER (WHERE side = 'kept'), 0),
            coalesce(sum(output_tokens) FILTER (WHERE side = 'kept'), 0), coalesce(sum(reasoning_tokens) FILTER (WHERE
            side = 'kept'), 0), coalesce(sum(audio_output_tokens) FILTER (WHERE side = 'kept'), 0),
            coalesce(sum(image_output_tokens) FILTER (WHERE side = 'kept'), 0),
            coalesce(sum(prediction_accepted_tokens) FILTER (WHERE side = 'kept'), 0),
            coalesce(sum(prediction_rejected_tokens) FILTER (WHERE side = 'kept'), 0), coalesce(sum(images) FILTER
            (WHERE side = 'kept'), 0), coalesce(sum(audio_ms) FILTER (WHERE side = 'kept'), 0),
            coalesce(sum(characters) FILTER (WHERE side = 'kept'), 0), coalesce(sum(searches) FILTER (WHERE side =
            'kept'), 0)
        ]::numeric[] AS kept,
        ARRAY[
            coalesce(sum(requests) FILTER (WHERE side = 'counted'), 0),
            coalesce(sum(cached_requests) FILTER (WHERE side = 'counted'), 0),
            coalesce(sum(errors) FILTER (WHERE side =
            'counted'), 0), coalesce(sum(unpriced) FILTER (WHERE side = 'counted'), 0), coalesce(sum(cost_nano) FILTER
            (WHERE side = 'counted'), 0), coalesce(sum(estimated_nano) FILTER (WHERE side = 'counted'), 0),
            coalesce(sum(input_tokens) FILTER (WHERE side = 'counted'), 0), coalesce(sum(cached_input_tokens) FILTER
            (WHERE side = 'counted'), 0), coalesce(sum(cache_write_5m_tokens) FILTER (WHERE side = 'counted'), 0),
            coalesce(sum(cache_write_1h_tokens) FILTER (WHERE side = 'counted'), 0), coalesce(sum(audio_input_tokens)
            FILTER (WHERE side = 'counted'), 0), coalesce(sum(image_input_tokens) FILTER (WHERE side = 'counted'), 0),
            coalesce(sum(output_tokens) FILTER (WHERE side = 'counted'), 0), coalesce(sum(reasoning_tokens) FILTER
            (WHERE side = 'counted'), 0), coalesce(sum(audio_output_tokens) FILTER (WHERE side = 'counted'), 0),
            coalesce(sum(image_output_tokens) FILTER (WHERE side = 'counted'), 0),
            coalesce(sum(prediction_accepted_tokens) FILTER (WHERE side = 'counted'), 0),
            coalesce(sum(prediction_rejected_tokens) FILTER (WHERE side = 'counted'), 0), coalesce(sum(images) FILTER
            (WHERE side = 'counted'), 0), coalesce(sum(audio_ms) FILTER (WHERE side = 'counted'), 0),
            coalesce(sum(characters) FILTER (WHERE side = 'counted'), 0), coalesce(sum(searches) FILTER (WHERE side =
            'counted'), 0)
        ]::numeric[] AS counted
    FROM told
    GROUP BY begins, organisation, business_unit, project, key_id, key_public_id, user_name, model, provider
)
SELECT
    begins, organisation, business_unit, project, key_id, user_name, model, coalesce(provider, '') AS provider,
    kept::text[] AS kept, counted::text[] AS counted, kept <> counted AS differs,
    count(*) OVER () AS compared, count(*) FILTER (WHERE kept <> counted) OVER () AS different
FROM compared
ORDER BY
    kept <> counted DESC, begins, organisation, business_unit, project, key_id, key_public_id, user_name, model,
    provider
LIMIT %(limit)s;

-- name: compare_weeks
-- The sums by week, and those by day over all projects, keys and users, beside what the sums by day add up to; those that
-- differ first. The period is of whole weeks.
WITH told AS (
    SELECT 'week' AS rollup, 'kept' AS side, begins,
           organisation, business_unit, project, key_id, key_public_id, user_name, model, provider,
           requests, cached_requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
           cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
           reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
           prediction_rejected_tokens, images, audio_ms, characters, searches
    FROM ledger_weeks LEFT JOIN ledger_groups ON ledger_groups.id = group_id
    WHERE begins >= %(begins)s AND begins < %(ends)s
    UNION ALL
    SELECT 'total', 'kept', begins, organisation, business_unit, '', '', '', '', model, provider,
           requests, cached_requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
           cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
           reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
           prediction_rejected_tokens, images, audio_ms, characters, searches
    FROM ledger_totals
    WHERE begins >= %(begins)s AND begins < %(ends)s
    UNION ALL
    SELECT rollup, 'counted', CASE rollup WHEN 'week' THEN date_trunc('week', begins, 'UTC') ELSE begins END,
           organisation, business_unit, CASE rollup WHEN 'week' THEN project ELSE '' END,
           CASE rollup WHEN 'week' THEN key_id ELSE '' END, CASE rollup WHEN 'week' THEN key_public_id ELSE '' END,
           CASE rollup WHEN 'week' THEN user_name ELSE '' END, model, provider,
           requests, cached_requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
           cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
           reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
           prediction_rejected_tokens, images, audio_ms, characters, searches
    FROM ledger_days JOIN ledger_groups ON ledger_groups.id = group_id
    CROSS JOIN (VALUES ('week'), ('total')) AS rollups (rollup)
    WHERE begins >= %(begins)s AND begins < %(ends)s
), summed AS (
    SELECT
        rollup, side, begins, organisation, business_unit, project, key_id, key_public_id, user_name, model, provider,
        ARRAY[
            coalesce(sum(requests), 0), coalesce(sum(cached_requests), 0), coalesce(sum(errors), 0),
            coalesce(sum(unpriced), 0), coalesce(sum(cost_nano), 0), coalesce(sum(estimated_nano), 0),
            coalesce(sum(input_tokens), 0), coalesce(sum(cached_input_tokens), 0),
            coalesce(sum(cache_write_5m_tokens), 0), coalesce(sum(cache_write_1h_tokens), 0),
            coalesce(sum(audio_input_tokens), 0), coalesce(sum(image_input_tokens), 0), coalesce(sum(output_tokens), 0),
            coalesce(sum(reasoning_tokens), 0), coalesce(sum(audio_output_tokens), 0),
            coalesce(sum(image_output_tokens), 0), coalesce(sum(prediction_accepted_tokens), 0),
            coalesce(sum(prediction_rejected_tokens), 0), coalesce(sum(images), 0), coalesce(sum(audio_ms), 0),
            coalesce(sum(characters), 0), coalesce(sum(searches), 0)
        ]::numeric[] AS figures
    FROM told
    GROUP BY rollup, side, begins, organisation, business_unit, project, key_id, key_public_id, user_name, model, provider
), compared AS (
    SELECT
        rollup, begins, organisation, business_unit, project, key_id, key_public_id, user_name, model, provider,
        coalesce(max(figures) FILTER (WHERE side = 'kept'), array_fill(0::numeric, ARRAY[22])) AS kept,
        coalesce(max(figures) FILTER (WHERE side = 'counted'), array_fill(0::numeric, ARRAY[22])) AS counted
    FROM summed
    GROUP BY rollup, begins, organisation, business_unit, project, key_id, key_public_id, user_name, model, provider
)
SELECT
    rollup, begins, coalesce(organisation, '') AS organisation, coalesce(business_unit, '') AS business_unit,
    coalesce(project, '') AS project, coalesce(key_id, '') AS key_id, coalesce(user_name, '') AS user_name,
    coalesce(model, '') AS model, coalesce(provider, '') AS provider,
    kept::text[] AS kept, counted::text[] AS counted, kept <> counted AS differs,
    count(*) OVER () AS compared, count(*) FILTER (WHERE kept <> counted) OVER () AS different
FROM compared
ORDER BY
    kept <> counted DESC, begins, rollup, organisation, business_unit, project, key_id, key_public_id, user_name, model,
    provider
LIMIT %(limit)s;

-- name: next_day
-- The first day of a period that anything was counted in; without a value, there is none.
SELECT min(begins) AS begins FROM ledger_days WHERE begins >= %(since)s AND begins < %(until)s;

-- name: requests_by_hour
SELECT begins, sum(requests)::bigint AS requests
FROM ledger_by_hour
WHERE provider IS NULL AND begins >= %(begins)s AND begins < %(ends)s
GROUP BY begins
ORDER BY begins;

-- name: attempts_without_request
SELECT a.id::text, count(*) OVER () AS found
FROM ledger_attempts a
WHERE coalesce(a.request_started_at, a.started_at) >= %(begins)s
  AND coalesce(a.request_started_at, a.started_at) < %(ends)s AND a.day BETWEEN %(first_day)s AND %(last_day)s
  AND NOT EXISTS (
    SELECT FROM ledger_requests r WHERE r.day = ledger_id_day(a.request_id) AND r.id = a.request_id
  )
LIMIT 10;

-- name: requests_without_attempt
SELECT r.id::text, count(*) OVER () AS found
FROM ledger_requests r
WHERE r.started_at >= %(begins)s AND r.started_at < %(ends)s AND r.day BETWEEN %(first_day)s AND %(last_day)s
  AND r.cache NOT IN ('hit', 'shared') AND NOT EXISTS (
    SELECT FROM ledger_attempts a WHERE a.request_id = r.id AND a.day BETWEEN %(first_day)s AND %(last_day)s
  )
LIMIT 10;

-- name: adjustments_without_original
SELECT a.id::text, count(*) OVER () AS found
FROM ledger_attempts a
WHERE a.kind = 'adjustment' AND coalesce(a.request_started_at, a.started_at) >= %(begins)s
  AND coalesce(a.request_started_at, a.started_at) < %(ends)s AND a.day BETWEEN %(first_day)s AND %(last_day)s
  AND NOT EXISTS (
    SELECT FROM ledger_attempts b
    WHERE b.request_id = a.request_id AND b.number = a.number AND b.kind = 'attempt'
      AND b.day BETWEEN %(first_day)s AND %(last_day)s
  )
LIMIT 10;

-- name: recount_from
-- From when on what the response cache answered is not counted yet; no row: all of it is.
SELECT done, ends FROM ledger_recount WHERE NOT finished;

-- name: next_hour
-- The first hour from a moment on that anything was counted in; without a value, there is none.
SELECT least(
    (SELECT min(begins) FROM ledger_hours WHERE begins >= %(since)s),
    (SELECT min(begins) FROM ledger_deltas WHERE begins >= %(since)s)
) AS begins;

-- name: recount_hour
-- Adds what the rows of an hour have more of than its sums, as the rows of an ingest do. Nothing is ever taken off: rows
-- that retention has dropped are known by their sums alone.
WITH told AS (
    SELECT organisation, business_unit, project, key_id, key_public_id, user_name, model, count(*) AS cached_requests
    FROM ledger_requests
    WHERE cache IN ('hit', 'shared') AND started_at >= %(begins)s AND started_at < %(ends)s
      AND day BETWEEN %(first_day)s AND %(last_day)s
    GROUP BY organisation, business_unit, project, key_id, key_public_id, user_name, model
    UNION ALL
    SELECT organisation, business_unit, project, key_id, key_public_id, user_name, model, -cached_requests
    FROM ledger_by_hour
    WHERE begins = %(begins)s AND provider IS NULL AND cached_requests IS NOT NULL
)
INSERT INTO ledger_deltas (
    begins, organisation, business_unit, project, key_id, key_public_id, user_name, model, cached_requests
)
SELECT
    %(begins)s, organisation, business_unit, project, key_id, key_public_id, user_name, model, sum(cached_requests)
FROM told
GROUP BY organisation, business_unit, project, key_id, key_public_id, user_name, model
HAVING sum(cached_requests) > 0;

-- name: recounted
UPDATE ledger_recount SET done = %(done)s, finished = %(finished)s;

-- name: record_check
INSERT INTO ledger_checks (checked_at, begins, ends, found, differences)
VALUES (%(checked_at)s, %(begins)s, %(ends)s, %(found)s, %(differences)s::jsonb);

-- name: forget_checks
DELETE FROM ledger_checks WHERE checked_at < %(before)s;

-- name: last_check
SELECT checked_at FROM ledger_checks WHERE checked_at > %(since)s ORDER BY checked_at DESC LIMIT 1;

-- name: set_horizon
UPDATE ledger_retention SET horizon = %(horizon)s WHERE horizon < %(horizon)s;

-- name: detached_partitions
SELECT relname AS name FROM pg_class
WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND NOT relispartition
  AND relname ~ '^ledger_(requests|attempts)_[0-9]{8}_[0-9]{8}' AND right(relname, length(%(suffix)s::text)) = %(suffix)s::text
ORDER BY 1;

-- name: limit_lock_wait
SELECT set_config('lock_timeout', %(limit)s, true);

-- name: forget_old_requests
DELETE FROM ledger_requests_default WHERE day < %(horizon)s;

-- name: forget_old_attempts
DELETE FROM ledger_attempts_default WHERE day < %(horizon)s;

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

-- name: units_named
SELECT id::text, archived_at IS NOT NULL AS ended FROM business_units WHERE name = %(text)s;

-- name: keys_named
SELECT id::text FROM keys WHERE public_id = %(text)s
UNION
SELECT keys.id::text
FROM keys JOIN projects ON projects.id = keys.project_id
WHERE projects.name = %(project)s AND keys.name = %(key)s;

-- name: keys_in_ledger
-- A key whose row is gone is still known by what was booked on it.
SELECT key_id AS id FROM ledger_groups WHERE key_public_id = %(text)s
UNION
SELECT key_id FROM ledger_deltas WHERE key_public_id = %(text)s;

-- name: requests_page
SELECT day, id, project, key_id, key_public_id, endpoint, model, stream, outcome, coalesce(status, 0) AS status,
       coalesce(error_code, '') AS error_code, coalesce(client_request_id, '') AS client_request_id, tags, started_at,
       ended_at, cache
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
