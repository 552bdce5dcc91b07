-- Reports of many days in less time: sums by week for what has a key, and by day for what has none. Both follow
-- `ledger_days` by triggers, in the transaction that changes it, whoever folds: this release or the one before.

-- Nobody folds meanwhile: whoever did would wait for a table that is locked here, with others that are wanted next.
SELECT pg_advisory_xact_lock(7810759524006980708);
LOCK TABLE ledger_days, ledger_groups IN SHARE ROW EXCLUSIVE MODE;

-- The days of a few groups, and the groups of a project, a key or a user.
CREATE INDEX ledger_days_group ON ledger_days (group_id, begins);
-- By hash, as names can be longer than what a tree takes.
CREATE INDEX ledger_groups_project ON ledger_groups USING hash (project);
CREATE INDEX ledger_groups_key ON ledger_groups USING hash (key_id);
CREATE INDEX ledger_groups_user ON ledger_groups USING hash (user_name);

-- As `ledger_days`; `begins` is the Monday, in UTC.
CREATE TABLE ledger_weeks (
    begins                      timestamptz NOT NULL,
    group_id                    uuid NOT NULL,
    requests                    bigint,
    cached_requests             bigint,
    errors                      bigint,
    unpriced                    bigint,
    cost_nano                   numeric,
    estimated_nano              numeric,
    input_tokens                numeric,
    cached_input_tokens         numeric,
    cache_write_5m_tokens       numeric,
    cache_write_1h_tokens       numeric,
    audio_input_tokens          numeric,
    image_input_tokens          numeric,
    output_tokens               numeric,
    reasoning_tokens            numeric,
    audio_output_tokens         numeric,
    image_output_tokens         numeric,
    prediction_accepted_tokens  numeric,
    prediction_rejected_tokens  numeric,
    images                      numeric,
    audio_ms                    numeric,
    characters                  numeric,
    searches                    numeric,
    PRIMARY KEY (begins, group_id)
) WITH (fillfactor = 80);
CREATE INDEX ledger_weeks_group ON ledger_weeks (group_id, begins);

-- Sums by day over all projects, keys and users of a business unit. `id` is that of such a group (`ledger_group_id`), as
-- names can be longer than what an index takes.
CREATE TABLE ledger_totals (
    begins                      timestamptz NOT NULL,
    id                          uuid NOT NULL,
    organisation                text NOT NULL,
    business_unit               text NOT NULL,
    model                       text NOT NULL,
    provider                    text,
    requests                    bigint,
    cached_requests             bigint,
    errors                      bigint,
    unpriced                    bigint,
    cost_nano                   numeric,
    estimated_nano              numeric,
    input_tokens                numeric,
    cached_input_tokens         numeric,
    cache_write_5m_tokens       numeric,
    cache_write_1h_tokens       numeric,
    audio_input_tokens          numeric,
    image_input_tokens          numeric,
    output_tokens               numeric,
    reasoning_tokens            numeric,
    audio_output_tokens         numeric,
    image_output_tokens         numeric,
    prediction_accepted_tokens  numeric,
    prediction_rejected_tokens  numeric,
    images                      numeric,
    audio_ms                    numeric,
    characters                  numeric,
    searches                    numeric,
    PRIMARY KEY (begins, id)
) WITH (fillfactor = 80);

