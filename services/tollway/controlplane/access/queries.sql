-- Users

-- name: user
SELECT id, email, display_name, issuer, subject, groups, bound_at, last_seen_at, disabled_at, revision, created_at,
       updated_at, managed_by, applied_digest
FROM users WHERE id = %(id)s OR (email = %(email)s AND email <> '');

-- name: user_for_update
SELECT id, email, display_name, issuer, subject, groups, bound_at, last_seen_at, disabled_at, revision, created_at,
       updated_at, managed_by, applied_digest
FROM users WHERE id = %(id)s OR (email = %(email)s AND email <> '')
FOR UPDATE;

-- name: user_by_identity
SELECT id, email, display_name, issuer, subject, groups, bound_at, last_seen_at, disabled_at, revision, created_at,
       updated_at, managed_by, applied_digest, groups_said_at
FROM users WHERE issuer = %(issuer)s AND subject = %(subject)s;

-- name: users
-- By id, which is by age.
SELECT id, email, display_name, issuer, subject, groups, bound_at, last_seen_at, disabled_at, revision, created_at,
       updated_at, managed_by, applied_digest
FROM users
WHERE (%(after)s::uuid IS NULL OR id > %(after)s::uuid)
  AND (%(search)s::text = ''
       OR strpos(lower(concat_ws(' ', email, display_name, subject)), lower(%(search)s::text)) > 0)
ORDER BY id LIMIT %(limit)s;

-- name: insert_user
-- Makes no row when the address or the identity is taken.
INSERT INTO users (id, email, display_name, issuer, subject, groups, bound_at, last_seen_at, created_at, updated_at)
VALUES (%(id)s, %(email)s, %(display_name)s, %(issuer)s, %(subject)s, %(groups)s, %(bound_at)s, %(bound_at)s, %(at)s,
        %(at)s)
ON CONFLICT DO NOTHING;

-- name: bind_user
UPDATE users SET issuer = %(issuer)s, subject = %(subject)s, bound_at = %(at)s, updated_at = %(at)s,
       revision = revision + 1
WHERE id = %(id)s;

-- name: unbind_user
-- Tokens that were issued before bind nobody to this user.
UPDATE users SET issuer = NULL, subject = NULL, bound_at = NULL, groups = '{}', tokens_not_before = %(at)s,
       updated_at = %(at)s, revision = revision + 1
WHERE id = %(id)s;

-- name: remember_unbound
INSERT INTO unbound_identities (user_id, issuer, subject, unbound_at)
SELECT id, issuer, subject, %(at)s FROM users WHERE id = %(id)s AND issuer IS NOT NULL
ON CONFLICT (user_id, issuer, subject) DO UPDATE SET unbound_at = excluded.unbound_at;

-- name: end_sessions
-- Of whoever is bound to a user.
UPDATE signin_sessions s SET revoked_at = %(at)s, revoked_for = 'unbound', sealed = NULL, data_key = NULL
FROM users u JOIN signin_issuers i ON i.issuer = u.issuer
WHERE u.id = %(id)s AND s.issuer_id = i.id AND s.subject = u.subject AND s.revoked_at IS NULL;

-- name: bindable
-- Whether an identity may be bound to a user: it was not unbound from them, nor is its token older than an unbinding.
SELECT u.id FROM users u
WHERE u.id = %(id)s
  AND NOT EXISTS (SELECT FROM unbound_identities x
                  WHERE x.user_id = u.id AND x.issuer = %(issuer)s AND x.subject = %(subject)s)
  AND (%(issued)s::timestamptz IS NULL OR u.tokens_not_before IS NULL OR u.tokens_not_before < %(issued)s);

-- name: forget_groups
-- What the issuer said until now is not believed any more.
UPDATE users SET groups = '{}', groups_said_at = greatest(groups_said_at, %(at)s), updated_at = %(at)s
WHERE id = %(id)s;

-- name: see_user
-- What the issuer says; written when it differs or was last written a while ago. What it said (`said_at`) before it
-- said something else is not written over that, however the calls interleave. What it says at a sign-in (`now`) is its
-- last word, whatever clocks say.
UPDATE users SET groups = CASE WHEN groups_said_at > %(said_at)s AND NOT %(now)s THEN groups ELSE %(groups)s END,
       groups_said_at = CASE WHEN %(now)s THEN %(said_at)s
                             WHEN %(told)s THEN greatest(groups_said_at, %(said_at)s)
                             ELSE groups_said_at END,
       display_name = %(display_name)s, last_seen_at = %(at)s
