-- name: insert
-- A public id or a value that is taken makes no row.
INSERT INTO keys (id, project_id, lookup, public_id, imported, name, models, tags, expires_at, created_at, updated_at,
                  user_name)
VALUES (%(id)s, %(project)s, %(lookup)s, %(public_id)s, %(imported)s, %(name)s, %(models)s, %(tags)s, %(expires_at)s,
        %(created_at)s, %(at)s, %(user)s)
ON CONFLICT DO NOTHING;

-- name: name_taken
SELECT id FROM keys WHERE project_id = %(project)s AND name = %(name)s AND revoked_at IS NULL;

-- name: lock_number
-- One count of a project's keys at a time; ends with the transaction.
SELECT pg_advisory_xact_lock(%(space)s, hashtext(%(project)s));

-- name: active
-- A replaced key that lasts to the end of its grace is its successor's; one made for a brief time is nobody's.
SELECT count(*) AS all, count(*) FILTER (WHERE user_name = %(user)s) AS of_user
FROM keys
WHERE project_id = %(project)s AND revoked_at IS NULL
  AND (expires_at IS NULL OR (expires_at > %(now)s AND expires_at - created_at > %(brief)s::interval))
  AND rules_of IS NULL;

-- name: lookup_taken
SELECT id FROM keys WHERE lookup = %(lookup)s;

-- name: insert_secret
INSERT INTO key_secrets (key_id, digest, pepper, created_at) VALUES (%(key)s, %(digest)s, %(pepper)s, %(at)s);

-- name: key
SELECT k.id, k.project_id, p.name AS project, p.archived_at IS NOT NULL AS project_archived, k.lookup, k.public_id,
       k.imported, k.name, k.user_name, k.rules_of, k.models, k.tags, k.version, k.revision, k.created_at, k.updated_at, k.expires_at,
       k.revoked_at, k.managed_by, k.applied_digest,
       (SELECT max(s.not_after) FROM key_secrets s WHERE s.key_id = k.id) AS grace_until
FROM keys k JOIN projects p ON p.id = k.project_id
WHERE k.id = %(id)s OR (k.public_id = %(public_id)s AND NOT k.imported);

-- name: key_for_update
SELECT k.id, k.project_id, p.name AS project, p.archived_at IS NOT NULL AS project_archived, k.lookup, k.public_id,
       k.imported, k.name, k.user_name, k.rules_of, k.models, k.tags, k.version, k.revision, k.created_at, k.updated_at, k.expires_at,
       k.revoked_at, k.managed_by, k.applied_digest,
       (SELECT max(s.not_after) FROM key_secrets s WHERE s.key_id = k.id) AS grace_until
FROM keys k JOIN projects p ON p.id = k.project_id
WHERE k.id = %(id)s OR (k.public_id = %(public_id)s AND NOT k.imported)
FOR UPDATE OF k;

-- name: keys
SELECT k.id, k.project_id, p.name AS project, p.archived_at IS NOT NULL AS project_archived, k.lookup, k.public_id,
       k.imported, k.name, k.user_name, k.rules_of, k.models, k.tags, k.version, k.revision, k.created_at, k.updated_at, k.expires_at,
       k.revoked_at, k.managed_by, k.applied_digest,
       (SELECT max(s.not_after) FROM key_secrets s WHERE s.key_id = k.id) AS grace_until
FROM keys k JOIN projects p ON p.id = k.project_id
WHERE (%(after)s::uuid IS NULL OR k.id > %(after)s::uuid)
  AND (%(project)s::uuid IS NULL OR k.project_id = %(project)s::uuid)
  AND (%(revoked)s OR k.revoked_at IS NULL)
  AND (%(everywhere)s OR p.business_unit_id = ANY (%(units)s::uuid[]) OR p.id = ANY (%(projects)s::uuid[])
       OR (k.user_name = %(owner)s
           AND (%(own_everywhere)s OR p.business_unit_id = ANY (%(own_units)s::uuid[])
                OR p.id = ANY (%(own_projects)s::uuid[]))))
ORDER BY k.id
LIMIT %(limit)s;

-- name: update
UPDATE keys SET models = %(models)s, tags = %(tags)s, expires_at = %(expires_at)s, user_name = %(user)s,
       revision = revision + 1, updated_at = %(at)s
WHERE id = %(id)s;

-- name: touch
UPDATE keys SET revision = revision + 1, updated_at = %(at)s WHERE id = %(id)s;

-- name: end_secrets
-- An earlier end stays.
UPDATE key_secrets SET not_after = least(not_after, %(not_after)s::timestamptz) WHERE key_id = %(key)s;

-- name: end_grace
-- The secret without an end is the newest, and stays.
UPDATE key_secrets SET not_after = %(at)s WHERE key_id = %(key)s AND not_after > %(at)s;

-- name: drop_ended_secrets
DELETE FROM key_secrets WHERE key_id = %(key)s AND not_after <= %(at)s;

-- name: revoke
UPDATE keys SET revoked_at = %(at)s, updated_at = %(at)s, revision = revision + 1 WHERE id = %(id)s;

-- name: retire
-- A replaced imported key makes room for its successor's name and lasts to the end of the grace at most.
UPDATE keys SET name = %(name)s, expires_at = least(expires_at, %(not_after)s::timestamptz), managed_by = NULL,
       applied_digest = NULL, updated_at = %(at)s, revision = revision + 1
WHERE id = %(id)s;

-- name: release
UPDATE keys SET managed_by = NULL, applied_digest = NULL WHERE id = %(id)s;

-- name: inherit_management
UPDATE keys SET managed_by = %(managed_by)s, applied_digest = %(applied_digest)s WHERE id = %(id)s;

-- name: secrets
SELECT key_id, digest, pepper, not_after FROM key_secrets WHERE key_id = ANY (%(keys)s) ORDER BY key_id, created_at, digest;

-- name: entry_keys
SELECT id, project_id, (SELECT p.name FROM projects p WHERE p.id = project_id) AS project, lookup, public_id, name,
       user_name, coalesce(rules_of, id) AS rules_of, models, tags, version, expires_at, revoked_at
FROM keys WHERE id = ANY (%(keys)s) ORDER BY id;

-- name: entry_page
SELECT id, project_id, (SELECT p.name FROM projects p WHERE p.id = project_id) AS project, lookup, public_id, name,
       user_name, coalesce(rules_of, id) AS rules_of, models, tags, version, expires_at, revoked_at
FROM keys WHERE (%(after)s::uuid IS NULL OR id > %(after)s::uuid) ORDER BY id LIMIT %(limit)s;

-- name: succeed
UPDATE keys SET rules_of = %(successor)s WHERE id = %(id)s OR rules_of = %(id)s;

-- name: followers
SELECT id FROM keys WHERE rules_of = %(key)s ORDER BY id;

-- name: by_name
SELECT k.id FROM keys k JOIN projects p ON p.id = k.project_id
WHERE k.name = %(name)s AND k.revoked_at IS NULL AND p.name = %(project)s AND p.archived_at IS NULL;
