-- The foundation: identity, catalog, distribution, ledger, audit.
-- Amounts are nano-dollars in bigint. Names are unique among rows that are not archived.

CREATE TABLE installation (
    only_row     boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch        text   NOT NULL,          -- new whenever the database is created or restored
    version      bigint NOT NULL DEFAULT 0, -- the last committed change; assigned under an advisory lock
    pruned_version bigint NOT NULL DEFAULT 0 -- changes up to this one are no longer in change_log
);

CREATE TABLE change_log (
    version    bigint NOT NULL,
    kind       text   NOT NULL CHECK (kind IN ('catalog', 'key')),
    key_id     uuid,                        -- for kind 'key'
    lookup     text,                        -- set when the key's row was removed: what the tombstone names
    changed_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((kind = 'key') = (key_id IS NOT NULL))
);
CREATE INDEX change_log_version ON change_log (version);

CREATE TABLE organisations (
    id         uuid PRIMARY KEY,
    name       text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE business_units (
    id              uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES organisations,
    name            text NOT NULL,
    description     text NOT NULL DEFAULT '',
    managed_by      text,                   -- the declarative set it belongs to
    applied_digest  bytea,                  -- what that set last applied; differs when it was edited elsewhere
    revision        bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    archived_at     timestamptz
);
CREATE UNIQUE INDEX business_units_name ON business_units (organisation_id, name) WHERE archived_at IS NULL;

CREATE TABLE projects (
    id               uuid PRIMARY KEY,
    business_unit_id uuid NOT NULL REFERENCES business_units,
    name             text NOT NULL,
    description      text NOT NULL DEFAULT '',
    models           text[] NOT NULL DEFAULT '{*}',
    managed_by       text,
    applied_digest   bytea,
    revision         bigint NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    archived_at      timestamptz
);
CREATE UNIQUE INDEX projects_name ON projects (name) WHERE archived_at IS NULL;
CREATE INDEX projects_business_unit ON projects (business_unit_id);

CREATE TABLE peppers (
    id         text PRIMARY KEY,
    purpose    text NOT NULL CHECK (purpose IN ('digest', 'index')),
    sealed     bytea NOT NULL,              -- under a data key
    data_key   text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE keys (
    id             uuid PRIMARY KEY,
    project_id     uuid NOT NULL REFERENCES projects,
    lookup         text NOT NULL UNIQUE,    -- the public id, or the keyed digest of an imported value
    public_id      text NOT NULL,           -- what may be shown; for imported values a random one of the same length
    imported       boolean NOT NULL DEFAULT false,
    name           text NOT NULL,
    models         text[] NOT NULL DEFAULT '{*}',
    tags           jsonb NOT NULL DEFAULT '{}',
    expires_at     timestamptz,
    revoked_at     timestamptz,
    version        bigint NOT NULL DEFAULT 0, -- of the change that made the present state
    managed_by     text,
    applied_digest bytea,
    revision       bigint NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX keys_public_id ON keys (public_id);
CREATE UNIQUE INDEX keys_name ON keys (project_id, name) WHERE revoked_at IS NULL;
CREATE INDEX keys_version ON keys (version);

CREATE TABLE key_secrets (
    key_id     uuid NOT NULL REFERENCES keys,
    digest     bytea NOT NULL,              -- HMAC-SHA-256 under the pepper; the secret itself is nowhere
    pepper     text NOT NULL REFERENCES peppers,
    not_after  timestamptz,                 -- the end of a rotation's grace
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (key_id, digest)
);

CREATE TABLE data_keys (
    id         text PRIMARY KEY,
    wrapped    bytea NOT NULL,              -- AES-256-GCM under the key-encryption key
    kek        text NOT NULL,               -- fingerprint of that key
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE providers (
    id             uuid PRIMARY KEY,
    name           text NOT NULL,
    kind           text NOT NULL,
    base_url       text NOT NULL,
    api_version    text NOT NULL DEFAULT '',
    timeouts       jsonb NOT NULL DEFAULT '{}',
    hangup         text NOT NULL DEFAULT 'close' CHECK (hangup IN ('close', 'drain')),
    managed_by     text,
    applied_digest bytea,
    revision       bigint NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    archived_at    timestamptz
);
CREATE UNIQUE INDEX providers_name ON providers (name) WHERE archived_at IS NULL;

CREATE TABLE credentials (
    id          uuid PRIMARY KEY,
    provider_id uuid NOT NULL REFERENCES providers,
    name        text NOT NULL,
    weight      integer NOT NULL DEFAULT 1,
    sealed      bytea NOT NULL,             -- AES-256-GCM under a data key, bound to the credential's id
    data_key    text NOT NULL REFERENCES data_keys,
    fingerprint bytea NOT NULL,             -- keyed digest, to tell whether a document's value differs
    managed_by  text,
    applied_digest bytea,
    created_at  timestamptz NOT NULL DEFAULT now(),
    rotated_at  timestamptz,
    removed_at  timestamptz
);
CREATE UNIQUE INDEX credentials_name ON credentials (provider_id, name) WHERE removed_at IS NULL;

CREATE TABLE models (
    id             uuid PRIMARY KEY,
    name           text NOT NULL,
    aliases        text[] NOT NULL DEFAULT '{}',
    strategy       text NOT NULL DEFAULT 'weighted',
    targets        jsonb NOT NULL,          -- [{provider_id, model, weight, priority}]
    price          jsonb,                   -- override in nano-dollars per million tokens; null: price book
    capabilities   jsonb NOT NULL DEFAULT '{}',
    price_revision bigint NOT NULL DEFAULT 0,
    managed_by     text,
    applied_digest bytea,
    revision       bigint NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    archived_at    timestamptz
);
CREATE UNIQUE INDEX models_name ON models (name) WHERE archived_at IS NULL;

CREATE TABLE audit_events (
    id         uuid PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor      text NOT NULL,
    action     text NOT NULL,
    resource   text NOT NULL,
    reason     text NOT NULL DEFAULT '',
    source     text NOT NULL DEFAULT '',
    request_id text NOT NULL DEFAULT '',
    before     jsonb,
    after      jsonb
);
CREATE INDEX audit_events_resource ON audit_events (resource, id);

-- The ledger. `day` comes from the UUIDv7 in `id`, never from the insert time, so that a replay over midnight meets the
-- row it made before. No foreign keys: a row must be stored whatever happened to what it names.
CREATE TABLE ledger_requests (
    day               date   NOT NULL,
    id                uuid   NOT NULL,
    organisation      text   NOT NULL,
    business_unit     text   NOT NULL,
    project           text   NOT NULL,
    key_id            text   NOT NULL,
    key_public_id     text   NOT NULL,
    endpoint          text   NOT NULL,
    model             text   NOT NULL,
    stream            boolean NOT NULL,
    started_at        timestamptz NOT NULL,
    ended_at          timestamptz NOT NULL,
    status            integer,
    outcome           text   NOT NULL,
    error_code        text,
    client_request_id text,
    tags              jsonb  NOT NULL DEFAULT '{}',
    PRIMARY KEY (day, id)
) PARTITION BY RANGE (day);
CREATE TABLE ledger_requests_default PARTITION OF ledger_requests DEFAULT;
CREATE INDEX ledger_requests_project ON ledger_requests (project, day);

CREATE TABLE ledger_attempts (
    day                 date    NOT NULL,
    id                  uuid    NOT NULL,
    request_id          uuid    NOT NULL,
    kind                text    NOT NULL DEFAULT 'attempt' CHECK (kind IN ('attempt', 'adjustment')),
    number              integer NOT NULL,
    business_unit       text    NOT NULL,
    project             text    NOT NULL,
    key_id              text    NOT NULL,
    model               text    NOT NULL,
    provider            text    NOT NULL,
    provider_kind       text    NOT NULL,
    target_model        text    NOT NULL,
    credential          text    NOT NULL DEFAULT '',
    started_at          timestamptz NOT NULL,
    ended_at            timestamptz NOT NULL,
    first_byte_at       timestamptz,
    status              integer,
    outcome             text    NOT NULL,
    error_code          text,
    input_tokens        bigint  NOT NULL DEFAULT 0,
    cached_input_tokens bigint  NOT NULL DEFAULT 0,
    cache_write_5m_tokens bigint NOT NULL DEFAULT 0,
    cache_write_1h_tokens bigint NOT NULL DEFAULT 0,
    audio_input_tokens  bigint  NOT NULL DEFAULT 0,
    output_tokens       bigint  NOT NULL DEFAULT 0,
    reasoning_tokens    bigint  NOT NULL DEFAULT 0,
    audio_output_tokens bigint  NOT NULL DEFAULT 0,
    cost_nano           bigint  NOT NULL DEFAULT 0,
    price_version       text,
    estimated           boolean NOT NULL DEFAULT false,
    provider_request_id text,
    PRIMARY KEY (day, id)
) PARTITION BY RANGE (day);
CREATE TABLE ledger_attempts_default PARTITION OF ledger_attempts DEFAULT;
CREATE INDEX ledger_attempts_request ON ledger_attempts (request_id);
CREATE INDEX ledger_attempts_project ON ledger_attempts (project, day);

CREATE TABLE ledger_quarantine (
    id          uuid PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT now(),
    replica     text NOT NULL,
    reason      text NOT NULL,
    row         jsonb NOT NULL
);