WHERE id = %(id)s;

-- name: rename_user
UPDATE users SET display_name = %(display_name)s, updated_at = %(at)s, revision = revision + 1 WHERE id = %(id)s;

-- name: disable_user
-- Tokens that were issued before are void on the data planes for good, even if the user is enabled again.
UPDATE users SET disabled_at = %(at)s, tokens_not_before = %(at)s, updated_at = %(at)s, revision = revision + 1
WHERE id = %(id)s;

-- name: enable_user
UPDATE users SET disabled_at = NULL, updated_at = %(at)s, revision = revision + 1 WHERE id = %(id)s;

-- name: tokens_void
-- Whether tokens that a user had then are void.
SELECT id FROM users WHERE id = %(id)s AND tokens_not_before > %(issued)s;

-- Roles

-- name: roles_of_user
SELECT DISTINCT role, unit_id, project_id FROM role_bindings
WHERE (user_id = %(user)s
       OR (group_name = ANY (%(groups)s::text[]) AND group_issuer IN ('', %(issuer)s)))
  AND (expires_at IS NULL OR expires_at > coalesce(%(now)s::timestamptz, now()));

-- name: roles_of_account
-- An account's roles hold where it lives, and nowhere else: a project may have moved since.
SELECT DISTINCT b.role, b.unit_id, b.project_id
FROM role_bindings b
JOIN service_accounts a ON a.id = b.service_account_id
LEFT JOIN projects p ON p.id = b.project_id
WHERE a.id = %(account)s
  AND (b.expires_at IS NULL OR b.expires_at > coalesce(%(now)s::timestamptz, now()))
  AND ((a.unit_id IS NULL AND a.project_id IS NULL)
       OR a.project_id = b.project_id OR a.unit_id IN (b.unit_id, p.business_unit_id));

-- name: binding
SELECT b.id, b.role, b.user_id, b.service_account_id, b.group_name, b.group_issuer, b.unit_id, b.project_id,
       coalesce(nullif(u.email, ''), u.id::text, '') AS user, coalesce(a.name, '') AS service_account,
       coalesce(bu.name, '') AS business_unit, coalesce(p.name, '') AS project, b.expires_at, b.created_by,
       b.created_at, b.managed_by, b.applied_digest
FROM role_bindings b
LEFT JOIN users u ON u.id = b.user_id
LEFT JOIN service_accounts a ON a.id = b.service_account_id
LEFT JOIN business_units bu ON bu.id = b.unit_id
LEFT JOIN projects p ON p.id = b.project_id
WHERE b.id = %(id)s;

-- name: same_binding
SELECT id FROM role_bindings
WHERE role = %(role)s
  AND user_id IS NOT DISTINCT FROM %(user)s::uuid AND service_account_id IS NOT DISTINCT FROM %(account)s::uuid
  AND group_name IS NOT DISTINCT FROM %(group)s::text AND group_issuer = %(issuer)s
  AND unit_id IS NOT DISTINCT FROM %(unit)s::uuid AND project_id IS NOT DISTINCT FROM %(project)s::uuid
FOR UPDATE;

-- name: bindings
-- Those in live places by id, which is by age, within the caller's reach.
SELECT b.id, b.role, b.user_id, b.service_account_id, b.group_name, b.group_issuer, b.unit_id, b.project_id,
       coalesce(nullif(u.email, ''), u.id::text, '') AS user, coalesce(a.name, '') AS service_account,
       coalesce(bu.name, '') AS business_unit, coalesce(p.name, '') AS project, b.expires_at, b.created_by,
       b.created_at, b.managed_by, b.applied_digest
