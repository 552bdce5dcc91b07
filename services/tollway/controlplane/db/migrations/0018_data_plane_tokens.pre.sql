-- Tokens of identity providers on the data planes: which issuers, with which keys, and whose tokens.
ALTER TABLE signin_issuers ADD COLUMN data_plane jsonb;      -- null: its tokens are not taken there
ALTER TABLE users ADD COLUMN tokens_not_before timestamptz;  -- tokens that were issued before are refused there

-- What an issuer publishes, as it is pushed: public keys alone.
CREATE TABLE signin_keys (
    issuer_id uuid PRIMARY KEY REFERENCES signin_issuers,
    keys      jsonb NOT NULL,
    read_at   timestamptz NOT NULL
);

-- An entry of the directory for each identity whose tokens may come. It is never removed: who is unbound is refused.
CREATE TABLE identity_entries (
    id      uuid PRIMARY KEY,          -- in change_log, and in the ledger in place of a key
    issuer  text NOT NULL,
    subject text NOT NULL,
    version bigint NOT NULL DEFAULT 0,
    UNIQUE (issuer, subject)
);
CREATE INDEX identity_entries_version ON identity_entries (version, id);
