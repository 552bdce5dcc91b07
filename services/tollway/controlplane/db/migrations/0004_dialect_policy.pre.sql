-- What becomes of a tuning field that a request's provider cannot be told.
ALTER TABLE projects ADD COLUMN dialect_policy text NOT NULL DEFAULT 'lenient'
    CHECK (dialect_policy IN ('lenient', 'strict'));
