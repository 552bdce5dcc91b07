-- Requests and answers, apart from the ledger: partitioned by (how many days they are kept; day of the request's id), so
-- that they end by dropping partitions. `content` is a zstd frame as it came, or NULL when it is in an object store.
CREATE TABLE request_log (
    id uuid NOT NULL,
    day date NOT NULL,
    retention_days smallint NOT NULL CHECK (retention_days IN (1, 7, 30, 90, 365)),
    organisation text NOT NULL,
    business_unit text NOT NULL,
    project text NOT NULL,
    key_id text NOT NULL,
    key_public_id text NOT NULL,
    client_user text NOT NULL,
    endpoint text NOT NULL,
    model text NOT NULL,
    provider text NOT NULL,
    stream boolean NOT NULL,
    status integer NOT NULL,
    outcome text NOT NULL,
    error_code text NOT NULL,
    client_request_id text NOT NULL,
    tags jsonb NOT NULL,
    client_address text NOT NULL,
    user_agent text NOT NULL,
    started_at timestamptz NOT NULL,
    duration_ms bigint NOT NULL,
    masked boolean NOT NULL,
    truncated boolean NOT NULL,
    plain_bytes bigint NOT NULL,
    stored_bytes integer NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    content bytea,
    -- Ids are made in the order of time, so the key also serves "newest first".
    PRIMARY KEY (id, day, retention_days)
) PARTITION BY LIST (retention_days);
ALTER TABLE request_log ALTER COLUMN content SET STORAGE EXTERNAL;
CREATE INDEX request_log_project ON request_log (project, id);
CREATE INDEX request_log_key ON request_log (key_id, id);
CREATE INDEX request_log_user ON request_log (client_user, id) WHERE client_user <> '';
CREATE INDEX request_log_client_request ON request_log (client_request_id) WHERE client_request_id <> '';
CREATE INDEX request_log_failed ON request_log (id) WHERE outcome <> 'ok';
CREATE INDEX request_log_tags ON request_log USING gin (tags jsonb_path_ops);

CREATE TABLE request_log_1 PARTITION OF request_log FOR VALUES IN (1) PARTITION BY RANGE (day);
CREATE TABLE request_log_7 PARTITION OF request_log FOR VALUES IN (7) PARTITION BY RANGE (day);
CREATE TABLE request_log_30 PARTITION OF request_log FOR VALUES IN (30) PARTITION BY RANGE (day);
CREATE TABLE request_log_90 PARTITION OF request_log FOR VALUES IN (90) PARTITION BY RANGE (day);
CREATE TABLE request_log_365 PARTITION OF request_log FOR VALUES IN (365) PARTITION BY RANGE (day);
CREATE TABLE request_log_1_default PARTITION OF request_log_1 DEFAULT;
CREATE TABLE request_log_7_default PARTITION OF request_log_7 DEFAULT;
CREATE TABLE request_log_30_default PARTITION OF request_log_30 DEFAULT;
CREATE TABLE request_log_90_default PARTITION OF request_log_90 DEFAULT;
CREATE TABLE request_log_365_default PARTITION OF request_log_365 DEFAULT;

-- Bodies that were lost, by hour: dropped by a data plane whose spool was full, or refused here.
CREATE TABLE request_log_losses (
    replica text NOT NULL,
    hour timestamptz NOT NULL,
    dropped bigint NOT NULL DEFAULT 0,
    refused bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (replica, hour)
);
CREATE INDEX request_log_losses_hour ON request_log_losses (hour);

-- What was erased on request: bodies of it that a data plane still holds are not stored when they arrive.
CREATE TABLE request_log_erasures (
    id uuid PRIMARY KEY,
    request_id uuid,
    project text,
    begin_at timestamptz,
    end_at timestamptz,
    erased_at timestamptz NOT NULL
);
CREATE INDEX request_log_erasures_request ON request_log_erasures (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX request_log_erasures_project ON request_log_erasures (project, end_at) WHERE project IS NOT NULL;

-- What the request log keeps of a project, and for how many days.
ALTER TABLE projects
    ADD COLUMN log_bodies text NOT NULL DEFAULT 'full' CHECK (log_bodies IN ('full', 'masked', 'none')),
    ADD COLUMN log_retention_days smallint NOT NULL DEFAULT 30 CHECK (log_retention_days IN (1, 7, 30, 90, 365));
