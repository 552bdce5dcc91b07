-- Sign-in: the OpenID Connect issuers that are trusted, sessions of browsers, and what bounds tries and replays.
CREATE TABLE signin_issuers (
    id              uuid PRIMARY KEY,
    name            text NOT NULL,
    issuer          text NOT NULL,               -- the URL, as tokens have it in `iss`
    client_id       text NOT NULL,
    cli_client_id   text NOT NULL DEFAULT '',    -- of the public client for the command line; empty: no sign-in there
    sealed          bytea,                       -- the client's secret, under a data key; bound to the issuer's id
    data_key        text REFERENCES data_keys,
    fingerprint     bytea,                       -- keyed digest of the secret
    audiences       text[] NOT NULL DEFAULT '{}',
    scopes          text[] NOT NULL DEFAULT '{}',
    algorithms      text[] NOT NULL DEFAULT '{}',
    groups_claim    text NOT NULL,
    email_claim     text NOT NULL,
    name_claim      text NOT NULL,
    trust_email     boolean NOT NULL DEFAULT false,
    refresh_seconds integer NOT NULL CHECK (refresh_seconds BETWEEN 60 AND 86400),
    managed_by      text,
    applied_digest  bytea,
    revision        bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    archived_at     timestamptz
);
CREATE UNIQUE INDEX signin_issuers_name ON signin_issuers (name) WHERE archived_at IS NULL;
CREATE UNIQUE INDEX signin_issuers_issuer ON signin_issuers (issuer) WHERE archived_at IS NULL;

CREATE TABLE signin_sessions (
    id           uuid PRIMARY KEY,
    digest       bytea NOT NULL UNIQUE,          -- SHA-256 of what the cookie holds; the value itself is nowhere
    kind         text NOT NULL CHECK (kind IN ('oidc', 'local')),
    issuer_id    uuid REFERENCES signin_issuers, -- null: the local administrator
    subject      text NOT NULL DEFAULT '',
    provider_sid text NOT NULL DEFAULT '',       -- the provider's own session, for back-channel logout
    claims       jsonb NOT NULL DEFAULT '{}',    -- name, e-mail and groups, as the provider said them last
    sealed       bytea,                          -- refresh token and ID token, under a data key; bound to the session's id
    data_key     text REFERENCES data_keys,
    source       text NOT NULL DEFAULT '',       -- the address that signed in
    created_at   timestamptz NOT NULL,
    seen_at      timestamptz NOT NULL,
    refreshed_at timestamptz NOT NULL,
    refresh_at   timestamptz,                    -- when the provider is asked again; null: never
    expires_at   timestamptz NOT NULL,
    revoked_at   timestamptz,
    revoked_for  text NOT NULL DEFAULT ''
);
CREATE INDEX signin_sessions_subject ON signin_sessions (issuer_id, subject) WHERE revoked_at IS NULL;
CREATE INDEX signin_sessions_provider_sid ON signin_sessions (issuer_id, provider_sid) WHERE revoked_at IS NULL AND provider_sid <> '';
CREATE INDEX signin_sessions_expires ON signin_sessions (expires_at);

-- What is good once: ids of logout tokens and of sign-ins that came to their end.
CREATE TABLE signin_once (
    digest     bytea PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX signin_once_expires ON signin_once (expires_at);

-- Tries in the present window, by kind and address.
CREATE TABLE signin_tries (
    scope      text PRIMARY KEY,
    window_end timestamptz NOT NULL,
    tries      integer NOT NULL
);
CREATE INDEX signin_tries_window_end ON signin_tries (window_end);
