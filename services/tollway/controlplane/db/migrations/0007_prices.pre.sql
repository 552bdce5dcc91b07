-- The price book with validity dates, what was published when, and what providers billed.
-- Rates are nano-dollars in the units of core/pricing.py. Rates of a version never change; only its end does.
CREATE TABLE price_versions (
    id           uuid PRIMARY KEY,
    number       bigint NOT NULL UNIQUE,    -- in the order of making; names overrides
    version      text   NOT NULL,           -- what ledger rows store
    source       text   NOT NULL CHECK (source IN ('genai-prices', 'override')),
    model        text   NOT NULL DEFAULT '', -- an override of a model, by its name
    provider     text   NOT NULL DEFAULT '', -- of an override: a provider's id, or any; of the book: its own id of one
    target_model text   NOT NULL DEFAULT '', -- of an override: a glob; of the book: its own id of a model
    rates        jsonb  NOT NULL,
    valid_from   timestamptz,               -- null: always was
    valid_until  timestamptz,               -- exclusive; null: until another one holds
    book_start   date,                      -- the day that the book itself names as the beginning
    import_id    uuid,
    note         text   NOT NULL DEFAULT '',
    created_by   text   NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CHECK (valid_until > valid_from),
    CHECK ((model = '') <> (target_model = ''))
);
CREATE INDEX price_versions_version ON price_versions (version);
CREATE INDEX price_versions_book ON price_versions (provider, target_model) WHERE source = 'genai-prices';
CREATE INDEX price_versions_overrides ON price_versions (number) WHERE source = 'override';

CREATE TABLE price_imports (
    id         uuid PRIMARY KEY,
    package    text NOT NULL,               -- name and version of the data
    report     jsonb NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Every price that data planes were ever given, by model; a row holds until the model's next one.
CREATE TABLE price_publications (
    id           uuid PRIMARY KEY,
    model_id     uuid NOT NULL,
    model        text NOT NULL,
    version      text,                      -- null: not known
    source       text NOT NULL CHECK (source IN ('genai-prices', 'override', 'model', 'free', 'unknown')),
    rates        jsonb,
    targets      jsonb NOT NULL,            -- whose prices were compared: [[provider_id, kind, base_url, model]]
    published_at timestamptz NOT NULL
);
CREATE INDEX price_publications_model_id ON price_publications (model_id, published_at DESC, id DESC);
CREATE INDEX price_publications_model ON price_publications (model, published_at);
CREATE INDEX price_publications_version ON price_publications (version);

-- What a provider billed, beside what the ledger says of it.
CREATE TABLE reconciliations (
    id            uuid PRIMARY KEY,
    provider      text NOT NULL,            -- id
    provider_name text NOT NULL,
    format        text NOT NULL,
    digest        bytea NOT NULL,           -- of the uploaded text and how it was compared
    first_day     date NOT NULL,
    last_day      date NOT NULL,
    lines         integer NOT NULL,
    billed_nano   bigint NOT NULL,
    ledger_nano   bigint NOT NULL,          -- at the time of the upload
    status        text NOT NULL,            -- at the time of the upload
    tolerance_ppm integer NOT NULL,         -- parts per million of what was billed
    remarks       text[] NOT NULL DEFAULT '{}',
    note          text NOT NULL DEFAULT '',
    created_by    text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX reconciliations_digest ON reconciliations (provider, digest);

CREATE TABLE reconciliation_lines (
    reconciliation_id uuid NOT NULL REFERENCES reconciliations,
    day               date NOT NULL,
    model             text NOT NULL,
    cost_nano         bigint,               -- null: usage alone was told
    requests          bigint,
    input_tokens      bigint,
    output_tokens     bigint,
    PRIMARY KEY (reconciliation_id, day, model)
);
