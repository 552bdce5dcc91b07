-- name: ensure_organisation
INSERT INTO organisations (id, name) VALUES (%(id)s, %(name)s) ON CONFLICT (name) DO NOTHING;

-- name: insert_unit
INSERT INTO business_units (id, organisation_id, name, description)
SELECT %(id)s, organisations.id, %(name)s, %(description)s FROM organisations WHERE organisations.name = %(organisation)s
ON CONFLICT (organisation_id, name) WHERE archived_at IS NULL DO NOTHING;

-- name: unit
SELECT id, name, description, revision, created_at, updated_at, archived_at, managed_by, applied_digest
FROM business_units
WHERE archived_at IS NULL AND (id = %(id)s OR name = %(name)s);

-- name: unit_for_share
-- Holds off archiving until the transaction ends.
SELECT id, name, description, revision, created_at, updated_at, archived_at, managed_by, applied_digest
FROM business_units
WHERE archived_at IS NULL AND (id = %(id)s OR name = %(name)s)
FOR SHARE;

-- name: unit_for_update
SELECT id, name, description, revision, created_at, updated_at, archived_at, managed_by, applied_digest
FROM business_units
WHERE archived_at IS NULL AND (id = %(id)s OR name = %(name)s)
FOR UPDATE;

-- name: units
SELECT id, name, description, revision, created_at, updated_at, archived_at, managed_by, applied_digest
FROM business_units
WHERE archived_at IS NULL AND name > %(after)s AND (%(everywhere)s OR id = ANY (%(units)s::uuid[]))
ORDER BY name
LIMIT %(limit)s;

-- name: update_unit
UPDATE business_units SET description = %(description)s, revision = revision + 1, updated_at = %(at)s
WHERE id = %(id)s;

-- name: archive_unit
UPDATE business_units SET archived_at = %(at)s, updated_at = %(at)s, revision = revision + 1 WHERE id = %(id)s;

-- name: unit_by_id
SELECT id, name, description, revision, created_at, updated_at, archived_at, managed_by, applied_digest
FROM business_units WHERE id = %(id)s;

-- name: live_projects_of_unit
SELECT name FROM projects WHERE business_unit_id = %(id)s AND archived_at IS NULL ORDER BY name LIMIT 3;

-- name: insert_project
INSERT INTO projects (id, business_unit_id, name, description, models, dialect_policy, log_bodies, log_retention_days,
                      cache_enabled, cache_ttl_seconds, cache_scope, cache_similarity, priority, key_lifetime_days,
                      max_keys, max_keys_per_user)
VALUES (%(id)s, %(business_unit_id)s, %(name)s, %(description)s, %(models)s, %(dialect_policy)s, %(log_bodies)s,
        %(log_retention_days)s, %(cache_enabled)s, %(cache_ttl_seconds)s, %(cache_scope)s, %(cache_similarity)s,
        %(priority)s, %(key_lifetime_days)s, %(max_keys)s, %(max_keys_per_user)s)
ON CONFLICT (name) WHERE archived_at IS NULL DO NOTHING;

-- name: project
SELECT p.id, p.business_unit_id, u.name AS business_unit, p.name, p.description, p.models, p.dialect_policy,
       p.log_bodies, p.log_retention_days, p.cache_enabled, p.cache_ttl_seconds, p.cache_scope, p.cache_similarity,
       p.priority, p.key_lifetime_days, p.max_keys, p.max_keys_per_user, p.revision, p.created_at, p.updated_at,
       p.archived_at, p.managed_by, p.applied_digest
FROM projects p JOIN business_units u ON u.id = p.business_unit_id
WHERE p.archived_at IS NULL AND (p.id = %(id)s OR p.name = %(name)s);

-- name: project_for_share
SELECT p.id, p.business_unit_id, u.name AS business_unit, p.name, p.description, p.models, p.dialect_policy,
       p.log_bodies, p.log_retention_days, p.cache_enabled, p.cache_ttl_seconds, p.cache_scope, p.cache_similarity,
       p.priority, p.key_lifetime_days, p.max_keys, p.max_keys_per_user, p.revision, p.created_at, p.updated_at,
       p.archived_at, p.managed_by, p.applied_digest
FROM projects p JOIN business_units u ON u.id = p.business_unit_id
WHERE p.archived_at IS NULL AND (p.id = %(id)s OR p.name = %(name)s)
FOR SHARE OF p;

-- name: project_for_update
SELECT p.id, p.business_unit_id, u.name AS business_unit, p.name, p.description, p.models, p.dialect_policy,
       p.log_bodies, p.log_retention_days, p.cache_enabled, p.cache_ttl_seconds, p.cache_scope, p.cache_similarity,
       p.priority, p.key_lifetime_days, p.max_keys, p.max_keys_per_user, p.revision, p.created_at, p.updated_at,
       p.archived_at, p.managed_by, p.applied_digest
FROM projects p JOIN business_units u ON u.id = p.business_unit_id
WHERE p.archived_at IS NULL AND (p.id = %(id)s OR p.name = %(name)s)
FOR UPDATE OF p;

-- name: project_by_id
SELECT p.id, p.business_unit_id, u.name AS business_unit, p.name, p.description, p.models, p.dialect_policy,
       p.log_bodies, p.log_retention_days, p.cache_enabled, p.cache_ttl_seconds, p.cache_scope, p.cache_similarity,
       p.priority, p.key_lifetime_days, p.max_keys, p.max_keys_per_user, p.revision, p.created_at, p.updated_at,
       p.archived_at, p.managed_by, p.applied_digest
FROM projects p JOIN business_units u ON u.id = p.business_unit_id
WHERE p.id = %(id)s;

-- name: projects
SELECT p.id, p.business_unit_id, u.name AS business_unit, p.name, p.description, p.models, p.dialect_policy,
       p.log_bodies, p.log_retention_days, p.cache_enabled, p.cache_ttl_seconds, p.cache_scope, p.cache_similarity,
       p.priority, p.key_lifetime_days, p.max_keys, p.max_keys_per_user, p.revision, p.created_at, p.updated_at,
       p.archived_at, p.managed_by, p.applied_digest
FROM projects p JOIN business_units u ON u.id = p.business_unit_id
WHERE p.archived_at IS NULL AND p.name > %(after)s
  AND (%(unit)s::uuid IS NULL OR p.business_unit_id = %(unit)s::uuid)
  AND (%(everywhere)s OR p.business_unit_id = ANY (%(units)s::uuid[]) OR p.id = ANY (%(projects)s::uuid[]))
ORDER BY p.name
LIMIT %(limit)s;

-- name: update_project
UPDATE projects SET description = %(description)s, business_unit_id = %(business_unit_id)s, models = %(models)s,
       dialect_policy = %(dialect_policy)s, log_bodies = %(log_bodies)s, log_retention_days = %(log_retention_days)s,
       cache_enabled = %(cache_enabled)s, cache_ttl_seconds = %(cache_ttl_seconds)s, cache_scope = %(cache_scope)s,
       cache_similarity = %(cache_similarity)s, priority = %(priority)s, key_lifetime_days = %(key_lifetime_days)s,
       max_keys = %(max_keys)s, max_keys_per_user = %(max_keys_per_user)s, revision = revision + 1, updated_at = %(at)s
WHERE id = %(id)s;

-- name: archive_project
UPDATE projects SET archived_at = %(at)s, updated_at = %(at)s, revision = revision + 1 WHERE id = %(id)s;