-- What rows of `ledger_days` bring, what they have less than before, and what they take with them.
CREATE FUNCTION ledger_days_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger_weeks AS kept (
        begins, group_id,
        requests, cached_requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
        reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
        prediction_rejected_tokens, images, audio_ms, characters, searches
    )
    SELECT
        date_trunc('week', begins, 'UTC'), group_id,
        nullif(sum(requests) FILTER (WHERE requests IS NOT NULL), 0),
        nullif(sum(cached_requests) FILTER (WHERE cached_requests IS NOT NULL), 0),
        nullif(sum(errors) FILTER (WHERE errors IS NOT NULL), 0),
        nullif(sum(unpriced) FILTER (WHERE unpriced IS NOT NULL), 0),
        nullif(sum(cost_nano) FILTER (WHERE cost_nano IS NOT NULL), 0),
        nullif(sum(estimated_nano) FILTER (WHERE estimated_nano IS NOT NULL), 0),
        nullif(sum(input_tokens) FILTER (WHERE input_tokens IS NOT NULL), 0),
        nullif(sum(cached_input_tokens) FILTER (WHERE cached_input_tokens IS NOT NULL), 0),
        nullif(sum(cache_write_5m_tokens) FILTER (WHERE cache_write_5m_tokens IS NOT NULL), 0),
        nullif(sum(cache_write_1h_tokens) FILTER (WHERE cache_write_1h_tokens IS NOT NULL), 0),
        nullif(sum(audio_input_tokens) FILTER (WHERE audio_input_tokens IS NOT NULL), 0),
        nullif(sum(image_input_tokens) FILTER (WHERE image_input_tokens IS NOT NULL), 0),
        nullif(sum(output_tokens) FILTER (WHERE output_tokens IS NOT NULL), 0),
        nullif(sum(reasoning_tokens) FILTER (WHERE reasoning_tokens IS NOT NULL), 0),
        nullif(sum(audio_output_tokens) FILTER (WHERE audio_output_tokens IS NOT NULL), 0),
        nullif(sum(image_output_tokens) FILTER (WHERE image_output_tokens IS NOT NULL), 0),
        nullif(sum(prediction_accepted_tokens) FILTER (WHERE prediction_accepted_tokens IS NOT NULL), 0),
        nullif(sum(prediction_rejected_tokens) FILTER (WHERE prediction_rejected_tokens IS NOT NULL), 0),
        nullif(sum(images) FILTER (WHERE images IS NOT NULL), 0),
        nullif(sum(audio_ms) FILTER (WHERE audio_ms IS NOT NULL), 0),
        nullif(sum(characters) FILTER (WHERE characters IS NOT NULL), 0),
        nullif(sum(searches) FILTER (WHERE searches IS NOT NULL), 0)
    FROM added changed
    GROUP BY 1, 2
    ORDER BY 1, 2
    ON CONFLICT (begins, group_id) DO UPDATE SET
        requests = nullif(coalesce(kept.requests, 0) + coalesce(excluded.requests, 0), 0),
        cached_requests = nullif(coalesce(kept.cached_requests, 0) + coalesce(excluded.cached_requests, 0), 0),
        errors = nullif(coalesce(kept.errors, 0) + coalesce(excluded.errors, 0), 0),
        unpriced = nullif(coalesce(kept.unpriced, 0) + coalesce(excluded.unpriced, 0), 0),
        cost_nano = nullif(coalesce(kept.cost_nano, 0) + coalesce(excluded.cost_nano, 0), 0),
        estimated_nano = nullif(coalesce(kept.estimated_nano, 0) + coalesce(excluded.estimated_nano, 0), 0),
        input_tokens = nullif(coalesce(kept.input_tokens, 0) + coalesce(excluded.input_tokens, 0), 0),
        cached_input_tokens = nullif(coalesce(kept.cached_input_tokens, 0) +
            coalesce(excluded.cached_input_tokens, 0), 0),
        cache_write_5m_tokens = nullif(coalesce(kept.cache_write_5m_tokens, 0) +
            coalesce(excluded.cache_write_5m_tokens, 0), 0),
        cache_write_1h_tokens = nullif(coalesce(kept.cache_write_1h_tokens, 0) +
            coalesce(excluded.cache_write_1h_tokens, 0), 0),
        audio_input_tokens = nullif(coalesce(kept.audio_input_tokens, 0) +
            coalesce(excluded.audio_input_tokens, 0), 0),
        image_input_tokens = nullif(coalesce(kept.image_input_tokens, 0) +
            coalesce(excluded.image_input_tokens, 0), 0),
        output_tokens = nullif(coalesce(kept.output_tokens, 0) + coalesce(excluded.output_tokens, 0), 0),
        reasoning_tokens = nullif(coalesce(kept.reasoning_tokens, 0) + coalesce(excluded.reasoning_tokens, 0), 0),
        audio_output_tokens = nullif(coalesce(kept.audio_output_tokens, 0) +
            coalesce(excluded.audio_output_tokens, 0), 0),
        image_output_tokens = nullif(coalesce(kept.image_output_tokens, 0) +
            coalesce(excluded.image_output_tokens, 0), 0),
        prediction_accepted_tokens = nullif(coalesce(kept.prediction_accepted_tokens, 0) +
            coalesce(excluded.prediction_accepted_tokens, 0), 0),
        prediction_rejected_tokens = nullif(coalesce(kept.prediction_rejected_tokens, 0) +
            coalesce(excluded.prediction_rejected_tokens, 0), 0),
        images = nullif(coalesce(kept.images, 0) + coalesce(excluded.images, 0), 0),
        audio_ms = nullif(coalesce(kept.audio_ms, 0) + coalesce(excluded.audio_ms, 0), 0),
        characters = nullif(coalesce(kept.characters, 0) + coalesce(excluded.characters, 0), 0),
        searches = nullif(coalesce(kept.searches, 0) + coalesce(excluded.searches, 0), 0);
    INSERT INTO ledger_totals AS kept (
        begins, id, organisation, business_unit, model, provider,
        requests, cached_requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
        reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
        prediction_rejected_tokens, images, audio_ms, characters, searches
    )
    SELECT
        begins, ledger_group_id(organisation, business_unit, '', '', '', '', model, provider), organisation,
        business_unit, model, provider,
        nullif(sum(requests) FILTER (WHERE requests IS NOT NULL), 0),
        nullif(sum(cached_requests) FILTER (WHERE cached_requests IS NOT NULL), 0),
        nullif(sum(errors) FILTER (WHERE errors IS NOT NULL), 0),
        nullif(sum(unpriced) FILTER (WHERE unpriced IS NOT NULL), 0),
        nullif(sum(cost_nano) FILTER (WHERE cost_nano IS NOT NULL), 0),
        nullif(sum(estimated_nano) FILTER (WHERE estimated_nano IS NOT NULL), 0),
        nullif(sum(input_tokens) FILTER (WHERE input_tokens IS NOT NULL), 0),
        nullif(sum(cached_input_tokens) FILTER (WHERE cached_input_tokens IS NOT NULL), 0),
        nullif(sum(cache_write_5m_tokens) FILTER (WHERE cache_write_5m_tokens IS NOT NULL), 0),
        nullif(sum(cache_write_1h_tokens) FILTER (WHERE cache_write_1h_tokens IS NOT NULL), 0),
        nullif(sum(audio_input_tokens) FILTER (WHERE audio_input_tokens IS NOT NULL), 0),
        nullif(sum(image_input_tokens) FILTER (WHERE image_input_tokens IS NOT NULL), 0),
        nullif(sum(output_tokens) FILTER (WHERE output_tokens IS NOT NULL), 0),
        nullif(sum(reasoning_tokens) FILTER (WHERE reasoning_tokens IS NOT NULL), 0),
        nullif(sum(audio_output_tokens) FILTER (WHERE audio_output_tokens IS NOT NULL), 0),
        nullif(sum(image_output_tokens) FILTER (WHERE image_output_tokens IS NOT NULL), 0),
        nullif(sum(prediction_accepted_tokens) FILTER (WHERE prediction_accepted_tokens IS NOT NULL), 0),
        nullif(sum(prediction_rejected_tokens) FILTER (WHERE prediction_rejected_tokens IS NOT NULL), 0),
        nullif(sum(images) FILTER (WHERE images IS NOT NULL), 0),
        nullif(sum(audio_ms) FILTER (WHERE audio_ms IS NOT NULL), 0),
        nullif(sum(characters) FILTER (WHERE characters IS NOT NULL), 0),
        nullif(sum(searches) FILTER (WHERE searches IS NOT NULL), 0)
    FROM added changed
    JOIN ledger_groups ON ledger_groups.id = group_id
    GROUP BY begins, organisation, business_unit, model, provider
    ORDER BY 1, 2
    ON CONFLICT (begins, id) DO UPDATE SET
        requests = nullif(coalesce(kept.requests, 0) + coalesce(excluded.requests, 0), 0),
        cached_requests = nullif(coalesce(kept.cached_requests, 0) + coalesce(excluded.cached_requests, 0), 0),
        errors = nullif(coalesce(kept.errors, 0) + coalesce(excluded.errors, 0), 0),
        unpriced = nullif(coalesce(kept.unpriced, 0) + coalesce(excluded.unpriced, 0), 0),
        cost_nano = nullif(coalesce(kept.cost_nano, 0) + coalesce(excluded.cost_nano, 0), 0),
        estimated_nano = nullif(coalesce(kept.estimated_nano, 0) + coalesce(excluded.estimated_nano, 0), 0),
        input_tokens = nullif(coalesce(kept.input_tokens, 0) + coalesce(excluded.input_tokens, 0), 0),
        cached_input_tokens = nullif(coalesce(kept.cached_input_tokens, 0) +
            coalesce(excluded.cached_input_tokens, 0), 0),
        cache_write_5m_tokens = nullif(coalesce(kept.cache_write_5m_tokens, 0) +
            coalesce(excluded.cache_write_5m_tokens, 0), 0),
        cache_write_1h_tokens = nullif(coalesce(kept.cache_write_1h_tokens, 0) +
            coalesce(excluded.cache_write_1h_tokens, 0), 0),
        audio_input_tokens = nullif(coalesce(kept.audio_input_tokens, 0) +
            coalesce(excluded.audio_input_tokens, 0), 0),
        image_input_tokens = nullif(coalesce(kept.image_input_tokens, 0) +
            coalesce(excluded.image_input_tokens, 0), 0),
        output_tokens = nullif(coalesce(kept.output_tokens, 0) + coalesce(excluded.output_tokens, 0), 0),
        reasoning_tokens = nullif(coalesce(kept.reasoning_tokens, 0) + coalesce(excluded.reasoning_tokens, 0), 0),
        audio_output_tokens = nullif(coalesce(kept.audio_output_tokens, 0) +
            coalesce(excluded.audio_output_tokens, 0), 0),
        image_output_tokens = nullif(coalesce(kept.image_output_tokens, 0) +
            coalesce(excluded.image_output_tokens, 0), 0),
        prediction_accepted_tokens = nullif(coalesce(kept.prediction_accepted_tokens, 0) +
            coalesce(excluded.prediction_accepted_tokens, 0), 0),
        prediction_rejected_tokens = nullif(coalesce(kept.prediction_rejected_tokens, 0) +
            coalesce(excluded.prediction_rejected_tokens, 0), 0),
        images = nullif(coalesce(kept.images, 0) + coalesce(excluded.images, 0), 0),
        audio_ms = nullif(coalesce(kept.audio_ms, 0) + coalesce(excluded.audio_ms, 0), 0),
        characters = nullif(coalesce(kept.characters, 0) + coalesce(excluded.characters, 0), 0),
        searches = nullif(coalesce(kept.searches, 0) + coalesce(excluded.searches, 0), 0);
    RETURN NULL;