FROM role_bindings b
LEFT JOIN users u ON u.id = b.user_id
LEFT JOIN service_accounts a ON a.id = b.service_account_id
LEFT JOIN business_units bu ON bu.id = b.unit_id
LEFT JOIN projects p ON p.id = b.project_id
WHERE bu.archived_at IS NULL AND p.archived_at IS NULL AND a.archived_at IS NULL
  AND (%(after)s::uuid IS NULL OR b.id > %(after)s::uuid)
  AND (%(user)s::uuid IS NULL OR b.user_id = %(user)s::uuid)
  AND (%(account)s::uuid IS NULL OR b.service_account_id = %(account)s::uuid)
  AND (%(group)s = '' OR b.group_name = %(group)s)
  AND (%(unit)s::uuid IS NULL OR b.unit_id = %(unit)s::uuid)
  AND (%(project)s::uuid IS NULL OR b.project_id = %(project)s::uuid)
  AND (%(role)s = '' OR b.role = %(role)s)
  AND (%(everywhere)s OR coalesce(b.unit_id, p.business_unit_id) = ANY (%(units)s::uuid[])
       OR b.project_id = ANY (%(projects)s::uuid[]))
ORDER BY b.id
LIMIT %(limit)s;

-- name: insert_binding
INSERT INTO role_bindings (id, role, user_id, service_account_id, group_name, group_issuer, unit_id, project_id,
                           expires_at, created_by, created_at)
VALUES (%(id)s, %(role)s, %(user)s, %(account)s, %(group)s, %(issuer)s, %(unit)s, %(project)s, %(expires_at)s, %(by)s,
        %(at)s);

-- name: end_binding
UPDATE role_bindings SET expires_at = %(expires_at)s WHERE id = %(id)s;

-- name: delete_binding
DELETE FROM role_bindings WHERE id = %(id)s;

-- name: delete_bindings_of_account
DELETE FROM role_bindings WHERE service_account_id = %(account)s;

-- Service accounts

-- name: account
SELECT a.id, a.name, a.description, a.unit_id, a.project_id, coalesce(u.name, '') AS business_unit,
       coalesce(p.name, '') AS project, a.disabled_at, a.revision, a.created_at, a.updated_at, a.archived_at
FROM service_accounts a
LEFT JOIN business_units u ON u.id = a.unit_id
LEFT JOIN projects p ON p.id = a.project_id
WHERE a.archived_at IS NULL AND (a.id = %(id)s OR a.name = %(name)s);

-- name: account_for_update
SELECT a.id, a.name, a.description, a.unit_id, a.project_id, coalesce(u.name, '') AS business_unit,
       coalesce(p.name, '') AS project, a.disabled_at, a.revision, a.created_at, a.updated_at, a.archived_at
FROM service_accounts a
LEFT JOIN business_units u ON u.id = a.unit_id
LEFT JOIN projects p ON p.id = a.project_id
WHERE a.archived_at IS NULL AND (a.id = %(id)s OR a.name = %(name)s)
FOR UPDATE OF a;

-- name: account_by_id
SELECT a.id, a.name, a.description, a.unit_id, a.project_id, coalesce(u.name, '') AS business_unit,
       coalesce(p.name, '') AS project, a.disabled_at, a.revision, a.created_at, a.updated_at, a.archived_at
FROM service_accounts a
LEFT JOIN business_units u ON u.id = a.unit_id
LEFT JOIN projects p ON p.id = a.project_id
WHERE a.id = %(id)s;

-- name: accounts
-- Live ones by name, within the caller's reach.
SELECT a.id, a.name, a.description, a.unit_id, a.project_id, coalesce(u.name, '') AS business_unit,
       coalesce(p.name, '') AS project, a.disabled_at, a.revision, a.created_at, a.updated_at, a.archived_at
FROM service_accounts a
LEFT JOIN business_units u ON u.id = a.unit_id
LEFT JOIN projects p ON p.id = a.project_id
WHERE a.archived_at IS NULL AND a.name > %(after)s
  AND (%(everywhere)s OR coalesce(a.unit_id, p.business_unit_id) = ANY (%(units)s::uuid[])
       OR a.project_id = ANY (%(projects)s::uuid[]))
ORDER BY a.name
LIMIT %(limit)s;

-- name: insert_account
-- A name is not used again: policies, votes and the audit log would mean another account by it.
INSERT INTO service_accounts (id, name, description, unit_id, project_id, created_by, created_at, updated_at)
SELECT %(id)s::uuid, %(name)s::text, %(description)s::text, %(unit)s::uuid, %(project)s::uuid, %(by)s::text,
       %(at)s::timestamptz, %(at)s::timestamptz
WHERE NOT EXISTS (SELECT FROM service_accounts WHERE name = %(name)s::text)
ON CONFLICT (name) WHERE archived_at IS NULL DO NOTHING;

