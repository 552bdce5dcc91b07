-- name: lock_set
-- One application of configuration at a time; ends with the transaction.
SELECT pg_advisory_xact_lock(%(lock)s);

-- name: keys
SELECT k.id, p.name AS project, k.name, k.models, k.tags, k.user_name, k.created_at, k.expires_at, k.managed_by, k.applied_digest
FROM keys k JOIN projects p ON p.id = k.project_id
WHERE k.revoked_at IS NULL AND p.archived_at IS NULL AND (k.managed_by = %(set)s OR p.name = ANY (%(projects)s));

-- name: gone
-- What was archived, removed or revoked elsewhere while the set still has it.
SELECT id, 'business_unit' AS kind, name FROM business_units WHERE managed_by = %(set)s AND archived_at IS NOT NULL
UNION ALL
SELECT id, 'provider', name FROM providers WHERE managed_by = %(set)s AND archived_at IS NOT NULL
UNION ALL
SELECT c.id, 'credential', p.name || '/' || c.name FROM credentials c JOIN providers p ON p.id = c.provider_id
WHERE c.managed_by = %(set)s AND c.removed_at IS NOT NULL AND p.archived_at IS NULL
UNION ALL
SELECT id, 'model', name FROM models WHERE managed_by = %(set)s AND archived_at IS NOT NULL
UNION ALL
SELECT id, 'project', name FROM projects WHERE managed_by = %(set)s AND archived_at IS NOT NULL
UNION ALL
SELECT k.id, 'key', p.name || '/' || k.name FROM keys k JOIN projects p ON p.id = k.project_id
WHERE k.managed_by = %(set)s AND k.revoked_at IS NOT NULL AND p.archived_at IS NULL
UNION ALL
SELECT b.id, 'budget', CASE WHEN b.scope = 'organisation' THEN b.scope
                            ELSE b.scope || ':' || coalesce(u.name, p.name, kp.name || '/' || k.name, b.subject) END
FROM budgets b
LEFT JOIN business_units u ON u.id = CASE WHEN b.scope = 'business_unit' THEN b.subject::uuid END
LEFT JOIN projects p ON p.id = CASE WHEN b.scope = 'project' THEN b.subject::uuid END
LEFT JOIN keys k ON k.id = CASE WHEN b.scope = 'key' THEN b.subject::uuid END
LEFT JOIN projects kp ON kp.id = k.project_id
WHERE b.managed_by = %(set)s AND b.removed_at IS NOT NULL
  AND u.archived_at IS NULL AND p.archived_at IS NULL AND k.revoked_at IS NULL AND kp.archived_at IS NULL
UNION ALL
SELECT id, 'alert_channel', name FROM alert_channels WHERE managed_by = %(set)s AND archived_at IS NOT NULL
UNION ALL
SELECT id, 'issuer', name FROM signin_issuers WHERE managed_by = %(set)s AND archived_at IS NOT NULL;

-- name: stamp_business_unit
UPDATE business_units SET managed_by = %(set)s, applied_digest = given.digest
FROM unnest(%(ids)s::uuid[], %(digests)s::bytea[]) AS given (id, digest)
WHERE business_units.id = given.id
  AND (business_units.managed_by, business_units.applied_digest) IS DISTINCT FROM (%(set)s::text, given.digest);

-- name: release_business_unit
UPDATE business_units SET managed_by = NULL, applied_digest = NULL WHERE id = ANY (%(ids)s::uuid[]);

-- name: stamp_provider
UPDATE providers SET managed_by = %(set)s, applied_digest = given.digest
FROM unnest(%(ids)s::uuid[], %(digests)s::bytea[]) AS given (id, digest)
WHERE providers.id = given.id
  AND (providers.managed_by, providers.applied_digest) IS DISTINCT FROM (%(set)s::text, given.digest);

-- name: release_provider
UPDATE providers SET managed_by = NULL, applied_digest = NULL WHERE id = ANY (%(ids)s::uuid[]);

-- name: stamp_credential
UPDATE credentials SET managed_by = %(set)s, applied_digest = given.digest
FROM unnest(%(ids)s::uuid[], %(digests)s::bytea[]) AS given (id, digest)
WHERE credentials.id = given.id
  AND (credentials.managed_by, credentials.applied_digest) IS DISTINCT FROM (%(set)s::text, given.digest);

-- name: release_credential
UPDATE credentials SET managed_by = NULL, applied_digest = NULL WHERE id = ANY (%(ids)s::uuid[]);

-- name: stamp_model
UPDATE models SET managed_by = %(set)s, applied_digest = given.digest
FROM unnest(%(ids)s::uuid[], %(digests)s::bytea[]) AS given (id, digest)
WHERE models.id = given.id
  AND (models.managed_by, models.applied_digest) IS DISTINCT FROM (%(set)s::text, given.digest);

