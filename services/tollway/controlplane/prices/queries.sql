-- Prices: versions, imports, publications, and the ledger rows that are rated again.

-- name: lock_prices
-- Held to the end of the transaction by whoever makes versions or rates again; each sees what the one before committed.
SELECT pg_advisory_xact_lock(%(lock)s);

-- name: try_lock_prices
SELECT pg_try_advisory_xact_lock(%(lock)s) AS locked;

-- name: overrides
SELECT id, number, version, source, model, provider, target_model, rates, valid_from, valid_until, note, created_by,
       created_at
FROM price_versions WHERE source = 'override' ORDER BY number;

-- name: override_count
SELECT count(*) AS rows FROM price_versions WHERE source = 'override';

-- name: imported_of
SELECT id, number, version, source, model, provider, target_model, rates, valid_from, valid_until, note, created_by,
       created_at
FROM price_versions
WHERE source = 'genai-prices'
  AND (provider, target_model) IN (SELECT * FROM unnest(%(providers)s::text[], %(models)s::text[]));

-- name: imported_open
-- What the imports so far say, without what a later one replaced.
SELECT id, provider, target_model, rates, book_start
FROM price_versions WHERE source = 'genai-prices' AND valid_until IS NULL;

-- name: next_number
SELECT coalesce(max(number), 0) + 1 AS number FROM price_versions;

-- name: insert_versions
INSERT INTO price_versions (
    id, number, version, source, model, provider, target_model, rates, valid_from, valid_until, book_start, import_id,
    note, created_by, created_at
)
SELECT sent.id, sent.number, sent.version, sent.source, sent.model, sent.provider, sent.target_model, sent.rates,
       sent.valid_from, sent.valid_until, sent.book_start, %(import_id)s, sent.note, %(by)s, %(at)s
FROM json_to_recordset(%(rows)s::json) AS sent (
    id uuid, number bigint, version text, source text, model text, provider text, target_model text, rates jsonb,
    valid_from timestamptz, valid_until timestamptz, book_start date, note text
);

-- name: close_versions
-- A version that would begin later than it ends never holds; its end is put just behind its beginning.
UPDATE price_versions
SET valid_until = greatest(%(at)s, valid_from + interval '1 microsecond')
WHERE id = ANY (%(ids)s::uuid[]);

-- name: end_version
UPDATE price_versions SET valid_until = %(until)s WHERE id = %(id)s;

-- name: versions_page
SELECT id, number, version, source, model, provider, target_model, rates, valid_from, valid_until, note, created_by,
       created_at
FROM price_versions
WHERE number < %(before)s
  AND (%(source)s = '' OR source = %(source)s)
  AND (%(model)s = '' OR model = %(model)s)
  AND (%(provider)s = '' OR provider = %(provider)s)
  AND (%(target_model)s = '' OR target_model = %(target_model)s)
  AND (%(at)s::timestamptz IS NULL OR ((valid_from IS NULL OR valid_from <= %(at)s)
                                       AND (valid_until IS NULL OR valid_until > %(at)s)))
ORDER BY number DESC
LIMIT %(limit)s;

-- name: versions_named
SELECT id, number, version, source, model, provider, target_model, rates, valid_from, valid_until, note, created_by,
       created_at
FROM price_versions
WHERE version = %(version)s
  AND (source = 'override' OR (provider, target_model) IN (SELECT * FROM unnest(%(providers)s::text[],
                                                                                %(models)s::text[])))
ORDER BY number
LIMIT %(limit)s;

-- name: insert_import
INSERT INTO price_imports (id, package, report, created_by, created_at)
VALUES (%(id)s, %(package)s, %(report)s, %(by)s, %(at)s);

-- name: imports
SELECT id, package, report, created_by, created_at FROM price_imports ORDER BY created_at DESC, id DESC LIMIT %(limit)s;

-- name: boundary_between
-- Whether a version began or ended after `since` and up to `until`.
SELECT EXISTS (
    SELECT FROM price_versions
    WHERE (valid_from > %(since)s AND valid_from <= %(until)s) OR (valid_until > %(since)s AND valid_until <= %(until)s)
) AS crossed;

-- name: last_publications
SELECT DISTINCT ON (model_id) model_id, model, version, source, rates, targets, published_at
FROM price_publications
ORDER BY model_id, published_at DESC, id DESC;

-- name: insert_publications
INSERT INTO price_publications (id, model_id, model, version, source, rates, targets, published_at)
SELECT sent.id, sent.model_id, sent.model, sent.version, sent.source, sent.rates, sent.targets, %(at)s
FROM json_to_recordset(%(rows)s::json) AS sent (
    id uuid, model_id uuid, model text, version text, source text, rates jsonb, targets jsonb
);

-- name: publications_of
SELECT model_id, model, version, source, rates, targets, published_at
FROM price_publications
WHERE model = ANY (%(models)s::text[])
ORDER BY model, published_at, id;

