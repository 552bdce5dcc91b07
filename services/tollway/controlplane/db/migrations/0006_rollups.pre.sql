-- Roll-ups of the ledger: sums by hour and by day, kept in the transaction that adds the rows.
--
-- Whoever adds rows to the ledger, of this release or of the one before, fires the triggers below: they append what
-- the rows add up to (`ledger_deltas`), which locks nothing that another writer wants. One folder at a time moves
-- deltas into `ledger_hours` and `ledger_days`. What is read is always the folded and the unfolded part together.

-- `taken_at`: when the row came, by this server's clock; null in rows of before. Balances are counted up to a moment
-- of it.
ALTER TABLE ledger_requests
    ADD COLUMN user_name text NOT NULL DEFAULT '',
    ADD COLUMN taken_at timestamptz;
-- `organisation` and `request_started_at` are null in rows of before; those of their request hold, and `started_at`.
-- `estimated_nano` is what a row adds to the sum of estimates. Null: its cost if it is estimated; of an adjustment
-- that is not, what takes the estimate back; else nothing.
ALTER TABLE ledger_attempts
    ADD COLUMN user_name text NOT NULL DEFAULT '',
    ADD COLUMN organisation text,
    ADD COLUMN request_started_at timestamptz,
    ADD COLUMN estimated_nano bigint,
    ADD COLUMN taken_at timestamptz;
-- Set apart from the columns: a default that changes would rewrite the tables.
ALTER TABLE ledger_requests ALTER COLUMN taken_at SET DEFAULT clock_timestamp();
ALTER TABLE ledger_attempts ALTER COLUMN taken_at SET DEFAULT clock_timestamp();
ALTER TABLE ledger_requests_default ALTER COLUMN taken_at SET DEFAULT clock_timestamp();
ALTER TABLE ledger_attempts_default ALTER COLUMN taken_at SET DEFAULT clock_timestamp();

-- Parts of an hour are read from the rows. Rows come nearly in the order of time, so that these cost next to nothing.
CREATE INDEX ledger_requests_started ON ledger_requests USING brin (started_at) WITH (pages_per_range = 16);
CREATE INDEX ledger_attempts_started ON ledger_attempts
    USING brin ((coalesce(request_started_at, started_at))) WITH (pages_per_range = 16);
CREATE INDEX ledger_requests_taken ON ledger_requests USING brin (taken_at) WITH (pages_per_range = 16);
CREATE INDEX ledger_attempts_taken ON ledger_attempts USING brin (taken_at) WITH (pages_per_range = 16);
-- Sums by project come from the roll-ups.
DROP INDEX ledger_attempts_project;

