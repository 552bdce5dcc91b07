-- Requests that the response cache answered, in the roll-ups: of a row of `ledger_requests`, `cache` 'hit' or 'shared'.
--
-- Columns are added without a value, which rewrites nothing; what the ledger has so far is counted by the control
-- plane, an hour at a time (`ledger_recount`).

-- Nobody folds meanwhile, and the tables are taken in the order in which reports read them.
SELECT pg_advisory_xact_lock(7810759524006980708);
LOCK TABLE ledger_days, ledger_hours, ledger_deltas IN ACCESS EXCLUSIVE MODE;
ALTER TABLE ledger_days ADD COLUMN cached_requests bigint;
ALTER TABLE ledger_hours ADD COLUMN cached_requests bigint;
ALTER TABLE ledger_deltas ADD COLUMN cached_requests bigint;

-- `ledger_by_day` stays as it is: the release before names what it expects of it.
CREATE OR REPLACE VIEW ledger_by_hour AS
SELECT
    begins, organisation, business_unit, project, key_id, key_public_id, user_name, model, provider,
    requests, errors, unpriced, cost_nano, estimated_nano,
    input_tokens, cached_input_tokens, cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens,
    output_tokens, reasoning_tokens, audio_output_tokens, image_input_tokens, image_output_tokens,
    prediction_accepted_tokens, prediction_rejected_tokens, images, audio_ms, characters, searches, cached_requests
FROM ledger_hours JOIN ledger_groups ON ledger_groups.id = group_id
UNION ALL
SELECT
    begins, organisation, business_unit, project, key_id, key_public_id, user_name, model, provider,
    requests, errors, unpriced, cost_nano, estimated_nano,
    input_tokens, cached_input_tokens, cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens,
    output_tokens, reasoning_tokens, audio_output_tokens, image_input_tokens, image_output_tokens,
    prediction_accepted_tokens, prediction_rejected_tokens, images, audio_ms, characters, searches, cached_requests
FROM ledger_deltas;

DROP FUNCTION ledger_counted(timestamptz, timestamptz, date, date);
CREATE FUNCTION ledger_counted(since timestamptz, until timestamptz, first_day date, last_day date) RETURNS TABLE (
    begins timestamptz, organisation text, business_unit text, project text, key_id text, key_public_id text,
    user_name text, model text, provider text, requests bigint, errors bigint, unpriced bigint, cost_nano numeric,
    estimated_nano numeric,
    input_tokens numeric, cached_input_tokens numeric, cache_write_5m_tokens numeric, cache_write_1h_tokens numeric,
    audio_input_tokens numeric, output_tokens numeric, reasoning_tokens numeric, audio_output_tokens numeric,
    image_input_tokens numeric, image_output_tokens numeric, prediction_accepted_tokens numeric,
    prediction_rejected_tokens numeric, images numeric, audio_ms numeric, characters numeric, searches numeric,
    cached_requests bigint
) LANGUAGE sql STABLE ROWS 1000 AS $$
    WITH told AS (
        SELECT
            date_trunc('hour', coalesce(a.request_started_at, a.started_at), 'UTC') AS begins,
            coalesce(a.organisation, (
            SELECT r.organisation FROM ledger_requests r
            WHERE r.day = ledger_id_day(a.request_id) AND r.id = a.request_id), '') AS organisation,
            a.business_unit, a.project, a.key_id, a.user_name, a.model, a.provider, a.request_id, a.kind,
            a.outcome IN ('error', 'lost') AS failed, a.price_version, a.cost_nano,
            CASE WHEN a.estimated_nano IS NOT NULL THEN a.estimated_nano WHEN a.estimated THEN a.cost_nano
            WHEN a.kind = 'attempt' THEN 0 ELSE coalesce(-(
                SELECT booked.cost_nano FROM ledger_attempts booked
                WHERE booked.request_id = a.request_id AND booked.day = a.day AND booked.number = a.number
                  AND booked.kind = 'attempt' AND booked.estimated
                LIMIT 1), 0) END AS estimated_nano,
            a.input_tokens, a.cached_input_tokens, a.cache_write_5m_tokens, a.cache_write_1h_tokens,
            a.audio_input_tokens, a.output_tokens, a.reasoning_tokens, a.audio_output_tokens, a.image_input_tokens,
            a.image_output_tokens, a.prediction_accepted_tokens, a.prediction_rejected_tokens, a.images, a.audio_ms,
            a.characters, a.searches
        FROM ledger_attempts a
        WHERE coalesce(a.request_started_at, a.started_at) >= since
          AND coalesce(a.request_started_at, a.started_at) < until AND a.day BETWEEN first_day AND last_day
    )
    SELECT
        date_trunc('hour', r.started_at, 'UTC'), r.organisation, r.business_unit, r.project, r.key_id, r.key_public_id,
        r.user_name, r.model, NULL::text, count(*), count(*) FILTER (WHERE r.outcome IN ('error', 'lost')), 0::bigint,
        NULL::numeric, NULL::numeric,
        NULL::numeric, NULL::numeric, NULL::numeric, NULL::numeric, NULL::numeric, NULL::numeric, NULL::numeric,
        NULL::numeric, NULL::numeric, NULL::numeric, NULL::numeric, NULL::numeric, NULL::numeric, NULL::numeric,
        NULL::numeric, NULL::numeric, nullif(count(*) FILTER (WHERE r.cache IN ('hit', 'shared')), 0)
    FROM ledger_requests r
    WHERE r.started_at >= since AND r.started_at < until AND r.day BETWEEN first_day AND last_day
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    UNION ALL
    SELECT
        begins, organisation, business_unit, project, key_id, '', user_name, model, provider, 0, 0,
        count(*) FILTER (WHERE kind = 'attempt' AND price_version IS NULL), nullif(sum(cost_nano), 0),
        nullif(sum(estimated_nano), 0),
        nullif(sum(input_tokens), 0), nullif(sum(cached_input_tokens), 0), nullif(sum(cache_write_5m_tokens), 0),
        nullif(sum(cache_write_1h_tokens), 0), nullif(sum(audio_input_tokens), 0), nullif(sum(output_tokens), 0),
        nullif(sum(reasoning_tokens), 0), nullif(sum(audio_output_tokens), 0), nullif(sum(image_input_tokens), 0),
        nullif(sum(image_output_tokens), 0), nullif(sum(prediction_accepted_tokens), 0),
        nullif(sum(prediction_rejected_tokens), 0), nullif(sum(images), 0), nullif(sum(audio_ms), 0),
        nullif(sum(characters), 0), nullif(sum(searches), 0), NULL
    FROM told
    GROUP BY begins, organisation, business_unit, project, key_id, user_name, model, provider
    UNION ALL
    SELECT
        begins, organisation, business_unit, project, key_id, '', user_name, model, provider, count(*),
        count(*) FILTER (WHERE failed), 0, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM (
        SELECT
            begins, organisation, business_unit, project, key_id, user_name, model, provider,
            bool_and(failed) AS failed
        FROM told WHERE kind = 'attempt'
        GROUP BY begins, organisation, business_unit, project, key_id, user_name, model, provider, request_id
    ) asked
    GROUP BY begins, organisation, business_unit, project, key_id, user_name, model, provider
