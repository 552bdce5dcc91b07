-- name: insert_approval
INSERT INTO approvals
    (id, kind, state, requester, reason, terms, target, unit_id, project_id, business_unit, project, facts,
     policy_version, rule, outcome, outcome_reason, steps, step, timing, people, created_at, updated_at, remind_at,
     escalate_at, expires_at, ended_at, ended_by)
VALUES (%(id)s, %(kind)s, %(state)s, %(requester)s, %(reason)s, %(terms)s, %(target)s, %(unit_id)s, %(project_id)s,
        %(business_unit)s, %(project)s, %(facts)s, %(policy_version)s, %(rule)s, %(outcome)s, %(outcome_reason)s,
        %(steps)s, 0, %(timing)s, %(people)s, %(at)s, %(at)s, %(remind_at)s, %(escalate_at)s, %(expires_at)s,
        %(ended_at)s, %(ended_by)s);

-- name: approval
SELECT a.id, a.kind, a.state, a.requester, a.reason, a.terms, a.target,
       coalesce(p.business_unit_id, a.unit_id) AS unit_id, a.project_id, a.business_unit, a.project, a.facts,
       a.policy_version, a.rule, a.outcome, a.outcome_reason, a.steps, a.step, a.timing, a.escalated, a.created_at,
       a.updated_at, a.remind_at, a.ended_at, a.ended_by, g.summary AS granted
FROM approvals a LEFT JOIN projects p ON p.id = a.project_id LEFT JOIN approval_grants g ON g.approval_id = a.id
WHERE a.id = %(id)s;

-- name: lock_approval
SELECT id FROM approvals WHERE id = %(id)s FOR UPDATE;

-- name: approvals
-- Newest first, those that the caller may see: their own, those that name them, those of their places.
SELECT a.id, a.kind, a.state, a.requester, a.reason, a.terms, a.target,
       coalesce(p.business_unit_id, a.unit_id) AS unit_id, a.project_id, a.business_unit, a.project, a.facts,
       a.policy_version, a.rule, a.outcome, a.outcome_reason, a.steps, a.step, a.timing, a.escalated, a.created_at,
       a.updated_at, a.remind_at, a.ended_at, a.ended_by, g.summary AS granted
FROM approvals a LEFT JOIN projects p ON p.id = a.project_id LEFT JOIN approval_grants g ON g.approval_id = a.id
WHERE (%(before)s::uuid IS NULL OR a.id < %(before)s::uuid)
  AND (%(kind)s = '' OR a.kind = %(kind)s)
  AND (%(requester)s = '' OR a.requester = %(requester)s)
  AND CASE %(state)s
          WHEN '' THEN true
          WHEN 'pending' THEN a.state = 'pending' AND a.expires_at > %(now)s
          WHEN 'expired' THEN a.state = 'expired' OR (a.state = 'pending' AND a.expires_at <= %(now)s)
          ELSE a.state = %(state)s
      END
  AND (%(everything)s OR a.requester = %(me)s OR a.people && %(names)s::text[]
       OR a.project_id = ANY (%(projects)s::uuid[])
       OR coalesce(p.business_unit_id, a.unit_id) = ANY (%(units)s::uuid[])
       OR EXISTS (
           SELECT FROM unnest(%(roles)s::text[], %(role_units)s::uuid[], %(role_projects)s::uuid[])
               AS held (role, unit_id, project_id)
           WHERE (held.project_id = a.project_id
                  OR (held.project_id IS NULL
                      AND (held.unit_id IS NULL OR held.unit_id = coalesce(p.business_unit_id, a.unit_id))))
             AND (a.steps @> jsonb_build_array(jsonb_build_object('approvers', jsonb_build_object('role', held.role)))
                  OR a.timing -> 'escalate_to' ->> 'role' = held.role)))
ORDER BY a.id DESC
LIMIT %(limit)s;

-- name: past
-- The latest requests of a kind, for trying a policy on them.
SELECT a.id, a.kind, a.state, a.requester, a.reason, a.terms, a.target, a.unit_id, a.project_id, a.business_unit,
       a.project, a.facts, a.policy_version, a.rule, a.outcome, a.outcome_reason, a.steps, a.step, a.timing,
       a.escalated, a.created_at, a.updated_at, a.remind_at, a.ended_at, a.ended_by
FROM approvals a
WHERE a.kind = %(kind)s
ORDER BY a.id DESC
LIMIT %(limit)s;

-- name: update_approval
UPDATE approvals SET state = %(state)s, step = %(step)s, escalated = %(escalated)s, remind_at = %(remind_at)s,
       escalate_at = %(escalate_at)s, updated_at = %(at)s, ended_at = %(ended_at)s, ended_by = %(ended_by)s
WHERE id = %(id)s;

-- name: open_of
SELECT count(*) FILTER (WHERE state = 'pending' AND expires_at > %(now)s) AS waiting,
       count(*) FILTER (WHERE created_at > %(since)s) AS recent
FROM approvals WHERE requester = %(requester)s AND (state = 'pending' OR created_at > %(since)s);

