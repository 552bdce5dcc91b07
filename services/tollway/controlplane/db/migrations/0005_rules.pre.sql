-- Budgets and limits, and who a key belongs to.

ALTER TABLE keys
    ADD COLUMN user_name text NOT NULL DEFAULT '',
    ADD COLUMN rules_of uuid;                        -- the key that took this one's place: its rules hold; null: its own
CREATE INDEX keys_rules_of ON keys (rules_of) WHERE rules_of IS NOT NULL;

-- `subject` is the id of a unit, project or key, the name of a user, the name of the organisation.
CREATE TABLE budgets (
    id             uuid PRIMARY KEY,
    rule_id        text NOT NULL UNIQUE,             -- what counters are kept under: never used again
    scope          text NOT NULL CHECK (scope IN ('organisation', 'business_unit', 'project', 'key', 'user')),
    subject        text NOT NULL,
    limit_nano     bigint NOT NULL CHECK (limit_nano >= 0),
    period         text NOT NULL,
    timezone       text NOT NULL,
    fiscal_start   text NOT NULL,
    mode           text NOT NULL,
    carry_over     boolean NOT NULL,
    alerts         double precision[] NOT NULL,
    managed_by     text,
    applied_digest bytea,
    revision       bigint NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    removed_at     timestamptz
);
CREATE UNIQUE INDEX budgets_subject ON budgets (scope, subject) WHERE removed_at IS NULL;

CREATE TABLE budget_increases (
    id          uuid PRIMARY KEY,
    budget_id   uuid NOT NULL REFERENCES budgets,
    amount_nano bigint NOT NULL CHECK (amount_nano > 0),
    starts_at   timestamptz NOT NULL,
    ends_at     timestamptz NOT NULL CHECK (ends_at > starts_at),
    reason      text NOT NULL,
    created_by  text NOT NULL,
    created_at  timestamptz NOT NULL,
    revoked_at  timestamptz
);
CREATE INDEX budget_increases_budget ON budget_increases (budget_id);

-- The limits of one subject change together.
CREATE TABLE limit_sets (
    id             uuid PRIMARY KEY,
    scope          text NOT NULL CHECK (scope IN ('organisation', 'business_unit', 'project', 'key', 'user', 'model')),
    subject        text NOT NULL,
    managed_by     text,
    applied_digest bytea,
    revision       bigint NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    UNIQUE (scope, subject)
);

CREATE TABLE limits (
    rule_id        text PRIMARY KEY,                 -- as of budgets
    set_id         uuid NOT NULL REFERENCES limit_sets,
    measure        text NOT NULL CHECK (measure IN ('requests', 'tokens', 'concurrent')),
    window_seconds integer NOT NULL,                 -- 0 for `concurrent`
    model          text NOT NULL,                    -- a glob
    amount         bigint NOT NULL CHECK (amount >= 0),
    on_outage      text NOT NULL,
    UNIQUE (set_id, measure, window_seconds, model)
);
