-- Alerts: the channels that are told, what fired, and what became of each delivery.
CREATE TABLE alert_channels (
    id             uuid PRIMARY KEY,
    name           text NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('webhook', 'slack', 'email')),
    host           text NOT NULL DEFAULT '',  -- of the URL: all that is shown of it
    sealed         bytea,                     -- URL and secret, under a data key; bound to the channel's id
    data_key       text REFERENCES data_keys,
    fingerprint    bytea,                     -- keyed digest of URL and secret
    recipients     text[] NOT NULL DEFAULT '{}',
    scope          text NOT NULL CHECK (scope IN ('all', 'organisation', 'business_unit', 'project')),
    subject        text NOT NULL DEFAULT '',  -- the name of what the scope is about
    alerts         text[] NOT NULL DEFAULT '{}', -- kinds; empty: all
    managed_by     text,
    applied_digest bytea,
    revision       bigint NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    archived_at    timestamptz
);
CREATE UNIQUE INDEX alert_channels_name ON alert_channels (name) WHERE archived_at IS NULL;

CREATE TABLE alerts (
    id              uuid PRIMARY KEY,         -- UUIDv7: its order is that of firing
    crossing        text NOT NULL UNIQUE,     -- kind, subject, window and threshold: fires once
    kind            text NOT NULL,
    severity        text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    scope           text NOT NULL DEFAULT '',
    subject         text NOT NULL DEFAULT '',
    organisation    text NOT NULL DEFAULT '', -- names, for whom it concerns; empty: the installation
    business_unit   text NOT NULL DEFAULT '',
    project         text NOT NULL DEFAULT '',
    summary         text NOT NULL,
    details         jsonb NOT NULL DEFAULT '{}',
    occurrences     bigint NOT NULL DEFAULT 1,
    fired_at        timestamptz NOT NULL,
    last_at         timestamptz NOT NULL,
    forget_at       timestamptz,              -- when its crossing cannot happen again; null: never
    acknowledged_at timestamptz,
    acknowledged_by text,
    note            text NOT NULL DEFAULT ''
);
CREATE INDEX alerts_forget ON alerts (forget_at) WHERE forget_at IS NOT NULL;

CREATE TABLE alert_deliveries (
    id         uuid PRIMARY KEY,
    alert_id   uuid NOT NULL REFERENCES alerts ON DELETE CASCADE,
    channel_id uuid NOT NULL REFERENCES alert_channels,
    state      text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts   jsonb NOT NULL DEFAULT '[]',   -- [{at_ms, status, error, seconds}], one for each try
    created_at timestamptz NOT NULL,
    next_at    timestamptz,                   -- when a pending one is tried next
    claimed_until timestamptz,                -- whoever tries it now has it until then
    ended_at   timestamptz,
    UNIQUE (alert_id, channel_id)
);
CREATE INDEX alert_deliveries_due ON alert_deliveries (next_at) WHERE state = 'pending';
CREATE INDEX alert_deliveries_channel ON alert_deliveries (channel_id);

-- Alerts look for what is new there.
CREATE INDEX ledger_quarantine_received ON ledger_quarantine (received_at);
