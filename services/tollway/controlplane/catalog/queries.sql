-- name: provider
SELECT id, name, kind, base_url, api_version, timeouts, hangup, probe_seconds, revision, created_at, updated_at,
       archived_at, managed_by, applied_digest
FROM providers
WHERE archived_at IS NULL AND (id = %(id)s OR name = %(name)s);

-- name: provider_for_update
SELECT id, name, kind, base_url, api_version, timeouts, hangup, probe_seconds, revision, created_at, updated_at,
       archived_at, managed_by, applied_digest
FROM providers
WHERE archived_at IS NULL AND (id = %(id)s OR name = %(name)s)
FOR UPDATE;

-- name: provider_for_share
-- Holds off archiving until the transaction ends.
SELECT id, name, kind, base_url, api_version, timeouts, hangup, probe_seconds, revision, created_at, updated_at,
       archived_at, managed_by, applied_digest
FROM providers
WHERE archived_at IS NULL AND (id = %(id)s OR name = %(name)s)
FOR SHARE;

-- name: provider_by_id
SELECT id, name, kind, base_url, api_version, timeouts, hangup, probe_seconds, revision, created_at, updated_at,
       archived_at, managed_by, applied_digest
FROM providers WHERE id = %(id)s;

-- name: providers
SELECT id, name, kind, base_url, api_version, timeouts, hangup, probe_seconds, revision, created_at, updated_at,
       archived_at, managed_by, applied_digest
FROM providers
WHERE archived_at IS NULL AND name > %(after)s
ORDER BY name
LIMIT %(limit)s;

-- name: insert_provider
INSERT INTO providers (id, name, kind, base_url, api_version, timeouts, hangup, probe_seconds)
VALUES (%(id)s, %(name)s, %(kind)s, %(base_url)s, %(api_version)s, %(timeouts)s, %(hangup)s, %(probe_seconds)s)
ON CONFLICT (name) WHERE archived_at IS NULL DO NOTHING;

-- name: update_provider
UPDATE providers SET base_url = %(base_url)s, api_version = %(api_version)s, timeouts = %(timeouts)s,
       hangup = %(hangup)s, probe_seconds = %(probe_seconds)s, revision = revision + 1, updated_at = %(at)s
WHERE id = %(id)s;

-- name: touch_provider
UPDATE providers SET revision = revision + 1, updated_at = %(at)s WHERE id = %(id)s;

-- name: archive_provider
UPDATE providers SET archived_at = %(at)s, updated_at = %(at)s, revision = revision + 1 WHERE id = %(id)s;

-- name: models_with_target
SELECT name FROM models
WHERE archived_at IS NULL AND targets @> jsonb_build_array(jsonb_build_object('provider_id', %(provider)s::text))
ORDER BY name
LIMIT 3;

-- name: lock_model_names
-- Names and aliases are one space, which no index can hold; whoever changes it waits for the other.
SELECT pg_advisory_xact_lock(%(lock)s);

-- name: repeated_model_names
SELECT used.name
FROM models, unnest(aliases || name) AS used (name)
WHERE archived_at IS NULL
GROUP BY used.name
HAVING count(*) > 1
ORDER BY used.name
LIMIT 1;

-- name: chains
SELECT name, fallbacks, context_fallbacks, filter_fallbacks FROM models WHERE archived_at IS NULL;

-- name: models_with_fallback
SELECT name FROM models
WHERE archived_at IS NULL AND %(name)s = ANY (fallbacks || context_fallbacks || filter_fallbacks)
ORDER BY name
LIMIT 3;

-- name: model
SELECT id, name, aliases, strategy, affinity, targets, fallbacks, context_fallbacks, filter_fallbacks, retries, breaker,
       hedge, price, capabilities, price_revision, revision, created_at, updated_at, archived_at, managed_by,
       applied_digest
FROM models
WHERE archived_at IS NULL AND (id = %(id)s OR name = %(name)s);

-- name: model_by_alias
SELECT id, name, aliases, strategy, affinity, targets, fallbacks, context_fallbacks, filter_fallbacks, retries, breaker,
       hedge, price, capabilities, price_revision, revision, created_at, updated_at, archived_at, managed_by,
       applied_digest
FROM models
WHERE archived_at IS NULL AND %(alias)s = ANY (aliases);

-- name: model_for_update
SELECT id, name, aliases, strategy, affinity, targets, fallbacks, context_fallbacks, filter_fallbacks, retries, breaker,
       hedge, price, capabilities, price_revision, revision, created_at, updated_at, archived_at, managed_by,
       applied_digest
FROM models
WHERE archived_at IS NULL AND (id = %(id)s OR name = %(name)s)
FOR UPDATE;

-- name: model_by_id
SELECT id, name, aliases, strategy, affinity, targets, fallbacks, context_fallbacks, filter_fallbacks, retries, breaker,
       hedge, price, capabilities, price_revision, revision, created_at, updated_at, archived_at, managed_by,
       applied_digest
FROM models WHERE id = %(id)s;

-- name: models
SELECT id, name, aliases, strategy, affinity, targets, fallbacks, context_fallbacks, filter_fallbacks, retries, breaker,
       hedge, price, capabilities, price_revision, revision, created_at, updated_at, archived_at, managed_by,
       applied_digest
FROM models
WHERE archived_at IS NULL AND name > %(after)s
ORDER BY name
LIMIT %(limit)s;

-- name: insert_model
INSERT INTO models (id, name, aliases, strategy, affinity, targets, fallbacks, context_fallbacks, filter_fallbacks,
                    retries, breaker, hedge, price, capabilities, price_revision)
VALUES (%(id)s, %(name)s, %(aliases)s, %(strategy)s, %(affinity)s, %(targets)s, %(fallbacks)s, %(context_fallbacks)s,
        %(filter_fallbacks)s, %(retries)s, %(breaker)s, %(hedge)s, %(price)s, %(capabilities)s, %(price_revision)s)
ON CONFLICT (name) WHERE archived_at IS NULL DO NOTHING;

-- name: update_model
UPDATE models SET aliases = %(aliases)s, strategy = %(strategy)s, affinity = %(affinity)s, targets = %(targets)s,
       fallbacks = %(fallbacks)s, context_fallbacks = %(context_fallbacks)s, filter_fallbacks = %(filter_fallbacks)s,
       retries = %(retries)s, breaker = %(breaker)s, hedge = %(hedge)s, price = %(price)s,
       capabilities = %(capabilities)s, price_revision = %(price_revision)s, revision = revision + 1,
       updated_at = %(at)s
WHERE id = %(id)s;

-- name: archive_model
UPDATE models SET archived_at = %(at)s, updated_at = %(at)s, revision = revision + 1 WHERE id = %(id)s;

-- name: position
-- The version of the last change to the catalog, which dates it.
SELECT epoch, coalesce((SELECT max(version) FROM change_log WHERE kind = 'catalog'), 0) AS version FROM installation;
