-- People and machines that call the management API, and what they may do there.
CREATE TABLE users (
    id             uuid PRIMARY KEY,
    email          text NOT NULL DEFAULT '',   -- lower case; empty where no issuer has verified one. Never changes.
    display_name   text NOT NULL DEFAULT '',
    issuer         text,                       -- with the subject: the identity, once bound at a first sign-in
    subject        text,
    groups         text[] NOT NULL DEFAULT '{}', -- as the issuer's last token had them
    bound_at       timestamptz,
    last_seen_at   timestamptz,
    disabled_at    timestamptz,
    managed_by     text,
    applied_digest bytea,
    revision       bigint NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    CHECK ((issuer IS NULL) = (subject IS NULL)),
    CHECK (email = lower(email))
);
CREATE UNIQUE INDEX users_email ON users (email) WHERE email <> '';
CREATE UNIQUE INDEX users_identity ON users (issuer, subject) WHERE issuer IS NOT NULL;

CREATE TABLE service_accounts (
    id          uuid PRIMARY KEY,
    name        text NOT NULL,
    description text NOT NULL DEFAULT '',
    unit_id     uuid REFERENCES business_units, -- where it lives: its roles hold nowhere else
    project_id  uuid REFERENCES projects,
    disabled_at timestamptz,
    revision    bigint NOT NULL DEFAULT 1,
    created_by  text NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    archived_at timestamptz,
    CHECK (unit_id IS NULL OR project_id IS NULL)
);
CREATE UNIQUE INDEX service_accounts_name ON service_accounts (name) WHERE archived_at IS NULL;

CREATE TABLE service_account_tokens (
    id                 uuid PRIMARY KEY,
    service_account_id uuid NOT NULL REFERENCES service_accounts,
    public_id          text NOT NULL UNIQUE,    -- the part that is shown in lists
    digest             bytea NOT NULL,          -- SHA-256 of the whole text, which holds 256 random bits
    created_by         text NOT NULL DEFAULT '',
    created_at         timestamptz NOT NULL,
    expires_at         timestamptz NOT NULL,
    revoked_at         timestamptz,
    last_used_at       timestamptz
);
CREATE INDEX service_account_tokens_account ON service_account_tokens (service_account_id);

-- A row that is removed is gone: what it was is in the audit log.
CREATE TABLE role_bindings (
    id                 uuid PRIMARY KEY,
    role               text NOT NULL CHECK (role IN (
        'platform_admin', 'auditor', 'unit_manager', 'project_owner', 'developer', 'service_account')),
    user_id            uuid REFERENCES users,
    service_account_id uuid REFERENCES service_accounts,
    group_name         text,                    -- as issuers name it in their tokens
    group_issuer       text NOT NULL DEFAULT '', -- empty: of any issuer
    unit_id            uuid REFERENCES business_units, -- the scope; with project_id null too: the platform
    project_id         uuid REFERENCES projects,
    expires_at         timestamptz,
    created_by         text NOT NULL DEFAULT '',
    created_at         timestamptz NOT NULL DEFAULT now(),
    managed_by         text,
    applied_digest     bytea,
    CHECK (num_nonnulls(user_id, service_account_id, group_name) = 1),
    CHECK (unit_id IS NULL OR project_id IS NULL)
);
CREATE UNIQUE INDEX role_bindings_once ON role_bindings (
    role,
    coalesce(user_id, service_account_id, '00000000-0000-0000-0000-000000000000'),
    coalesce(group_name, ''),
    group_issuer,
    coalesce(project_id, unit_id, '00000000-0000-0000-0000-000000000000')
);
CREATE INDEX role_bindings_user ON role_bindings (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX role_bindings_account ON role_bindings (service_account_id) WHERE service_account_id IS NOT NULL;
CREATE INDEX role_bindings_group ON role_bindings (group_name) WHERE group_name IS NOT NULL;

-- A caller's own keys are found by the name of their user.
CREATE INDEX keys_user_name ON keys (user_name) WHERE user_name <> '';