-- name: disable_account
UPDATE service_accounts SET disabled_at = %(at)s, updated_at = %(at)s, revision = revision + 1 WHERE id = %(id)s;

-- name: enable_account
UPDATE service_accounts SET disabled_at = NULL, updated_at = %(at)s, revision = revision + 1 WHERE id = %(id)s;

-- name: archive_account
UPDATE service_accounts SET archived_at = %(at)s, updated_at = %(at)s, revision = revision + 1 WHERE id = %(id)s;

-- name: tokens
-- The valid ones of these accounts, oldest first.
SELECT id, service_account_id, public_id, created_at, expires_at, revoked_at, last_used_at
FROM service_account_tokens
WHERE service_account_id = ANY (%(accounts)s::uuid[]) AND revoked_at IS NULL AND expires_at > %(at)s
ORDER BY service_account_id, created_at, id;

-- name: token
SELECT id, service_account_id, public_id, created_at, expires_at, revoked_at, last_used_at
FROM service_account_tokens
WHERE service_account_id = %(account)s AND (id = %(id)s OR public_id = %(public_id)s);

-- name: insert_token
INSERT INTO service_account_tokens (id, service_account_id, public_id, digest, created_by, created_at, expires_at)
VALUES (%(id)s, %(account)s, %(public_id)s, %(digest)s, %(by)s, %(at)s, %(expires_at)s);

-- name: revoke_token
UPDATE service_account_tokens SET revoked_at = %(at)s WHERE id = %(id)s;

-- name: end_tokens
-- An earlier end stays.
UPDATE service_account_tokens SET expires_at = least(expires_at, %(at)s)
WHERE service_account_id = %(account)s AND revoked_at IS NULL;

-- name: revoke_tokens
UPDATE service_account_tokens SET revoked_at = %(at)s WHERE service_account_id = %(account)s AND revoked_at IS NULL;

-- name: presented
-- The account behind a token's public id, if both are in force.
SELECT t.id, t.digest, a.id AS account, a.name,
       (t.last_used_at IS NULL OR t.last_used_at < coalesce(%(now)s::timestamptz, now()) - interval '5 minutes') AS stale
FROM service_account_tokens t JOIN service_accounts a ON a.id = t.service_account_id
WHERE t.public_id = %(public_id)s AND t.revoked_at IS NULL AND a.disabled_at IS NULL AND a.archived_at IS NULL
  AND t.expires_at > coalesce(%(now)s::timestamptz, now());

-- name: use_token
UPDATE service_account_tokens SET last_used_at = coalesce(%(now)s::timestamptz, now()) WHERE id = %(id)s;

-- Places of resources, for the scope check. Archived ones are found too: who could see them still can.

-- name: place_of_unit
SELECT id AS unit, NULL::uuid AS project, NULL::text AS owner FROM business_units
WHERE id = %(id)s OR name = %(name)s
ORDER BY archived_at DESC NULLS FIRST LIMIT 1;

-- name: place_of_project
SELECT business_unit_id AS unit, id AS project, NULL::text AS owner FROM projects
WHERE id = %(id)s OR name = %(name)s
ORDER BY archived_at DESC NULLS FIRST LIMIT 1;

-- name: place_of_key
SELECT p.business_unit_id AS unit, p.id AS project, nullif(k.user_name, '') AS owner
FROM keys k JOIN projects p ON p.id = k.project_id
WHERE k.id = %(id)s OR (k.public_id = %(public_id)s AND NOT k.imported);

-- name: place_of_named_key
SELECT p.business_unit_id AS unit, p.id AS project, nullif(k.user_name, '') AS owner
FROM keys k JOIN projects p ON p.id = k.project_id
WHERE k.name = %(name)s AND k.revoked_at IS NULL AND p.name = %(project)s AND p.archived_at IS NULL;

-- name: place_of_account
SELECT coalesce(a.unit_id, p.business_unit_id) AS unit, a.project_id AS project, NULL::text AS owner
FROM service_accounts a LEFT JOIN projects p ON p.id = a.project_id
WHERE a.archived_at IS NULL AND (a.id = %(id)s OR a.name = %(name)s);

-- name: place_of_binding
SELECT coalesce(b.unit_id, p.business_unit_id) AS unit, b.project_id AS project, NULL::text AS owner
FROM role_bindings b LEFT JOIN projects p ON p.id = b.project_id
WHERE b.id = %(id)s;