-- name: release_model
UPDATE models SET managed_by = NULL, applied_digest = NULL WHERE id = ANY (%(ids)s::uuid[]);

-- name: stamp_project
UPDATE projects SET managed_by = %(set)s, applied_digest = given.digest
FROM unnest(%(ids)s::uuid[], %(digests)s::bytea[]) AS given (id, digest)
WHERE projects.id = given.id
  AND (projects.managed_by, projects.applied_digest) IS DISTINCT FROM (%(set)s::text, given.digest);

-- name: release_project
UPDATE projects SET managed_by = NULL, applied_digest = NULL WHERE id = ANY (%(ids)s::uuid[]);

-- name: stamp_key
UPDATE keys SET managed_by = %(set)s, applied_digest = given.digest
FROM unnest(%(ids)s::uuid[], %(digests)s::bytea[]) AS given (id, digest)
WHERE keys.id = given.id
  AND (keys.managed_by, keys.applied_digest) IS DISTINCT FROM (%(set)s::text, given.digest);

-- name: release_key
UPDATE keys SET managed_by = NULL, applied_digest = NULL WHERE id = ANY (%(ids)s::uuid[]);

-- name: stamp_budget
UPDATE budgets SET managed_by = %(set)s, applied_digest = given.digest
FROM unnest(%(ids)s::uuid[], %(digests)s::bytea[]) AS given (id, digest)
WHERE budgets.id = given.id
  AND (budgets.managed_by, budgets.applied_digest) IS DISTINCT FROM (%(set)s::text, given.digest);

-- name: release_budget
UPDATE budgets SET managed_by = NULL, applied_digest = NULL WHERE id = ANY (%(ids)s::uuid[]);

-- name: stamp_limits
UPDATE limit_sets SET managed_by = %(set)s, applied_digest = given.digest
FROM unnest(%(ids)s::uuid[], %(digests)s::bytea[]) AS given (id, digest)
WHERE limit_sets.id = given.id
  AND (limit_sets.managed_by, limit_sets.applied_digest) IS DISTINCT FROM (%(set)s::text, given.digest);

-- name: release_limits
UPDATE limit_sets SET managed_by = NULL, applied_digest = NULL WHERE id = ANY (%(ids)s::uuid[]);

-- name: stamp_alert_channel
UPDATE alert_channels SET managed_by = %(set)s, applied_digest = given.digest
FROM unnest(%(ids)s::uuid[], %(digests)s::bytea[]) AS given (id, digest)
WHERE alert_channels.id = given.id
  AND (alert_channels.managed_by, alert_channels.applied_digest) IS DISTINCT FROM (%(set)s::text, given.digest);

-- name: release_alert_channel
UPDATE alert_channels SET managed_by = NULL, applied_digest = NULL WHERE id = ANY (%(ids)s::uuid[]);

-- name: stamp_issuer
UPDATE signin_issuers SET managed_by = %(set)s, applied_digest = given.digest
FROM unnest(%(ids)s::uuid[], %(digests)s::bytea[]) AS given (id, digest)
WHERE signin_issuers.id = given.id
  AND (signin_issuers.managed_by, signin_issuers.applied_digest) IS DISTINCT FROM (%(set)s::text, given.digest);

-- name: release_issuer
UPDATE signin_issuers SET managed_by = NULL, applied_digest = NULL WHERE id = ANY (%(ids)s::uuid[]);

-- name: stamp_role
UPDATE role_bindings SET managed_by = %(set)s, applied_digest = given.digest
FROM unnest(%(ids)s::uuid[], %(digests)s::bytea[]) AS given (id, digest)
WHERE role_bindings.id = given.id
  AND (role_bindings.managed_by, role_bindings.applied_digest) IS DISTINCT FROM (%(set)s::text, given.digest);

-- name: release_role
UPDATE role_bindings SET managed_by = NULL, applied_digest = NULL WHERE id = ANY (%(ids)s::uuid[]);

-- name: stamp_policy
UPDATE approval_policies SET managed_by = %(set)s, applied_digest = given.digest
FROM unnest(%(ids)s::uuid[], %(digests)s::bytea[]) AS given (id, digest)
WHERE approval_policies.id = given.id
  AND (approval_policies.managed_by, approval_policies.applied_digest) IS DISTINCT FROM (%(set)s::text, given.digest);

-- name: release_policy
-- What was applied stays known: it is nobody's edit.
UPDATE approval_policies SET managed_by = NULL WHERE id = ANY (%(ids)s::uuid[]);

-- name: free_policy
UPDATE approval_policies SET managed_by = NULL, applied_digest = %(digest)s
WHERE kind = %(kind)s AND version = (SELECT max(version) FROM approval_policies WHERE kind = %(kind)s);