END $$;
CREATE FUNCTION ledger_days_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger_weeks AS kept (
        begins, group_id,
        requests, cached_requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
        reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
        prediction_rejected_tokens, images, audio_ms, characters, searches
    )
    SELECT
        date_trunc('week', begins, 'UTC'), group_id,
        nullif(sum(requests) FILTER (WHERE requests IS NOT NULL), 0),
        nullif(sum(cached_requests) FILTER (WHERE cached_requests IS NOT NULL), 0),
        nullif(sum(errors) FILTER (WHERE errors IS NOT NULL), 0),
        nullif(sum(unpriced) FILTER (WHERE unpriced IS NOT NULL), 0),
        nullif(sum(cost_nano) FILTER (WHERE cost_nano IS NOT NULL), 0),
        nullif(sum(estimated_nano) FILTER (WHERE estimated_nano IS NOT NULL), 0),
        nullif(sum(input_tokens) FILTER (WHERE input_tokens IS NOT NULL), 0),
        nullif(sum(cached_input_tokens) FILTER (WHERE cached_input_tokens IS NOT NULL), 0),
        nullif(sum(cache_write_5m_tokens) FILTER (WHERE cache_write_5m_tokens IS NOT NULL), 0),
        nullif(sum(cache_write_1h_tokens) FILTER (WHERE cache_write_1h_tokens IS NOT NULL), 0),
        nullif(sum(audio_input_tokens) FILTER (WHERE audio_input_tokens IS NOT NULL), 0),
        nullif(sum(image_input_tokens) FILTER (WHERE image_input_tokens IS NOT NULL), 0),
        nullif(sum(output_tokens) FILTER (WHERE output_tokens IS NOT NULL), 0),
        nullif(sum(reasoning_tokens) FILTER (WHERE reasoning_tokens IS NOT NULL), 0),
        nullif(sum(audio_output_tokens) FILTER (WHERE audio_output_tokens IS NOT NULL), 0),
        nullif(sum(image_output_tokens) FILTER (WHERE image_output_tokens IS NOT NULL), 0),
        nullif(sum(prediction_accepted_tokens) FILTER (WHERE prediction_accepted_tokens IS NOT NULL), 0),
        nullif(sum(prediction_rejected_tokens) FILTER (WHERE prediction_rejected_tokens IS NOT NULL), 0),
        nullif(sum(images) FILTER (WHERE images IS NOT NULL), 0),
        nullif(sum(audio_ms) FILTER (WHERE audio_ms IS NOT NULL), 0),
        nullif(sum(characters) FILTER (WHERE characters IS NOT NULL), 0),
        nullif(sum(searches) FILTER (WHERE searches IS NOT NULL), 0)
    FROM (
        SELECT
            begins, group_id,
            requests, cached_requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
            cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
            reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
            prediction_rejected_tokens, images, audio_ms, characters, searches
        FROM added
        UNION ALL
        SELECT
            begins, group_id,
            -requests, -cached_requests, -errors, -unpriced, -cost_nano, -estimated_nano, -input_tokens,
            -cached_input_tokens, -cache_write_5m_tokens, -cache_write_1h_tokens, -audio_input_tokens,
            -image_input_tokens, -output_tokens, -reasoning_tokens, -audio_output_tokens, -image_output_tokens,
            -prediction_accepted_tokens, -prediction_rejected_tokens, -images, -audio_ms, -characters, -searches
        FROM before
    ) changed
    GROUP BY 1, 2
    ORDER BY 1, 2
    ON CONFLICT (begins, group_id) DO UPDATE SET
        requests = nullif(coalesce(kept.requests, 0) + coalesce(excluded.requests, 0), 0),
        cached_requests = nullif(coalesce(kept.cached_requests, 0) + coalesce(excluded.cached_requests, 0), 0),
        errors = nullif(coalesce(kept.errors, 0) + coalesce(excluded.errors, 0), 0),
        unpriced = nullif(coalesce(kept.unpriced, 0) + coalesce(excluded.unpriced, 0), 0),
        cost_nano = nullif(coalesce(kept.cost_nano, 0) + coalesce(excluded.cost_nano, 0), 0),
        estimated_nano = nullif(coalesce(kept.estimated_nano, 0) + coalesce(excluded.estimated_nano, 0), 0),
        input_tokens = nullif(coalesce(kept.input_tokens, 0) + coalesce(excluded.input_tokens, 0), 0),
        cached_input_tokens = nullif(coalesce(kept.cached_input_tokens, 0) +
            coalesce(excluded.cached_input_tokens, 0), 0),
        cache_write_5m_tokens = nullif(coalesce(kept.cache_write_5m_tokens, 0) +
            coalesce(excluded.cache_write_5m_tokens, 0), 0),
        cache_write_1h_tokens = nullif(coalesce(kept.cache_write_1h_tokens, 0) +
            coalesce(excluded.cache_write_1h_tokens, 0), 0),
        audio_input_tokens = nullif(coalesce(kept.audio_input_tokens, 0) +
            coalesce(excluded.audio_input_tokens, 0), 0),
        image_input_tokens = nullif(coalesce(kept.image_input_tokens, 0) +
            coalesce(excluded.image_input_tokens, 0), 0),
        output_tokens = nullif(coalesce(kept.output_tokens, 0) + coalesce(excluded.output_tokens, 0), 0),
        reasoning_tokens = nullif(coalesce(kept.reasoning_tokens, 0) + coalesce(excluded.reasoning_tokens, 0), 0),
        audio_output_tokens = nullif(coalesce(kept.audio_output_tokens, 0) +
            coalesce(excluded.audio_output_tokens, 0), 0),
        image_output_tokens = nullif(coalesce(kept.image_output_tokens, 0) +
            coalesce(excluded.image_output_tokens, 0), 0),
        prediction_accepted_tokens = nullif(coalesce(kept.prediction_accepted_tokens, 0) +
            coalesce(excluded.prediction_accepted_tokens, 0), 0),
        prediction_rejected_tokens = nullif(coalesce(kept.prediction_rejected_tokens, 0) +
            coalesce(excluded.prediction_rejected_tokens, 0), 0),
        images = nullif(coalesce(kept.images, 0) + coalesce(excluded.images, 0), 0),
        audio_ms = nullif(coalesce(kept.audio_ms, 0) + coalesce(excluded.audio_ms, 0), 0),
        characters = nullif(coalesce(kept.characters, 0) + coalesce(excluded.characters, 0), 0),
        searches = nullif(coalesce(kept.searches, 0) + coalesce(excluded.searches, 0), 0);
    INSERT INTO ledger_totals AS kept (
        begins, id, organisation, business_unit, model, provider,
        requests, cached_requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
        reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
        prediction_rejected_tokens, images, audio_ms, characters, searches
    )
    SELECT
        begins, ledger_group_id(organisation, business_unit, '', '', '', '', model, provider), organisation,
        business_unit, model, provider,
        nullif(sum(requests) FILTER (WHERE requests IS NOT NULL), 0),
        nullif(sum(cached_requests) FILTER (WHERE cached_requests IS NOT NULL), 0),
        nullif(sum(errors) FILTER (WHERE errors IS NOT NULL), 0),
        nullif(sum(unpriced) FILTER (WHERE unpriced IS NOT NULL), 0),
        nullif(sum(cost_nano) FILTER (WHERE cost_nano IS NOT NULL), 0),
        nullif(sum(estimated_nano) FILTER (WHERE estimated_nano IS NOT NULL), 0),
        nullif(sum(input_tokens) FILTER (WHERE input_tokens IS NOT NULL), 0),
        nullif(sum(cached_input_tokens) FILTER (WHERE cached_input_tokens IS NOT NULL), 0),
        nullif(sum(cache_write_5m_tokens) FILTER (WHERE cache_write_5m_tokens IS NOT NULL), 0),
        nullif(sum(cache_write_1h_tokens) FILTER (WHERE cache_write_1h_tokens IS NOT NULL), 0),
        nullif(sum(audio_input_tokens) FILTER (WHERE audio_input_tokens IS NOT NULL), 0),
        nullif(sum(image_input_tokens) FILTER (WHERE image_input_tokens IS NOT NULL), 0),
        nullif(sum(output_tokens) FILTER (WHERE output_tokens IS NOT NULL), 0),
        nullif(sum(reasoning_tokens) FILTER (WHERE reasoning_tokens IS NOT NULL), 0),
        nullif(sum(audio_output_tokens) FILTER (WHERE audio_output_tokens IS NOT NULL), 0),
        nullif(sum(image_output_tokens) FILTER (WHERE image_output_tokens IS NOT NULL), 0),
        nullif(sum(prediction_accepted_tokens) FILTER (WHERE prediction_accepted_tokens IS NOT NULL), 0),
        nullif(sum(prediction_rejected_tokens) FILTER (WHERE prediction_rejected_tokens IS NOT NULL), 0),
        nullif(sum(images) FILTER (WHERE images IS NOT NULL), 0),
        nullif(sum(audio_ms) FILTER (WHERE audio_ms IS NOT NULL), 0),
        nullif(sum(characters) FILTER (WHERE characters IS NOT NULL), 0),
        nullif(sum(searches) FILTER (WHERE searches IS NOT NULL), 0)
    FROM (
        SELECT
            begins, group_id,
            requests, cached_requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
            cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
            reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
            prediction_rejected_tokens, images, audio_ms, characters, searches
        FROM added
        UNION ALL
        SELECT
            begins, group_id,
            -requests, -cached_requests, -errors, -unpriced, -cost_nano, -estimated_nano, -input_tokens,
            -cached_input_tokens, -cache_write_5m_tokens, -cache_write_1h_tokens, -audio_input_tokens,
            -image_input_tokens, -output_tokens, -reasoning_tokens, -audio_output_tokens, -image_output_tokens,
            -prediction_accepted_tokens, -prediction_rejected_tokens, -images, -audio_ms, -characters, -searches
        FROM before
    ) changed
    JOIN ledger_groups ON ledger_groups.id = group_id
    GROUP BY begins, organisation, business_unit, model, provider
    ORDER BY 1, 2
    ON CONFLICT (begins, id) DO UPDATE SET
        requests = nullif(coalesce(kept.requests, 0) + coalesce(excluded.requests, 0), 0),
        cached_requests = nullif(coalesce(kept.cached_requests, 0) + coalesce(excluded.cached_requests, 0), 0),
        errors = nullif(coalesce(kept.errors, 0) + coalesce(excluded.errors, 0), 0),
        unpriced = nullif(coalesce(kept.unpriced, 0) + coalesce(excluded.unpriced, 0), 0),
        cost_nano = nullif(coalesce(kept.cost_nano, 0) + coalesce(excluded.cost_nano, 0), 0),
        estimated_nano = nullif(coalesce(kept.estimated_nano, 0) + coalesce(excluded.estimated_nano, 0), 0),
        input_tokens = nullif(coalesce(kept.input_tokens, 0) + coalesce(excluded.input_tokens, 0), 0),
        cached_input_tokens = nullif(coalesce(kept.cached_input_tokens, 0) +
            coalesce(excluded.cached_input_tokens, 0), 0),
        cache_write_5m_tokens = nullif(coalesce(kept.cache_write_5m_tokens, 0) +
            coalesce(excluded.cache_write_5m_tokens, 0), 0),
        cache_write_1h_tokens = nullif(coalesce(kept.cache_write_1h_tokens, 0) +
            coalesce(excluded.cache_write_1h_tokens, 0), 0),
        audio_input_tokens = nullif(coalesce(kept.audio_input_tokens, 0) +
            coalesce(excluded.audio_input_tokens, 0), 0),
        image_input_tokens = nullif(coalesce(kept.image_input_tokens, 0) +
            coalesce(excluded.image_input_tokens, 0), 0),
        output_tokens = nullif(coalesce(kept.output_tokens, 0) + coalesce(excluded.output_tokens, 0), 0),
        reasoning_tokens = nullif(coalesce(kept.reasoning_tokens, 0) + coalesce(excluded.reasoning_tokens, 0), 0),
        audio_output_tokens = nullif(coalesce(kept.audio_output_tokens, 0) +
            coalesce(excluded.audio_output_tokens, 0), 0),
        image_output_tokens = nullif(coalesce(kept.image_output_tokens, 0) +
            coalesce(excluded.image_output_tokens, 0), 0),
        prediction_accepted_tokens = nullif(coalesce(kept.prediction_accepted_tokens, 0) +
            coalesce(excluded.prediction_accepted_tokens, 0), 0),
        prediction_rejected_tokens = nullif(coalesce(kept.prediction_rejected_tokens, 0) +
            coalesce(excluded.prediction_rejected_tokens, 0), 0),
        images = nullif(coalesce(kept.images, 0) + coalesce(excluded.images, 0), 0),
        audio_ms = nullif(coalesce(kept.audio_ms, 0) + coalesce(excluded.audio_ms, 0), 0),
        characters = nullif(coalesce(kept.characters, 0) + coalesce(excluded.characters, 0), 0),
        searches = nullif(coalesce(kept.searches, 0) + coalesce(excluded.searches, 0), 0);
    RETURN NULL;
