-- name: lock_version
SELECT pg_advisory_xact_lock(%(lock)s)

-- name: next_version
UPDATE installation SET version = version + 1 RETURNING version

-- name: log_catalog_change
INSERT INTO change_log (version, kind) VALUES (%(version)s, 'catalog')

-- name: log_key_changes
INSERT INTO change_log (version, kind, key_id)
SELECT %(version)s, 'key', id FROM keys WHERE id = ANY(%(ids)s)

-- name: stamp_keys
UPDATE keys SET version = %(version)s WHERE id = ANY(%(ids)s)

-- name: notify
SELECT pg_notify('tollway_config', %(version)s::text)

-- name: installation
SELECT epoch, version FROM installation

-- name: create_installation
INSERT INTO installation (epoch) VALUES (%(epoch)s) ON CONFLICT DO NOTHING

-- name: create_organisation
INSERT INTO organisations (id, name) VALUES (%(id)s, %(name)s) ON CONFLICT DO NOTHING

-- name: create_default_unit
INSERT INTO business_units (id, organisation_id, name, description)
SELECT %(id)s, organisations.id, 'default', 'For projects that name no other unit'
FROM organisations
WHERE organisations.name = %(organisation)s
  AND NOT EXISTS (SELECT FROM business_units WHERE name = 'default' AND archived_at IS NULL)

-- name: schema_columns
SELECT table_name || '.' || column_name || ' ' || data_type || ' ' ||
       CASE is_nullable WHEN 'NO' THEN 'NOT NULL' ELSE 'NULL' END || coalesce(' DEFAULT ' || column_default, '') AS line
FROM information_schema.columns
WHERE table_schema = 'public'
ORDER BY 1

-- name: schema_constraints
SELECT conrelid::regclass::text || ' ' || contype || ' ' || pg_get_constraintdef(oid) AS line
FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
ORDER BY 1

-- name: schema_indexes
SELECT indexdef AS line FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1
