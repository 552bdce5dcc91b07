-- What config push reads. All but `position` run inside one snapshot (REPEATABLE READ).

-- name: position
SELECT epoch, version, pruned_version FROM installation;

-- name: one_snapshot
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;

-- name: changes_since
SELECT version, kind, key_id, lookup
FROM change_log
WHERE version > %(since)s AND version <= %(until)s
ORDER BY version
LIMIT %(limit)s;

-- name: keys_since
-- Each key and identity once, at its present version, whatever the change log still holds.
(SELECT id, version FROM keys WHERE (version, id) > (%(version)s, %(key)s) ORDER BY version, id LIMIT %(limit)s)
UNION ALL
(SELECT id, version FROM identity_entries WHERE (version, id) > (%(version)s, %(key)s)
 ORDER BY version, id LIMIT %(limit)s)
ORDER BY version, id
LIMIT %(limit)s;

-- name: removed_since
SELECT gone.lookup, max(gone.version) AS version
FROM change_log gone
WHERE gone.kind = 'key' AND gone.lookup IS NOT NULL AND gone.version > %(since)s
  AND NOT EXISTS (SELECT FROM keys WHERE keys.lookup = gone.lookup)
GROUP BY gone.lookup
ORDER BY max(gone.version);

-- name: try_prune_lock
SELECT pg_try_advisory_xact_lock(%(lock)s) AS locked;

-- name: prune
-- A prefix of the versions, never parts of one: the first version that is young enough, or that is among the newest
-- rows to keep, stays with everything after it. The newest catalog change stays, since it dates the catalog.
WITH cut AS (
    SELECT least(
        (SELECT min(version) FROM change_log WHERE changed_at >= now() - make_interval(hours => %(hours)s)),
        (SELECT version FROM change_log ORDER BY version DESC OFFSET %(rows)s - 1 LIMIT 1),
        (SELECT max(version) + 1 FROM change_log)
    ) AS version
    WHERE (SELECT count(*) FROM (SELECT FROM change_log LIMIT %(rows)s + 1) AS newest) > %(rows)s
), removed AS (
    DELETE FROM change_log USING cut
    WHERE change_log.version < cut.version
      AND NOT (kind = 'catalog' AND change_log.version = (SELECT max(version) FROM change_log WHERE kind = 'catalog'))
    RETURNING change_log.version
), marked AS (
    UPDATE installation SET pruned_version = greatest(pruned_version, cut.version - 1) FROM cut
    WHERE EXISTS (SELECT FROM removed)
)
SELECT count(*) AS rows FROM removed;
