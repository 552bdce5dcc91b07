-- Versions, migrations and the description of the schema.

-- name: version_lock
SELECT pg_advisory_xact_lock(%(lock)s);

-- name: next_version
UPDATE installation SET version = version + 1 RETURNING version;

-- name: log_catalog_change
INSERT INTO change_log (version, kind) VALUES (%(version)s, 'catalog');

-- name: set_key_versions
UPDATE keys SET version = %(version)s WHERE id = ANY (%(keys)s::uuid[]);

-- name: set_identity_versions
UPDATE identity_entries SET version = %(version)s WHERE id = ANY (%(keys)s::uuid[]);

-- name: log_key_changes
INSERT INTO change_log (version, kind, key_id) SELECT %(version)s, 'key', unnest(%(keys)s::uuid[]);

-- name: notify_config
SELECT pg_notify('tollway_config', '');

-- name: installation
SELECT epoch, version, origin FROM installation;

-- name: set_installation
INSERT INTO installation (epoch, origin) VALUES (%(epoch)s, %(origin)s)
ON CONFLICT (only_row) DO UPDATE SET epoch = excluded.epoch, origin = excluded.origin
WHERE (installation.epoch, installation.origin) IS DISTINCT FROM (excluded.epoch, excluded.origin);

-- name: may_read_control_data
SELECT has_function_privilege('pg_control_system()', 'EXECUTE')
   AND has_function_privilege('pg_control_checkpoint()', 'EXECUTE') AS allowed;

-- name: origin
SELECT concat_ws('/', s.system_identifier, c.timeline_id, d.oid) AS origin
FROM pg_control_system() s, pg_control_checkpoint() c, pg_database d WHERE d.datname = current_database();

-- name: origin_of_database
SELECT oid::text AS origin FROM pg_database WHERE datname = current_database();

-- name: migration_lock
SELECT pg_advisory_lock(%(lock)s);

-- name: limit_lock_waits
SELECT set_config('lock_timeout', %(limit)s, false);

-- name: create_schema_migrations
CREATE TABLE IF NOT EXISTS schema_migrations (
    number     integer     NOT NULL,
    phase      text        NOT NULL CHECK (phase IN ('pre', 'post')),
    title      text        NOT NULL,
    sha256     text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (number, phase)
);

-- name: migrations_known
SELECT to_regclass('schema_migrations') IS NOT NULL AS known;

-- name: applied_migrations
SELECT number, phase, title, sha256 FROM schema_migrations ORDER BY number, phase DESC;

-- name: record_migration
INSERT INTO schema_migrations (number, phase, title, sha256)
VALUES (%(number)s, %(phase)s, %(title)s, %(sha256)s);

-- name: describe_relations
-- Tables with their columns, one line a column; partitions with their bounds.
SELECT c.relname AS name,
       c.relkind = 'p' AS partitioned,
       pg_get_partkeydef(c.oid) AS partition_key,
       p.relname AS partition_of,
       pg_get_expr(c.relpartbound, c.oid) AS bound,
       (SELECT coalesce(array_agg(concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
                    CASE WHEN a.attnotnull THEN 'NOT NULL' END,
                    'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)) ORDER BY a.attnum), '{}')
          FROM pg_attribute a
          LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
FROM pg_class c
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
LEFT JOIN pg_class p ON p.oid = i.inhparent
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
ORDER BY p.relname IS NOT NULL, c.relname;

-- name: describe_constraints
-- Checks, keys and references; those of partitions come from their parents.
SELECT c.relname AS relation, n.conname AS name, pg_get_constraintdef(n.oid) AS definition
FROM pg_constraint n
JOIN pg_class c ON c.oid = n.conrelid
WHERE c.relnamespace = current_schema()::regnamespace AND n.contype IN ('c', 'p', 'u', 'f', 'x')
  AND n.conparentid = 0 AND NOT (c.relispartition AND n.coninhcount > 0)
ORDER BY n.contype = 'f', c.relname, n.conname;

-- name: describe_indexes
-- Indexes that are not part of a constraint and not made for a partition by its parent.
SELECT replace(replace(pg_get_indexdef(x.indexrelid), current_schema() || '.', ''), ' ON ONLY ', ' ON ') AS definition
FROM pg_index x
JOIN pg_class c ON c.oid = x.indexrelid
WHERE c.relnamespace = current_schema()::regnamespace AND NOT c.relispartition
  AND NOT EXISTS (SELECT FROM pg_constraint n WHERE n.conindid = x.indexrelid AND n.contype IN ('p', 'u', 'x'))
ORDER BY c.relname;

-- name: describe_routines
-- Functions, triggers, views, sequences and types of ours, so that none can come to be unnoticed.
SELECT format('%%s %%s', 'function', proname) AS definition FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
UNION ALL
SELECT format('%%s %%s', 'trigger', tgname) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
 WHERE NOT tgisinternal AND c.relnamespace = current_schema()::regnamespace
UNION ALL
SELECT format('%%s %%s', relkind, relname) FROM pg_class
 WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('v', 'm', 'S', 'f', 'c')
ORDER BY 1;
