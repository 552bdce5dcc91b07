-- What calls with an idempotency key have done, so that the same call again gets the same answer.
CREATE TABLE idempotency_records (
    id           uuid PRIMARY KEY,               -- keyed digest of who calls, of the method and of the key
    principal    text NOT NULL,
    method       text NOT NULL,
    request      bytea NOT NULL,                 -- keyed digest of the request
    sealed       bytea,                          -- the answer; null: it is not kept, or no longer
    data_key     text REFERENCES data_keys,
    created_at   timestamptz NOT NULL,
    answer_until timestamptz NOT NULL,           -- sooner than expires_at where the answer holds a secret
    expires_at   timestamptz NOT NULL,
    CHECK (num_nonnulls(sealed, data_key) <> 1)
);
CREATE INDEX idempotency_records_expiry ON idempotency_records (expires_at);
CREATE INDEX idempotency_records_answers ON idempotency_records (answer_until) WHERE sealed IS NOT NULL;
