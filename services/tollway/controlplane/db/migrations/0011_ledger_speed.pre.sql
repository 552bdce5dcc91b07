-- Roll-ups that cost less to keep: nearly every batch has one attempt for each request, and is added up in one pass
-- into half as many deltas. What is counted stays the same.

CREATE OR REPLACE FUNCTION ledger_attempts_added() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    oldest date;
    alone boolean;  -- each is the only attempt of its request among them, as nearly always, and says all of itself
BEGIN
    SELECT min(day), count(*) = count(DISTINCT request_id) AND bool_and(
        kind = 'attempt' AND organisation IS NOT NULL AND request_started_at IS NOT NULL)
    INTO oldest, alone FROM added;
    IF oldest < (SELECT horizon FROM ledger_retention) THEN
        RAISE EXCEPTION 'the row is older than what the ledger keeps' USING ERRCODE = 'check_violation';
    END IF;
    IF alone THEN
        INSERT INTO ledger_deltas
        SELECT
            date_trunc('hour', a.request_started_at, 'UTC'), a.organisation, a.business_unit, a.project, a.key_id, '',
            a.user_name, a.model, a.provider, count(*), count(*) FILTER (WHERE a.outcome IN ('error', 'lost')),
            count(*) FILTER (WHERE a.price_version IS NULL),
            sum(a.cost_nano) FILTER (WHERE a.cost_nano <> 0),
            nullif(sum(coalesce(a.estimated_nano, CASE WHEN a.estimated THEN a.cost_nano END)), 0),
            sum(a.input_tokens) FILTER (WHERE a.input_tokens <> 0),
            sum(a.cached_input_tokens) FILTER (WHERE a.cached_input_tokens <> 0),
            sum(a.cache_write_5m_tokens) FILTER (WHERE a.cache_write_5m_tokens <> 0),
            sum(a.cache_write_1h_tokens) FILTER (WHERE a.cache_write_1h_tokens <> 0),
            sum(a.audio_input_tokens) FILTER (WHERE a.audio_input_tokens <> 0),
            sum(a.output_tokens) FILTER (WHERE a.output_tokens <> 0),
            sum(a.reasoning_tokens) FILTER (WHERE a.reasoning_tokens <> 0),
            sum(a.audio_output_tokens) FILTER (WHERE a.audio_output_tokens <> 0),
            sum(a.image_input_tokens) FILTER (WHERE a.image_input_tokens <> 0),
            sum(a.image_output_tokens) FILTER (WHERE a.image_output_tokens <> 0),
            sum(a.prediction_accepted_tokens) FILTER (WHERE a.prediction_accepted_tokens <> 0),
            sum(a.prediction_rejected_tokens) FILTER (WHERE a.prediction_rejected_tokens <> 0),
            sum(a.images) FILTER (WHERE a.images <> 0), sum(a.audio_ms) FILTER (WHERE a.audio_ms <> 0),
            sum(a.characters) FILTER (WHERE a.characters <> 0), sum(a.searches) FILTER (WHERE a.searches <> 0)
        FROM added a
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9;
    ELSE
        INSERT INTO ledger_deltas
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
            FROM added a
        )
        SELECT
            begins, organisation, business_unit, project, key_id, '', user_name, model, provider, 0, 0,
            count(*) FILTER (WHERE kind = 'attempt' AND price_version IS NULL), nullif(sum(cost_nano), 0),
            nullif(sum(estimated_nano), 0),
            nullif(sum(input_tokens), 0), nullif(sum(cached_input_tokens), 0), nullif(sum(cache_write_5m_tokens), 0),
            nullif(sum(cache_write_1h_tokens), 0), nullif(sum(audio_input_tokens), 0), nullif(sum(output_tokens), 0),
            nullif(sum(reasoning_tokens), 0), nullif(sum(audio_output_tokens), 0), nullif(sum(image_input_tokens), 0),
            nullif(sum(image_output_tokens), 0), nullif(sum(prediction_accepted_tokens), 0),
            nullif(sum(prediction_rejected_tokens), 0), nullif(sum(images), 0), nullif(sum(audio_ms), 0),
            nullif(sum(characters), 0), nullif(sum(searches), 0)
        FROM told
        GROUP BY begins, organisation, business_unit, project, key_id, user_name, model, provider
        UNION ALL
        SELECT
            begins, organisation, business_unit, project, key_id, '', user_name, model, provider, count(*),
            count(*) FILTER (WHERE failed), 0, NULL, NULL,
            NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
        FROM (
            SELECT
                begins, organisation, business_unit, project, key_id, user_name, model, provider,
                bool_and(failed) AS failed
            FROM told WHERE kind = 'attempt'
            GROUP BY begins, organisation, business_unit, project, key_id, user_name, model, provider, request_id
        ) asked
        GROUP BY begins, organisation, business_unit, project, key_id, user_name, model, provider;
    END IF;
    IF current_setting('tollway.new_requests', true) IS DISTINCT FROM 'on' THEN
        INSERT INTO ledger_deltas (
            begins, organisation, business_unit, project, key_id, user_name, model, provider, key_public_id,
            requests, errors
        )
        WITH told AS (
            SELECT
                date_trunc('hour', coalesce(a.request_started_at, a.started_at), 'UTC') AS begins,
                coalesce(a.organisation, (
                SELECT r.organisation FROM ledger_requests r
                WHERE r.day = ledger_id_day(a.request_id) AND r.id = a.request_id), '') AS organisation,
                a.business_unit, a.project, a.key_id, a.user_name, a.model, a.provider, a.request_id,
                array_agg(a.id) AS ids, bool_and(a.outcome IN ('error', 'lost')) AS failed
            FROM added a WHERE a.kind = 'attempt'
            GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
        ), known AS (
            SELECT told.*, earlier.failed AS failed_earlier
            FROM told CROSS JOIN LATERAL (
                SELECT bool_and(a.outcome IN ('error', 'lost')) AS failed
                FROM ledger_attempts a
                WHERE a.request_id = told.request_id AND a.kind = 'attempt' AND a.id <> ALL (told.ids)
                  AND a.provider = told.provider AND a.business_unit = told.business_unit
                  AND a.project = told.project AND a.key_id = told.key_id AND a.user_name = told.user_name
                  AND a.model = told.model
                  AND date_trunc('hour', coalesce(a.request_started_at, a.started_at), 'UTC') = told.begins
                  AND coalesce(a.organisation, (
                    SELECT r.organisation FROM ledger_requests r
                    WHERE r.day = ledger_id_day(a.request_id) AND r.id = a.request_id), '') = told.organisation
            ) earlier
            WHERE earlier.failed IS NOT NULL
        )
        -- Counted above as if they were first: one request too many, and an error each if the new ones failed.
        SELECT begins, organisation, business_unit, project, key_id, user_name, model, provider, '', -count(*),
            sum((failed AND failed_earlier)::int - failed::int - failed_earlier::int)
        FROM known
        GROUP BY begins, organisation, business_unit, project, key_id, user_name, model, provider;
    END IF;
    RETURN NULL;
END $$;

-- Folded deltas are gone at once: the folder makes their room free for the next ones itself.
ALTER TABLE ledger_deltas SET (autovacuum_vacuum_threshold = 200000);
