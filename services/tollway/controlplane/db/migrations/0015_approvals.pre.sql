-- Requests and their decisions, the policies that decide them, who stands in for whom, and what was given.

-- Every version of every policy; the highest of a kind is the present one. Rows are never changed.
CREATE TABLE approval_policies (
    id         uuid PRIMARY KEY,
    kind       text NOT NULL CHECK (kind IN ('platform_access', 'project', 'model_access', 'credit', 'limit')),
    version    bigint NOT NULL CHECK (version > 0),
    document   jsonb NOT NULL,                       -- rules, steps and timing
    note       text NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (kind, version)
);

CREATE TABLE approvals (
    id             uuid PRIMARY KEY,                 -- UUIDv7: its order is that of the requests
    kind           text NOT NULL CHECK (kind IN ('platform_access', 'project', 'model_access', 'credit', 'limit')),
    state          text NOT NULL CHECK (state IN ('pending', 'approved', 'rejected', 'cancelled', 'expired', 'revoked')),
    requester      text NOT NULL,
    reason         text NOT NULL,
    terms          jsonb NOT NULL,
    target         text NOT NULL,                    -- its subject by id, so that a new one of that name is not meant
    unit_id        uuid,                             -- where it applies; both null: the platform
    project_id     uuid,
    business_unit  text NOT NULL DEFAULT '',         -- their names at the time
    project        text NOT NULL DEFAULT '',
    facts          jsonb NOT NULL,                   -- what conditions saw
    policy_version bigint NOT NULL,                  -- 0: no policy was set
    rule           text NOT NULL,
    outcome        text NOT NULL CHECK (outcome IN ('approve', 'require', 'reject')),
    outcome_reason text NOT NULL,
    steps          jsonb NOT NULL,
    step           integer NOT NULL,
    timing         jsonb NOT NULL,
    escalated      boolean NOT NULL DEFAULT false,
    people         text[] NOT NULL,                  -- named anywhere in the steps and the escalation
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    remind_at      timestamptz,
    escalate_at    timestamptz,
    expires_at     timestamptz NOT NULL,
    ended_at       timestamptz,
    ended_by       text NOT NULL DEFAULT '',
    CHECK ((state = 'pending') = (ended_at IS NULL))
);
CREATE INDEX approvals_requester ON approvals (requester, id);
CREATE INDEX approvals_kind ON approvals (kind, id);
CREATE INDEX approvals_pending ON approvals (id) WHERE state = 'pending';
CREATE INDEX approvals_due ON approvals (least(remind_at, escalate_at, expires_at)) WHERE state = 'pending';
CREATE INDEX approvals_project ON approvals (project_id, id);

-- A person decides once in a request, and a right is used once.
CREATE TABLE approval_votes (
    approval_id  uuid NOT NULL REFERENCES approvals,
    step         integer NOT NULL,
    actor        text NOT NULL,
    on_behalf_of text NOT NULL,
    verdict      text NOT NULL CHECK (verdict IN ('approve', 'reject')),
    reason       text NOT NULL,
    at           timestamptz NOT NULL,
    PRIMARY KEY (approval_id, actor),
    UNIQUE (approval_id, on_behalf_of)
);

CREATE TABLE approval_comments (
    id          uuid PRIMARY KEY,
    approval_id uuid NOT NULL REFERENCES approvals,
    author      text NOT NULL,
    text        text NOT NULL,
    at          timestamptz NOT NULL
);
CREATE INDEX approval_comments_approval ON approval_comments (approval_id, id);

-- What a request gave: once, whatever happens; enough to take it back.
CREATE TABLE approval_grants (
    approval_id uuid PRIMARY KEY REFERENCES approvals,
    subject     text NOT NULL,                       -- "project:<id>", for sums over time
    amount_nano bigint NOT NULL DEFAULT 0,
    undo        jsonb NOT NULL,
    summary     text NOT NULL,
    granted_at  timestamptz NOT NULL,
    revoked_at  timestamptz,
    revoked_by  text NOT NULL DEFAULT ''
);
CREATE INDEX approval_grants_subject ON approval_grants (subject, granted_at);

CREATE TABLE approval_delegations (
    id         uuid PRIMARY KEY,
    delegator  text NOT NULL,
    user_id    uuid,                                 -- the delegator's, whose roles are looked at when it is used
    delegate   text NOT NULL CHECK (delegate <> delegator),
    starts_at  timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL CHECK (ends_at > starts_at),
    reason     text NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX approval_delegations_delegate ON approval_delegations (delegate, ends_at) WHERE revoked_at IS NULL;
CREATE INDEX approval_delegations_delegator ON approval_delegations (delegator, ends_at) WHERE revoked_at IS NULL;