-- name: place_of_channel
-- Of all channels only those of one unit or project lie anywhere. Names are those of live ones.
SELECT coalesce(u.id, p.business_unit_id) AS unit, p.id AS project, NULL::text AS owner
FROM alert_channels c
LEFT JOIN business_units u ON c.scope = 'business_unit' AND u.name = c.subject AND u.archived_at IS NULL
LEFT JOIN projects p ON c.scope = 'project' AND p.name = c.subject AND p.archived_at IS NULL
WHERE c.archived_at IS NULL AND (c.id = %(id)s OR c.name = %(name)s);

-- name: place_of_alert
SELECT coalesce(p.business_unit_id, u.id) AS unit, p.id AS project, NULL::text AS owner
FROM alerts a
LEFT JOIN projects p ON p.name = a.project AND p.archived_at IS NULL
LEFT JOIN business_units u ON a.project = '' AND u.name = a.business_unit AND u.archived_at IS NULL
WHERE a.id = %(id)s;

-- name: place_of_logged_request
SELECT p.business_unit_id AS unit, p.id AS project,
       coalesce(nullif(k.user_name, ''), nullif(u.email, ''), 'user:' || u.id::text) AS owner
FROM request_log l
JOIN projects p ON p.id::text = l.project
LEFT JOIN keys k ON k.id::text = l.key_id
LEFT JOIN identity_entries e ON e.id::text = l.key_id
LEFT JOIN users u ON u.issuer = e.issuer AND u.subject = e.subject
WHERE l.day = %(day)s AND l.id = %(id)s;

-- What a caller reaches.

-- name: reached_projects
-- Archived ones too: the ledger knows them.
SELECT id::text AS text FROM projects
WHERE (business_unit_id = ANY (%(units)s::uuid[]) OR id = ANY (%(projects)s::uuid[]))
  AND (%(project)s = '' OR name = %(project)s OR id::text = %(project)s);

-- name: reached_keys
SELECT k.id::text AS text
FROM keys k JOIN projects p ON p.id = k.project_id
WHERE (%(project)s = '' OR p.name = %(project)s OR p.id::text = %(project)s)
  AND (p.business_unit_id = ANY (%(units)s::uuid[]) OR p.id = ANY (%(projects)s::uuid[])
       OR (k.user_name = %(owner)s
           AND (%(own_everywhere)s OR p.business_unit_id = ANY (%(own_units)s::uuid[])
                OR p.id = ANY (%(own_projects)s::uuid[]))))
UNION ALL
-- Under which the ledger has what they called with tokens.
SELECT e.id::text
FROM identity_entries e JOIN users u ON u.issuer = e.issuer AND u.subject = e.subject
WHERE coalesce(nullif(u.email, ''), 'user:' || u.id::text) = %(owner)s
LIMIT %(limit)s;

-- name: reached_unit_names
SELECT name AS text FROM business_units WHERE archived_at IS NULL AND id = ANY (%(units)s::uuid[]);

-- name: reached_project_names
SELECT name AS text FROM projects
WHERE archived_at IS NULL AND (business_unit_id = ANY (%(units)s::uuid[]) OR id = ANY (%(projects)s::uuid[]));

-- name: place_names
SELECT id, name FROM business_units WHERE id = ANY (%(ids)s::uuid[])
UNION ALL
SELECT id, name FROM projects WHERE id = ANY (%(ids)s::uuid[]);

-- Identities whose tokens are taken by data planes. An entry that is there is locked, so that of two changes at once the
-- later one sees the earlier one.

-- name: identities_of_users
INSERT INTO identity_entries AS e (id, issuer, subject)
SELECT gen_random_uuid(), u.issuer, u.subject
FROM users u JOIN signin_issuers i ON i.issuer = u.issuer AND i.archived_at IS NULL AND i.data_plane IS NOT NULL
WHERE u.id = ANY (%(users)s::uuid[])
ORDER BY u.issuer, u.subject
ON CONFLICT (issuer, subject) DO UPDATE SET issuer = e.issuer
RETURNING e.id;

