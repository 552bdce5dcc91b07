-- Rotation of data keys and of the key-encryption key while everything runs, and what checks of provider keys found.
ALTER TABLE data_keys ADD COLUMN retired_at timestamptz;  -- since when nothing is sealed under it; deleted a while later
ALTER TABLE peppers ADD CONSTRAINT peppers_data_key_fkey FOREIGN KEY (data_key) REFERENCES data_keys;

ALTER TABLE credentials
    ADD COLUMN checked_at    timestamptz,                 -- of the present value; null: never
    ADD COLUMN check_outcome text CHECK (check_outcome IN ('accepted', 'refused', 'unproven', 'unreachable', 'blocked')),
    ADD COLUMN check_status  integer;                     -- HTTP status; 0: no answer

CREATE TABLE secret_rotations (
    id           uuid PRIMARY KEY,              -- UUIDv7: its order is that of asking
    kind         text NOT NULL CHECK (kind IN ('data_key', 'kek')),
    target       text NOT NULL,                 -- id of the data key, or name of the key-encryption key, to go to
    state        text NOT NULL CHECK (state IN ('running', 'done', 'superseded')),
    total        bigint NOT NULL DEFAULT 0,     -- values, or data keys, that were to be changed at the start
    changed      bigint NOT NULL DEFAULT 0,     -- that were changed so far
    problem      text NOT NULL DEFAULT '',      -- why it does not get on; never a secret
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL,
    finished_at  timestamptz
);
CREATE UNIQUE INDEX secret_rotations_running ON secret_rotations (kind) WHERE state = 'running';

CREATE TABLE key_holders (
    id      uuid PRIMARY KEY,                   -- one running control plane
    host    text NOT NULL,
    keks    text[] NOT NULL,                    -- names of the key-encryption keys that it was given, the first first
    seen_at timestamptz NOT NULL
);