END $$;
CREATE FUNCTION ledger_days_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger_weeks AS kept (
        begins, group_id,
        requests, cached_requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
        reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
        prediction_rejected_tokens, images, audio_ms, characters, searches
    )
    SELECT
        date_trunc('week', begins, 'UTC'), group_id,
        nullif(sum(requests) FILTER (WHERE requests IS NOT NULL), 0),
        nullif(sum(cached_requests) FILTER (WHERE cached_requests IS NOT NULL), 0),
        nullif(sum(errors) FILTER (WHERE errors IS NOT NULL), 0),
        nullif(sum(unpriced) FILTER (WHERE unpriced IS NOT NULL), 0),
        nullif(sum(cost_nano) FILTER (WHERE cost_nano IS NOT NULL), 0),
        nullif(sum(estimated_nano) FILTER (WHERE estimated_nano IS NOT NULL), 0),
        nullif(sum(input_tokens) FILTER (WHERE input_tokens IS NOT NULL), 0),
        nullif(sum(cached_input_tokens) FILTER (WHERE cached_input_tokens IS NOT NULL), 0),
        nullif(sum(cache_write_5m_tokens) FILTER (WHERE cache_write_5m_tokens IS NOT NULL), 0),
        nullif(sum(cache_write_1h_tokens) FILTER (WHERE cache_write_1h_tokens IS NOT NULL), 0),
        nullif(sum(audio_input_tokens) FILTER (WHERE audio_input_tokens IS NOT NULL), 0),
        nullif(sum(image_input_tokens) FILTER (WHERE image_input_tokens IS NOT NULL), 0),
        nullif(sum(output_tokens) FILTER (WHERE output_tokens IS NOT NULL), 0),
        nullif(sum(reasoning_tokens) FILTER (WHERE reasoning_tokens IS NOT NULL), 0),
        nullif(sum(audio_output_tokens) FILTER (WHERE audio_output_tokens IS NOT NULL), 0),
        nullif(sum(image_output_tokens) FILTER (WHERE image_output_tokens IS NOT NULL), 0),
        nullif(sum(prediction_accepted_tokens) FILTER (WHERE prediction_accepted_tokens IS NOT NULL), 0),
        nullif(sum(prediction_rejected_tokens) FILTER (WHERE prediction_rejected_tokens IS NOT NULL), 0),
        nullif(sum(images) FILTER (WHERE images IS NOT NULL), 0),
        nullif(sum(audio_ms) FILTER (WHERE audio_ms IS NOT NULL), 0),
        nullif(sum(characters) FILTER (WHERE characters IS NOT NULL), 0),
        nullif(sum(searches) FILTER (WHERE searches IS NOT NULL), 0)
    FROM (
        SELECT
            begins, group_id,
            -requests, -cached_requests, -errors, -unpriced, -cost_nano, -estimated_nano, -input_tokens,
            -cached_input_tokens, -cache_write_5m_tokens, -cache_write_1h_tokens, -audio_input_tokens,
            -image_input_tokens, -output_tokens, -reasoning_tokens, -audio_output_tokens, -image_output_tokens,
            -prediction_accepted_tokens, -prediction_rejected_tokens, -images, -audio_ms, -characters, -searches
        FROM before
    ) changed
    GROUP BY 1, 2
    ORDER BY 1, 2
    ON CONFLICT (begins, group_id) DO UPDATE SET
        requests = nullif(coalesce(kept.requests, 0) + coalesce(excluded.requests, 0), 0),
        cached_requests = nullif(coalesce(kept.cached_requests, 0) + coalesce(excluded.cached_requests, 0), 0),
        errors = nullif(coalesce(kept.errors, 0) + coalesce(excluded.errors, 0), 0),
        unpriced = nullif(coalesce(kept.unpriced, 0) + coalesce(excluded.unpriced, 0), 0),
        cost_nano = nullif(coalesce(kept.cost_nano, 0) + coalesce(excluded.cost_nano, 0), 0),
        estimated_nano = nullif(coalesce(kept.estimated_nano, 0) + coalesce(excluded.estimated_nano, 0), 0),
        input_tokens = nullif(coalesce(kept.input_tokens, 0) + coalesce(excluded.input_tokens, 0), 0),
        cached_input_tokens = nullif(coalesce(kept.cached_input_tokens, 0) +
            coalesce(excluded.cached_input_tokens, 0), 0),
        cache_write_5m_tokens = nullif(coalesce(kept.cache_write_5m_tokens, 0) +
            coalesce(excluded.cache_write_5m_tokens, 0), 0),
        cache_write_1h_tokens = nullif(coalesce(kept.cache_write_1h_tokens, 0) +
            coalesce(excluded.cache_write_1h_tokens, 0), 0),
        audio_input_tokens = nullif(coalesce(kept.audio_input_tokens, 0) +
            coalesce(excluded.audio_input_tokens, 0), 0),
        image_input_tokens = nullif(coalesce(kept.image_input_tokens, 0) +
            coalesce(excluded.image_input_tokens, 0), 0),
        output_tokens = nullif(coalesce(kept.output_tokens, 0) + coalesce(excluded.output_tokens, 0), 0),
        reasoning_tokens = nullif(coalesce(kept.reasoning_tokens, 0) + coalesce(excluded.reasoning_tokens, 0), 0),
        audio_output_tokens = nullif(coalesce(kept.audio_output_tokens, 0) +
            coalesce(excluded.audio_output_tokens, 0), 0),
        image_output_tokens = nullif(coalesce(kept.image_output_tokens, 0) +
            coalesce(excluded.image_output_tokens, 0), 0),
        prediction_accepted_tokens = nullif(coalesce(kept.prediction_accepted_tokens, 0) +
            coalesce(excluded.prediction_accepted_tokens, 0), 0),
        prediction_rejected_tokens = nullif(coalesce(kept.prediction_rejected_tokens, 0) +
            coalesce(excluded.prediction_rejected_tokens, 0), 0),
        images = nullif(coalesce(kept.images, 0) + coalesce(excluded.images, 0), 0),
        audio_ms = nullif(coalesce(kept.audio_ms, 0) + coalesce(excluded.audio_ms, 0), 0),
        characters = nullif(coalesce(kept.characters, 0) + coalesce(excluded.characters, 0), 0),
        searches = nullif(coalesce(kept.searches, 0) + coalesce(excluded.searches, 0), 0);
    INSERT INTO ledger_totals AS kept (
        begins, id, organisation, business_unit, model, provider,
        requests, cached_requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
        reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
        prediction_rejected_tokens, images, audio_ms, characters, searches
    )
    SELECT
        begins, ledger_group_id(organisation, business_unit, '', '', '', '', model, provider), organisation,
        business_unit, model, provider,
        nullif(sum(requests) FILTER (WHERE requests IS NOT NULL), 0),
        nullif(sum(cached_requests) FILTER (WHERE cached_requests IS NOT NULL), 0),
        nullif(sum(errors) FILTER (WHERE errors IS NOT NULL), 0),
        nullif(sum(unpriced) FILTER (WHERE unpriced IS NOT NULL), 0),
        nullif(sum(cost_nano) FILTER (WHERE cost_nano IS NOT NULL), 0),
        nullif(sum(estimated_nano) FILTER (WHERE estimated_nano IS NOT NULL), 0),
        nullif(sum(input_tokens) FILTER (WHERE input_tokens IS NOT NULL), 0),
        nullif(sum(cached_input_tokens) FILTER (WHERE cached_input_tokens IS NOT NULL), 0),
        nullif(sum(cache_write_5m_tokens) FILTER (WHERE cache_write_5m_tokens IS NOT NULL), 0),
        nullif(sum(cache_write_1h_tokens) FILTER (WHERE cache_write_1h_tokens IS NOT NULL), 0),
        nullif(sum(audio_input_tokens) FILTER (WHERE audio_input_tokens IS NOT NULL), 0),
        nullif(sum(image_input_tokens) FILTER (WHERE image_input_tokens IS NOT NULL), 0),
        nullif(sum(output_tokens) FILTER (WHERE output_tokens IS NOT NULL), 0),
        nullif(sum(reasoning_tokens) FILTER (WHERE reasoning_tokens IS NOT NULL), 0),
        nullif(sum(audio_output_tokens) FILTER (WHERE audio_output_tokens IS NOT NULL), 0),
        nullif(sum(image_output_tokens) FILTER (WHERE image_output_tokens IS NOT NULL), 0),
        nullif(sum(prediction_accepted_tokens) FILTER (WHERE prediction_accepted_tokens IS NOT NULL), 0),
        nullif(sum(prediction_rejected_tokens) FILTER (WHERE prediction_rejected_tokens IS NOT NULL), 0),
        nullif(sum(images) FILTER (WHERE images IS NOT NULL), 0),
        nullif(sum(audio_ms) FILTER (WHERE audio_ms IS NOT NULL), 0),
        nullif(sum(characters) FILTER (WHERE characters IS NOT NULL), 0),
        nullif(sum(searches) FILTER (WHERE searches IS NOT NULL), 0)
    FROM (
        SELECT
            begins, group_id,
            -requests, -cached_requests, -errors, -unpriced, -cost_nano, -estimated_nano, -input_tokens,
            -cached_input_tokens, -cache_write_5m_tokens, -cache_write_1h_tokens, -audio_input_tokens,
            -image_input_tokens, -output_tokens, -reasoning_tokens, -audio_output_tokens, -image_output_tokens,
            -prediction_accepted_tokens, -prediction_rejected_tokens, -images, -audio_ms, -characters, -searches
        FROM before
    ) changed
    JOIN ledger_groups ON ledger_groups.id = group_id
    GROUP BY begins, organisation, business_unit, model, provider
    ORDER BY 1, 2
    ON CONFLICT (begins, id) DO UPDATE SET
        requests = nullif(coalesce(kept.requests, 0) + coalesce(excluded.requests, 0), 0),
        cached_requests = nullif(coalesce(kept.cached_requests, 0) + coalesce(excluded.cached_requests, 0), 0),
        errors = nullif(coalesce(kept.errors, 0) + coalesce(excluded.errors, 0), 0),
        unpriced = nullif(coalesce(kept.unpriced, 0) + coalesce(excluded.unpriced, 0), 0),
        cost_nano = nullif(coalesce(kept.cost_nano, 0) + coalesce(excluded.cost_nano, 0), 0),
        estimated_nano = nullif(coalesce(kept.estimated_nano, 0) + coalesce(excluded.estimated_nano, 0), 0),
        input_tokens = nullif(coalesce(kept.input_tokens, 0) + coalesce(excluded.input_tokens, 0), 0),
        cached_input_tokens = nullif(coalesce(kept.cached_input_tokens, 0) +
            coalesce(excluded.cached_input_tokens, 0), 0),
        cache_write_5m_tokens = nullif(coalesce(kept.cache_write_5m_tokens, 0) +
            coalesce(excluded.cache_write_5m_tokens, 0), 0),
        cache_write_1h_tokens = nullif(coalesce(kept.cache_write_1h_tokens, 0) +
            coalesce(excluded.cache_write_1h_tokens, 0), 0),
        audio_input_tokens = nullif(coalesce(kept.audio_input_tokens, 0) +
            coalesce(excluded.audio_input_tokens, 0), 0),
        image_input_tokens = nullif(coalesce(kept.image_input_tokens, 0) +
            coalesce(excluded.image_input_tokens, 0), 0),
        output_tokens = nullif(coalesce(kept.output_tokens, 0) + coalesce(excluded.output_tokens, 0), 0),
        reasoning_tokens = nullif(coalesce(kept.reasoning_tokens, 0) + coalesce(excluded.reasoning_tokens, 0), 0),
        audio_output_tokens = nullif(coalesce(kept.audio_output_tokens, 0) +
            coalesce(excluded.audio_output_tokens, 0), 0),
        image_output_tokens = nullif(coalesce(kept.image_output_tokens, 0) +
            coalesce(excluded.image_output_tokens, 0), 0),
        prediction_accepted_tokens = nullif(coalesce(kept.prediction_accepted_tokens, 0) +
            coalesce(excluded.prediction_accepted_tokens, 0), 0),
        prediction_rejected_tokens = nullif(coalesce(kept.prediction_rejected_tokens, 0) +
            coalesce(excluded.prediction_rejected_tokens, 0), 0),
        images = nullif(coalesce(kept.images, 0) + coalesce(excluded.images, 0), 0),
        audio_ms = nullif(coalesce(kept.audio_ms, 0) + coalesce(excluded.audio_ms, 0), 0),
        characters = nullif(coalesce(kept.characters, 0) + coalesce(excluded.characters, 0), 0),
        searches = nullif(coalesce(kept.searches, 0) + coalesce(excluded.searches, 0), 0);
    RETURN NULL;