-- What was added and is not folded yet. `provider` is null in what requests add up to and set in what attempts do;
-- `requests` of a provider are those that asked it, `errors` those that it never answered. Null stands for zero: most
-- kinds of usage are never used, and null costs neither space nor time.
CREATE TABLE ledger_deltas (
    begins                      timestamptz NOT NULL,
    organisation                text NOT NULL,
    business_unit               text NOT NULL,
    project                     text NOT NULL,
    key_id                      text NOT NULL,
    key_public_id               text NOT NULL,
    user_name                   text NOT NULL,
    model                       text NOT NULL,
    provider                    text,
    requests                    bigint,
    errors                      bigint,
    unpriced                    bigint,
    cost_nano                   numeric,
    estimated_nano              numeric,
    input_tokens                numeric,
    cached_input_tokens         numeric,
    cache_write_5m_tokens       numeric,
    cache_write_1h_tokens       numeric,
    audio_input_tokens          numeric,
    output_tokens               numeric,
    reasoning_tokens            numeric,
    audio_output_tokens         numeric,
    image_input_tokens          numeric,
    image_output_tokens         numeric,
    prediction_accepted_tokens  numeric,
    prediction_rejected_tokens  numeric,
    images                      numeric,
    audio_ms                    numeric,
    characters                  numeric,
    searches                    numeric
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

-- The day that a UUIDv7 was made on: its first 48 bits are Unix milliseconds (RFC 9562, 5.7).
CREATE FUNCTION ledger_id_day(id uuid) RETURNS date LANGUAGE sql IMMUTABLE AS $$
    SELECT date '1970-01-01'
        + (('x' || encode(substring(uuid_send(id) FOR 6), 'hex'))::bit(48)::bigint / 86400000)::integer
$$;

-- Who a sum belongs to. The id is made of the columns, so that no sum has to look it up.
CREATE TABLE ledger_groups (
    id                          uuid PRIMARY KEY,
    organisation                text NOT NULL,
    business_unit               text NOT NULL,
    project                     text NOT NULL,
    key_id                      text NOT NULL,
    key_public_id               text NOT NULL,
    user_name                   text NOT NULL,
    model                       text NOT NULL,
    provider                    text
);
CREATE FUNCTION ledger_group_id(
    organisation text, business_unit text, project text, key_id text, key_public_id text, user_name text, model text,
    provider text
) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT encode(substring(sha256(convert_to(jsonb_build_array(
        organisation, business_unit, project, key_id, key_public_id, user_name, model, provider)::text, 'UTF8'))
        FOR 16), 'hex')::uuid
$$;

-- The folded sums; `begins` is the hour, and of `ledger_days` the day, in UTC.
CREATE TABLE ledger_hours (
    begins                      timestamptz NOT NULL,
    group_id                    uuid NOT NULL,
    requests                    bigint,
    errors                      bigint,
    unpriced                    bigint,
    cost_nano                   numeric,
    estimated_nano              numeric,
    input_tokens                numeric,
    cached_input_tokens         numeric,
    cache_write_5m_tokens       numeric,
    cache_write_1h_tokens       numeric,
    audio_input_tokens          numeric,
    output_tokens               numeric,
    reasoning_tokens            numeric,
    audio_output_tokens         numeric,
    image_input_tokens          numeric,
    image_output_tokens         numeric,
    prediction_accepted_tokens  numeric,
    prediction_rejected_tokens  numeric,
    images                      numeric,
    audio_ms                    numeric,
    characters                  numeric,
    searches                    numeric,
    PRIMARY KEY (begins, group_id)
) WITH (fillfactor = 80);
CREATE TABLE ledger_days (LIKE ledger_hours INCLUDING ALL) WITH (fillfactor = 80);

CREATE VIEW ledger_by_hour AS
SELECT
    begins, organisation, business_unit, project, key_id, key_public_id, user_name, model, provider,
    requests, errors, unpriced, cost_nano, estimated_nano,
    input_tokens, cached_input_tokens, cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens,
    output_tokens, reasoning_tokens, audio_output_tokens, image_input_tokens, image_output_tokens,
    prediction_accepted_tokens, prediction_rejected_tokens, images, audio_ms, characters, searches
FROM ledger_hours JOIN ledger_groups ON ledger_groups.id = group_id
UNION ALL
SELECT
    begins, organisation, business_unit, project, key_id, key_public_id, user_name, model, provider,
    requests, errors, unpriced, cost_nano, estimated_nano,
    input_tokens, cached_input_tokens, cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens,
    output_tokens, reasoning_tokens, audio_output_tokens, image_input_tokens, image_output_tokens,
    prediction_accepted_tokens, prediction_rejected_tokens, images, audio_ms, characters, searches
FROM ledger_deltas;

CREATE VIEW ledger_by_day AS
SELECT
    begins, organisation, business_unit, project, key_id, key_public_id, user_name, model, provider,
    requests, errors, unpriced, cost_nano, estimated_nano,
    input_tokens, cached_input_tokens, cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens,
    output_tokens, reasoning_tokens, audio_output_tokens, image_input_tokens, image_output_tokens,
    prediction_accepted_tokens, prediction_rejected_tokens, images, audio_ms, characters, searches
FROM ledger_days JOIN ledger_groups ON ledger_groups.id = group_id
UNION ALL
SELECT
    date_trunc('day', begins, 'UTC') AS begins, organisation, business_unit, project, key_id, key_public_id,
    user_name, model, provider,
    requests, errors, unpriced, cost_nano, estimated_nano,
    input_tokens, cached_input_tokens, cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens,
    output_tokens, reasoning_tokens, audio_output_tokens, image_input_tokens, image_output_tokens,
    prediction_accepted_tokens, prediction_rejected_tokens, images, audio_ms, characters, searches
FROM ledger_deltas;

-- Retention: rows of days before `horizon` were dropped, or refused, and are never taken in again.
CREATE TABLE ledger_retention (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    horizon  date NOT NULL DEFAULT '0001-01-01'
);
INSERT INTO ledger_retention DEFAULT VALUES;

-- What the checks of the roll-ups found, one row each; `differences` are the first of them.
CREATE TABLE ledger_checks (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    checked_at  timestamptz NOT NULL,
    begins      timestamptz NOT NULL,
    ends        timestamptz NOT NULL,
    found       bigint NOT NULL,
    differences jsonb  NOT NULL DEFAULT '[]'
);
CREATE INDEX ledger_checks_time ON ledger_checks (checked_at);

-- The sums of the rows themselves, of requests that began in [since, until), as the roll-ups group them by hour. Days
-- bound the partitions that are opened.
CREATE FUNCTION ledger_counted(since timestamptz, until timestamptz, first_day date, last_day date) RETURNS TABLE (
    begins timestamptz, organisation text, business_unit text, project text, key_id text, key_public_id text,
    user_name text, model text, provider text, requests bigint, errors bigint, unpriced bigint, cost_nano numeric,
    estimated_nano numeric,
    input_tokens numeric, cached_input_tokens numeric, cache_write_5m_tokens numeric, cache_write_1h_tokens numeric,
    audio_input_tokens numeric, output_tokens numeric, reasoning_tokens numeric, audio_output_tokens numeric,
    image_input_tokens numeric, image_output_tokens numeric, prediction_accepted_tokens numeric,
    prediction_rejected_tokens numeric, images numeric, audio_ms numeric, characters numeric, searches numeric
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
        NULL::numeric, NULL::numeric
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
    GROUP BY begins, organisation, business_unit, project, key_id, user_name, model, provider
$$;

-- What rows that are added add to the roll-ups. A row of a day that retention has dropped must not count again.
CREATE FUNCTION ledger_requests_added() RETURNS trigger LANGUAGE plpgsql AS $$
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
        NULL::numeric, NULL::numeric
    FROM added r
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_requests_added AFTER INSERT ON ledger_requests
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ledger_requests_added();

-- Of a request whose earlier attempts are in the ledger already, only what changes is added: that it asked a provider,
-- that nobody answered. `tollway.new_requests` says for a transaction that there are none, which saves the look.
CREATE FUNCTION ledger_attempts_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added, ledger_retention WHERE added.day < horizon) THEN
        RAISE EXCEPTION 'the row is older than what the ledger keeps' USING ERRCODE = 'check_violation';
    END IF;
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
CREATE TRIGGER ledger_attempts_added AFTER INSERT ON ledger_attempts
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ledger_attempts_added();

-- What the ledger has so far.
INSERT INTO ledger_deltas SELECT * FROM ledger_counted('-infinity', 'infinity', '-infinity', 'infinity');