-- name: publications_named
SELECT model_id, model, version, source, rates, targets, published_at
FROM price_publications
WHERE version = %(version)s AND (%(model)s = '' OR model = %(model)s)
ORDER BY published_at, id
LIMIT %(limit)s;

-- name: version_is_known
SELECT EXISTS (SELECT FROM price_versions WHERE version = %(version)s)
    OR EXISTS (SELECT FROM price_publications WHERE version = %(version)s) AS known;

-- name: lock_rerating
-- One at a time, each part to its end: the sums that a part starts from are those that the one before has left.
SELECT pg_advisory_xact_lock(%(lock)s);

-- name: attempts_to_rate
-- A part of a day's attempts in the order of their ids, each with the sums of its own row and of its adjustments so
-- far, and the moment at which its request began.
WITH page AS (
    SELECT day, id, request_id, number, project, model, provider, provider_kind, target_model, price_version, estimated,
           started_at, request_started_at, CASE WHEN estimated THEN cost_nano ELSE 0 END AS guessed_nano
    FROM ledger_attempts
    WHERE kind = 'attempt' AND day = %(day)s AND id > %(after)s AND started_at >= %(begin)s AND started_at < %(end)s
      AND (%(projects)s::text[] IS NULL OR project = ANY (%(projects)s::text[]))
      AND (%(model)s::text IS NULL OR model = %(model)s::text)
      AND (%(providers)s::text[] IS NULL OR provider = ANY (%(providers)s::text[]))
    ORDER BY id
    LIMIT %(limit)s
)
SELECT page.day, page.id, page.project, page.model, page.provider, page.provider_kind, page.target_model,
       page.price_version,
       coalesce(page.request_started_at, (
           SELECT asked.started_at FROM ledger_requests asked
           WHERE asked.id = page.request_id AND asked.day BETWEEN %(day)s::date - 2 AND %(day)s::date + 2
           LIMIT 1
       ), page.started_at) AS started_at,
       page.estimated AND told.guessed AS estimated, told.adjustments, told.cost_nano, told.estimated_nano,
       told.usage
FROM page
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE kind = 'adjustment') AS adjustments, sum(cost_nano)::bigint AS cost_nano,
           bool_and(estimated) AS guessed,
           sum(CASE
               WHEN estimated_nano IS NOT NULL THEN estimated_nano
               WHEN estimated THEN cost_nano
               WHEN kind = 'attempt' THEN 0
               ELSE -page.guessed_nano
           END)::bigint AS estimated_nano,
           json_build_object(
               'input', sum(input_tokens), 'cached_input', sum(cached_input_tokens),
               'cache_write_5m', sum(cache_write_5m_tokens), 'cache_write_1h', sum(cache_write_1h_tokens),
               'audio_input', sum(audio_input_tokens), 'image_input', sum(image_input_tokens),
               'output', sum(output_tokens), 'reasoning', sum(reasoning_tokens),
               'audio_output', sum(audio_output_tokens), 'image_output', sum(image_output_tokens),
               'prediction_accepted', sum(prediction_accepted_tokens),
               'prediction_rejected', sum(prediction_rejected_tokens), 'images', sum(images),
               'audio_ms', sum(audio_ms), 'characters', sum(characters), 'searches', sum(searches)
           ) AS usage
    FROM ledger_attempts
    WHERE request_id = page.request_id AND day = page.day AND number = page.number
) told
ORDER BY page.id;

-- name: insert_rerated
-- What another price adds to an attempt. It belongs to whatever the attempt was booked on, and says nothing of usage.
INSERT INTO ledger_attempts (
    kind, day, id, request_id, number, organisation, business_unit, project, key_id, user_name, model, provider,
    provider_kind, target_model, credential, request_started_at, started_at, ended_at, first_byte_at, status, outcome,
    error_code, cost_nano, price_version, estimated, estimated_nano, provider_request_id
)
SELECT 'adjustment', booked.day, sent.id, booked.request_id, booked.number, booked.organisation, booked.business_unit,
       booked.project, booked.key_id, booked.user_name, booked.model, booked.provider, booked.provider_kind,
       booked.target_model, booked.credential, booked.request_started_at, booked.started_at, booked.ended_at,
       booked.first_byte_at, booked.status, booked.outcome, booked.error_code, sent.cost_nano, sent.price_version,
       sent.estimated, sent.estimated_nano, booked.provider_request_id
FROM json_to_recordset(%(rows)s::json) AS sent (
    id uuid, day date, attempt_id uuid, cost_nano bigint, price_version text, estimated boolean, estimated_nano bigint
)
JOIN ledger_attempts booked ON booked.day = sent.day AND booked.id = sent.attempt_id
WHERE booked.kind = 'attempt'
ORDER BY sent.id
ON CONFLICT DO NOTHING;