$$;

CREATE OR REPLACE FUNCTION ledger_requests_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added, ledger_retention WHERE added.day < horizon) THEN
        RAISE EXCEPTION 'the row is older than what the ledger keeps' USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO ledger_deltas
    SELECT
        date_trunc('hour', r.started_at, 'UTC'), r.organisation, r.business_unit, r.project, r.key_id, r.key_public_id,
        r.user_name, r.model, NULL::text, count(*), count(*) FILTER (WHERE r.outcome IN ('error', 'lost')), 0::bigint,
        NULL::numeric, NULL::numeric,
        NULL::numeric, NULL::numeric, NULL::numeric, NULL::numeric, NULL::numeric, NULL::numeric, NULL::numeric,
        NULL::numeric, NULL::numeric, NULL::numeric, NULL::numeric, NULL::numeric, NULL::numeric, NULL::numeric,
        NULL::numeric, NULL::numeric, nullif(count(*) FILTER (WHERE r.cache IN ('hit', 'shared')), 0)
    FROM added r
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;
    RETURN NULL;
END $$;

-- How far the rows of before this migration are counted: hours before `done`; all of them once it is `finished`. Those
-- from `ends` on had not begun yet.
CREATE TABLE ledger_recount (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    done     timestamptz NOT NULL DEFAULT '1970-01-01T00:00Z',
    ends     timestamptz NOT NULL,
    finished boolean NOT NULL
);
INSERT INTO ledger_recount (ends, finished)
SELECT date_trunc('hour', now(), 'UTC') + interval '1 hour', NOT EXISTS (SELECT FROM ledger_requests);

-- The release before folds without knowing the new column: what it leaves out stays unfolded. Whoever knows it says so
-- with `tollway.folds_cached`. A later release drops this trigger, when nobody can fold so any more.
CREATE FUNCTION ledger_deltas_folded() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger_deltas (
        begins, organisation, business_unit, project, key_id, key_public_id, user_name, model, provider, cached_requests
    )
    SELECT
        begins, organisation, business_unit, project, key_id, key_public_id, user_name, model, provider,
        sum(cached_requests)
    FROM folded WHERE cached_requests IS NOT NULL
    GROUP BY begins, organisation, business_unit, project, key_id, key_public_id, user_name, model, provider;
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_deltas_folded AFTER DELETE ON ledger_deltas
    REFERENCING OLD TABLE AS folded FOR EACH STATEMENT
    WHEN (current_setting('tollway.folds_cached', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION ledger_deltas_folded();