-- name: identities_of_issuer
INSERT INTO identity_entries AS e (id, issuer, subject)
SELECT gen_random_uuid(), u.issuer, u.subject
FROM users u JOIN signin_issuers i ON i.issuer = u.issuer AND i.archived_at IS NULL AND i.data_plane IS NOT NULL
WHERE u.issuer = %(issuer)s
ORDER BY u.issuer, u.subject
ON CONFLICT (issuer, subject) DO UPDATE SET issuer = e.issuer
RETURNING e.id;

-- name: users_of_subjects
SELECT id FROM users WHERE issuer = %(issuer)s AND subject = ANY (%(subjects)s::text[]);

-- name: missing_identities
INSERT INTO identity_entries AS e (id, issuer, subject)
SELECT gen_random_uuid(), u.issuer, u.subject
FROM users u JOIN signin_issuers i ON i.issuer = u.issuer AND i.archived_at IS NULL AND i.data_plane IS NOT NULL
WHERE NOT EXISTS (SELECT FROM identity_entries x WHERE x.issuer = u.issuer AND x.subject = u.subject)
ORDER BY u.issuer, u.subject
LIMIT %(limit)s
ON CONFLICT (issuer, subject) DO UPDATE SET issuer = e.issuer
RETURNING e.id;

-- name: members
SELECT id FROM users
WHERE issuer IS NOT NULL AND %(group)s = ANY (groups) AND (%(issuer)s = '' OR issuer = %(issuer)s);

-- name: identity_entries
SELECT e.id, e.issuer, e.subject, e.version, u.id AS user_id,
       coalesce(nullif(u.email, ''), 'user:' || u.id::text, '') AS user_name,
       u.disabled_at IS NOT NULL AS disabled, u.tokens_not_before AS not_before
FROM identity_entries e LEFT JOIN users u ON u.issuer = e.issuer AND u.subject = e.subject
WHERE e.id = ANY (%(ids)s::uuid[])
ORDER BY e.id;

-- name: identity_page
SELECT e.id, e.issuer, e.subject, e.version, u.id AS user_id,
       coalesce(nullif(u.email, ''), 'user:' || u.id::text, '') AS user_name,
       u.disabled_at IS NOT NULL AS disabled, u.tokens_not_before AS not_before
FROM identity_entries e LEFT JOIN users u ON u.issuer = e.issuer AND u.subject = e.subject
WHERE %(after)s::uuid IS NULL OR e.id > %(after)s::uuid
ORDER BY e.id
LIMIT %(limit)s;

-- name: identity_logouts
-- The newest first of each identity; one more than is pushed tells from when on all tokens are void.
SELECT id, provider_sid, issued_until
FROM (SELECT e.id, o.provider_sid, o.issued_until,
             row_number() OVER (PARTITION BY e.id, o.provider_sid <> '' ORDER BY o.issued_until DESC, o.provider_sid) AS place
      FROM identity_entries e JOIN signin_logouts o ON o.issuer = e.issuer AND o.subject = e.subject
      WHERE e.id = ANY (%(ids)s::uuid[]) AND o.expires_at > now()) AS found
WHERE place <= %(limit)s
ORDER BY id, issued_until DESC, provider_sid;

-- name: identity_grants
-- Where these users may call models, by name or by a group of their issuer. Ends are checked when a request comes.
-- Groups are believed for a time after the issuer said them, unless a token says otherwise.
SELECT DISTINCT found.user_id, found.unit_id, found.project_id, found.expires_at, found.group_name
FROM (
    SELECT b.user_id, b.unit_id, b.project_id, b.expires_at, '' AS group_name
    FROM role_bindings b
    WHERE b.user_id = ANY (%(users)s::uuid[]) AND b.role = ANY (%(roles)s::text[])
    UNION ALL
    SELECT u.id, b.unit_id, b.project_id,
           least(b.expires_at, date_bin(%(bucket)s, u.last_seen_at, 'epoch'::timestamptz) + %(believed)s),
           member.group_name
    FROM users u
    CROSS JOIN LATERAL unnest(u.groups) AS member (group_name)
    JOIN role_bindings b ON b.group_name = member.group_name AND b.group_issuer IN ('', u.issuer)
    WHERE u.id = ANY (%(users)s::uuid[]) AND b.role = ANY (%(roles)s::text[]) AND u.last_seen_at IS NOT NULL
) AS found
WHERE found.expires_at IS NULL OR found.expires_at > now()
ORDER BY found.user_id, found.project_id, found.unit_id, found.expires_at, found.group_name;