-- name: lock_requester
-- One request of a person at a time, so that their number stays bounded; ends with the transaction.
SELECT pg_advisory_xact_lock(%(space)s, hashtext(%(requester)s));

-- name: lock_target
-- What was given to a subject and what is given now are looked at by one transaction at a time.
SELECT pg_advisory_xact_lock(%(space)s, hashtext(%(target)s));

-- name: due
SELECT a.id, a.kind, a.state, a.requester, a.reason, a.terms, a.target, a.unit_id, a.project_id, a.business_unit,
       a.project, a.facts, a.policy_version, a.rule, a.outcome, a.outcome_reason, a.steps, a.step, a.timing,
       a.escalated, a.created_at, a.updated_at, a.remind_at, a.ended_at, a.ended_by
FROM approvals a
WHERE a.state = 'pending' AND least(a.remind_at, a.escalate_at, a.expires_at) <= %(now)s
ORDER BY least(a.remind_at, a.escalate_at, a.expires_at)
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED;

-- name: elect
-- One keeper of time at a time; ends with the transaction.
SELECT pg_try_advisory_xact_lock(%(lock)s) AS locked;

-- name: insert_vote
INSERT INTO approval_votes (approval_id, step, actor, on_behalf_of, verdict, reason, at)
VALUES (%(approval)s, %(step)s, %(actor)s, %(on_behalf_of)s, %(verdict)s, %(reason)s, %(at)s);

-- name: votes
SELECT approval_id, step, actor, on_behalf_of, verdict, reason, at
FROM approval_votes WHERE approval_id = ANY (%(approvals)s)
ORDER BY at, actor;

-- name: insert_comment
INSERT INTO approval_comments (id, approval_id, author, text, at)
VALUES (%(id)s, %(approval)s, %(author)s, %(text)s, %(at)s);

-- name: comments
SELECT id, author, text, at FROM approval_comments WHERE approval_id = %(approval)s ORDER BY id LIMIT %(limit)s;

-- name: comments_since
SELECT count(*) AS found FROM approval_comments WHERE author = %(author)s AND at > %(since)s;

-- name: insert_grant
INSERT INTO approval_grants (approval_id, subject, amount_nano, undo, summary, granted_at)
VALUES (%(approval)s, %(subject)s, %(amount_nano)s, %(undo)s, %(summary)s, %(at)s);

-- name: grant
SELECT approval_id, summary, undo, revoked_at FROM approval_grants WHERE approval_id = %(approval)s FOR UPDATE;

-- name: revoke_grant
UPDATE approval_grants SET revoked_at = %(at)s, revoked_by = %(by)s
WHERE approval_id = %(approval)s AND revoked_at IS NULL;

-- name: granted_since
SELECT coalesce(sum(amount_nano), 0)::bigint AS nano
FROM approval_grants WHERE subject = %(subject)s AND granted_at >= %(since)s AND revoked_at IS NULL;

-- name: policy
SELECT kind, version, document, note, created_by, created_at
FROM approval_policies WHERE kind = %(kind)s AND (%(version)s = 0 OR version = %(version)s)
ORDER BY version DESC
LIMIT 1;

-- name: managed_policies
-- The present policy of every kind that has one, as declarative configuration knows it.
SELECT DISTINCT ON (kind) id, kind, document, managed_by, applied_digest
FROM approval_policies ORDER BY kind, version DESC;

-- name: lock_policy
-- One change of a policy at a time; ends with the transaction.
SELECT pg_advisory_xact_lock(%(space)s, hashtext(%(kind)s));

-- name: insert_policy
INSERT INTO approval_policies (id, kind, version, document, note, created_by, created_at)
VALUES (%(id)s, %(kind)s, %(version)s, %(document)s, %(note)s, %(by)s, %(at)s);

-- name: insert_delegation
INSERT INTO approval_delegations (id, delegator, user_id, delegate, starts_at, ends_at, reason, created_by, created_at)
VALUES (%(id)s, %(delegator)s, %(user)s, %(delegate)s, %(starts_at)s, %(ends_at)s, %(reason)s, %(delegator)s, %(at)s);

-- name: delegations
-- In force or to come: of and to a person, or all.
SELECT id, delegator, user_id, delegate, starts_at, ends_at, reason, created_by, created_at
FROM approval_delegations
WHERE revoked_at IS NULL AND ends_at > %(now)s
  AND (%(everything)s OR delegator = %(me)s OR delegate = %(me)s)
ORDER BY starts_at, id
LIMIT %(limit)s;

-- name: delegation
SELECT id, delegator, user_id, delegate, starts_at, ends_at, reason, created_by, created_at
FROM approval_delegations WHERE id = %(id)s AND revoked_at IS NULL FOR UPDATE;

-- name: revoke_delegation
UPDATE approval_delegations SET revoked_at = %(at)s WHERE id = %(id)s;

-- name: delegations_to
-- In force, of delegators who are not disabled and whose right can matter: strangers' do not use up the limit. Of one
-- delegator the one that lasts longest.
SELECT DISTINCT ON (d.delegator)
       d.id, d.delegator, d.user_id, d.delegate, d.starts_at, d.ends_at, d.reason, d.created_by, d.created_at