END $$;
CREATE FUNCTION ledger_days_emptied() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE ledger_weeks, ledger_totals;
    RETURN NULL;
END $$;

-- What there is so far is added as new rows are.
INSERT INTO ledger_weeks (
    begins, group_id,
    requests, cached_requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
    cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
    reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
    prediction_rejected_tokens, images, audio_ms, characters, searches
)
SELECT
    date_trunc('week', begins, 'UTC'), group_id,
    nullif(sum(requests) FILTER (WHERE requests IS NOT NULL), 0),
    nullif(sum(cached_requests) FILTER (WHERE cached_requests IS NOT NULL), 0),
    nullif(sum(errors) FILTER (WHERE errors IS NOT NULL), 0),
    nullif(sum(unpriced) FILTER (WHERE unpriced IS NOT NULL), 0),
    nullif(sum(cost_nano) FILTER (WHERE cost_nano IS NOT NULL), 0),
    nullif(sum(estimated_nano) FILTER (WHERE estimated_nano IS NOT NULL), 0),
    nullif(sum(input_tokens) FILTER (WHERE input_tokens IS NOT NULL), 0),
    nullif(sum(cached_input_tokens) FILTER (WHERE cached_input_tokens IS NOT NULL), 0),
    nullif(sum(cache_write_5m_tokens) FILTER (WHERE cache_write_5m_tokens IS NOT NULL), 0),
    nullif(sum(cache_write_1h_tokens) FILTER (WHERE cache_write_1h_tokens IS NOT NULL), 0),
    nullif(sum(audio_input_tokens) FILTER (WHERE audio_input_tokens IS NOT NULL), 0),
    nullif(sum(image_input_tokens) FILTER (WHERE image_input_tokens IS NOT NULL), 0),
    nullif(sum(output_tokens) FILTER (WHERE output_tokens IS NOT NULL), 0),
    nullif(sum(reasoning_tokens) FILTER (WHERE reasoning_tokens IS NOT NULL), 0),
    nullif(sum(audio_output_tokens) FILTER (WHERE audio_output_tokens IS NOT NULL), 0),
    nullif(sum(image_output_tokens) FILTER (WHERE image_output_tokens IS NOT NULL), 0),
    nullif(sum(prediction_accepted_tokens) FILTER (WHERE prediction_accepted_tokens IS NOT NULL), 0),
    nullif(sum(prediction_rejected_tokens) FILTER (WHERE prediction_rejected_tokens IS NOT NULL), 0),
    nullif(sum(images) FILTER (WHERE images IS NOT NULL), 0),
    nullif(sum(audio_ms) FILTER (WHERE audio_ms IS NOT NULL), 0),
    nullif(sum(characters) FILTER (WHERE characters IS NOT NULL), 0),
    nullif(sum(searches) FILTER (WHERE searches IS NOT NULL), 0)
