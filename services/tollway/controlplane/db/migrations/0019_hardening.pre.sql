-- Who was unbound from a user is not bound to that user again.
CREATE TABLE unbound_identities (
    user_id    uuid NOT NULL REFERENCES users,
    issuer     text NOT NULL,
    subject    text NOT NULL,
    unbound_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, issuer, subject)
);

-- Comments of a person are counted by the day.
CREATE INDEX approval_comments_author ON approval_comments (author, at);