FROM approval_delegations d LEFT JOIN users u ON u.id = d.user_id
WHERE d.delegate = %(delegate)s AND d.revoked_at IS NULL AND d.starts_at <= %(now)s AND d.ends_at > %(now)s
  AND u.disabled_at IS NULL
  AND (d.delegator = ANY (%(people)s::text[])
       OR (%(people)s::text[] IS NULL
           AND EXISTS (SELECT FROM approvals a WHERE a.state = 'pending' AND d.delegator = ANY (a.people)))
       OR EXISTS (SELECT FROM role_bindings b
                  WHERE b.role = ANY (%(roles)s::text[]) AND (b.expires_at IS NULL OR b.expires_at > %(now)s)
                    AND (b.user_id = u.id
                         OR (b.group_name = ANY (u.groups) AND b.group_issuer IN ('', u.issuer)
                             AND u.last_seen_at > %(believed)s))))
ORDER BY d.delegator, d.ends_at DESC, d.id
LIMIT %(limit)s;

-- name: roles_of
-- Groups are believed for a time after the issuer said them.
SELECT u.id AS user_id, b.role, b.unit_id, b.project_id
FROM users u JOIN role_bindings b
  ON b.user_id = u.id
     OR (b.group_name = ANY (u.groups) AND b.group_issuer IN ('', u.issuer) AND u.last_seen_at > %(believed)s)
WHERE u.id = ANY (%(users)s) AND u.disabled_at IS NULL AND (b.expires_at IS NULL OR b.expires_at > %(now)s);

-- name: roles_named
-- Of a user or a service account by their name, wherever they hold.
SELECT u.id AS user_id, b.role, b.unit_id, b.project_id
FROM users u JOIN role_bindings b
  ON b.user_id = u.id
     OR (b.group_name = ANY (u.groups) AND b.group_issuer IN ('', u.issuer) AND u.last_seen_at > %(believed)s)
WHERE ((u.email = %(email)s AND u.email <> '') OR u.id = %(user)s::uuid)
  AND (b.expires_at IS NULL OR b.expires_at > %(now)s)
UNION ALL
SELECT a.id, b.role, b.unit_id, b.project_id
FROM service_accounts a JOIN role_bindings b ON b.service_account_id = a.id
WHERE a.name = %(account)s::text AND (b.expires_at IS NULL OR b.expires_at > %(now)s);

-- name: home_of
SELECT a.id, coalesce(a.unit_id, p.business_unit_id) AS unit_id, a.project_id
FROM service_accounts a LEFT JOIN projects p ON p.id = a.project_id
WHERE a.name = %(name)s
ORDER BY a.archived_at DESC NULLS FIRST LIMIT 1;

-- name: known
-- Those of these names that a user has: an address, or an id for who has none.
SELECT email AS name FROM users WHERE email = ANY (%(emails)s::text[]) AND email <> ''
UNION ALL
SELECT 'user:' || id::text FROM users WHERE id = ANY (%(users)s::uuid[]);

-- name: live_machine
SELECT id, unit_id, project_id FROM service_accounts WHERE name = %(name)s AND archived_at IS NULL;

-- name: disabled_of
SELECT u.email AS name FROM users u
WHERE u.email = ANY (%(emails)s::text[]) AND u.email <> '' AND u.disabled_at IS NOT NULL
UNION ALL
SELECT 'user:' || u.id::text FROM users u WHERE u.id = ANY (%(users)s::uuid[]) AND u.disabled_at IS NOT NULL
UNION ALL
SELECT 'service_account:' || a.name FROM service_accounts a
WHERE a.name = ANY (%(accounts)s::text[])
GROUP BY a.name
HAVING bool_and(a.disabled_at IS NOT NULL OR a.archived_at IS NOT NULL);

-- name: addresses
-- Of users who are not disabled: those named, those with a role there, and those who stand in for one of them.
WITH entitled AS (
    SELECT id, email FROM users WHERE email = ANY (%(people)s::text[]) AND disabled_at IS NULL
    UNION
    SELECT u.id, u.email
    FROM role_bindings b
    JOIN users u ON b.user_id = u.id OR (b.group_name = ANY (u.groups) AND b.group_issuer IN ('', u.issuer))
    WHERE b.role = ANY (%(roles)s::text[]) AND (b.expires_at IS NULL OR b.expires_at > %(now)s)
      AND (b.unit_id = %(unit)s::uuid OR b.project_id = %(project)s::uuid OR (b.unit_id IS NULL AND b.project_id IS NULL))
      AND u.disabled_at IS NULL
)
SELECT email FROM (
    SELECT email FROM entitled
    UNION
    SELECT u.email
    FROM approval_delegations d JOIN entitled e ON e.id = d.user_id JOIN users u ON u.email = d.delegate
    WHERE d.revoked_at IS NULL AND d.starts_at <= %(now)s AND d.ends_at > %(now)s AND u.disabled_at IS NULL
) AS told
WHERE email <> '' AND email <> ALL (%(but)s::text[])
ORDER BY email
LIMIT %(limit)s;