FROM ledger_days
GROUP BY 1, 2
ORDER BY 1, 2;
INSERT INTO ledger_totals (
    begins, id, organisation, business_unit, model, provider,
    requests, cached_requests, errors, unpriced, cost_nano, estimated_nano, input_tokens, cached_input_tokens,
    cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
    reasoning_tokens, audio_output_tokens, image_output_tokens, prediction_accepted_tokens,
    prediction_rejected_tokens, images, audio_ms, characters, searches
)
SELECT
    begins, ledger_group_id(organisation, business_unit, '', '', '', '', model, provider), organisation, business_unit,
    model, provider,
    nullif(sum(requests) FILTER (WHERE requests IS NOT NULL), 0),
    nullif(sum(cached_requests) FILTER (WHERE cached_requests IS NOT NULL), 0),
    nullif(sum(errors) FILTER (WHERE errors IS NOT NULL), 0),
    nullif(sum(unpriced) FILTER (WHERE unpriced IS NOT NULL), 0),
    nullif(sum(cost_nano) FILTER (WHERE cost_nano IS NOT NULL), 0),
    nullif(sum(estimated_nano) FILTER (WHERE estimated_nano IS NOT NULL), 0),
    nullif(sum(input_tokens) FILTER (WHERE input_tokens IS NOT NULL), 0),
    nullif(sum(cached_input_tokens) FILTER (WHERE cached_input_tokens IS NOT NULL), 0),
    nullif(sum(cache_write_5m_tokens) FILTER (WHERE cache_write_5m_tokens IS NOT NULL), 0),
    nullif(sum(cache_write_1h_tokens) FILTER (WHERE cache_write_1h_tokens IS NOT NULL), 0),
    nullif(sum(audio_input_tokens) FILTER (WHERE audio_input_tokens IS NOT NULL), 0),
    nullif(sum(image_input_tokens) FILTER (WHERE image_input_tokens IS NOT NULL), 0),
    nullif(sum(output_tokens) FILTER (WHERE output_tokens IS NOT NULL), 0),
    nullif(sum(reasoning_tokens) FILTER (WHERE reasoning_tokens IS NOT NULL), 0),
    nullif(sum(audio_output_tokens) FILTER (WHERE audio_output_tokens IS NOT NULL), 0),
    nullif(sum(image_output_tokens) FILTER (WHERE image_output_tokens IS NOT NULL), 0),
    nullif(sum(prediction_accepted_tokens) FILTER (WHERE prediction_accepted_tokens IS NOT NULL), 0),
    nullif(sum(prediction_rejected_tokens) FILTER (WHERE prediction_rejected_tokens IS NOT NULL), 0),
    nullif(sum(images) FILTER (WHERE images IS NOT NULL), 0),
    nullif(sum(audio_ms) FILTER (WHERE audio_ms IS NOT NULL), 0),
    nullif(sum(characters) FILTER (WHERE characters IS NOT NULL), 0),
    nullif(sum(searches) FILTER (WHERE searches IS NOT NULL), 0)
FROM ledger_days JOIN ledger_groups ON ledger_groups.id = group_id
GROUP BY begins, organisation, business_unit, model, provider
ORDER BY 1, 2;
CREATE TRIGGER ledger_days_added AFTER INSERT ON ledger_days
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ledger_days_added();
CREATE TRIGGER ledger_days_changed AFTER UPDATE ON ledger_days
    REFERENCING NEW TABLE AS added OLD TABLE AS before FOR EACH STATEMENT EXECUTE FUNCTION ledger_days_changed();
CREATE TRIGGER ledger_days_removed AFTER DELETE ON ledger_days
    REFERENCING OLD TABLE AS before FOR EACH STATEMENT EXECUTE FUNCTION ledger_days_removed();
CREATE TRIGGER ledger_days_emptied AFTER TRUNCATE ON ledger_days
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_days_emptied();
ANALYZE ledger_weeks, ledger_totals;
