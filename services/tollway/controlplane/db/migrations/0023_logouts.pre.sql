-- What providers ended by back-channel logout: which bearer tokens are refused, until the last of them has expired.
CREATE TABLE signin_logouts (
    issuer       text NOT NULL,            -- the URL, as tokens have it in `iss`
    subject      text NOT NULL,            -- empty: of a session of which nobody here knows whose it was
    provider_sid text NOT NULL,            -- the provider's session; empty: all of the person
    issued_until timestamptz NOT NULL,     -- by the provider's clock: later tokens of the person are not concerned
    expires_at   timestamptz NOT NULL,     -- when every token that is concerned has expired
    PRIMARY KEY (issuer, subject, provider_sid),
    CHECK (subject <> '' OR provider_sid <> '')
);
CREATE INDEX signin_logouts_sid ON signin_logouts (issuer, provider_sid) WHERE provider_sid <> '';
CREATE INDEX signin_logouts_expires ON signin_logouts (expires_at);
CREATE INDEX signin_sessions_any_sid ON signin_sessions (issuer_id, provider_sid) WHERE provider_sid <> '';
-- When the issuer said the groups that are kept: what it said before adds none to them.
ALTER TABLE users ADD COLUMN groups_said_at timestamptz;
