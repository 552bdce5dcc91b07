-- name: try_lock
-- One process works at a time; ends with the transaction, and so with a process that dies.
SELECT pg_try_advisory_xact_lock(%(lock)s) AS locked;

-- name: lock
SELECT pg_advisory_xact_lock(%(lock)s);

-- name: announce
INSERT INTO key_holders (id, host, keks, seen_at) VALUES (%(id)s, %(host)s, %(keks)s, clock_timestamp())
ON CONFLICT (id) DO UPDATE SET keks = excluded.keks, seen_at = excluded.seen_at;

-- name: leave
DELETE FROM key_holders
WHERE id = %(id)s OR seen_at < clock_timestamp() - make_interval(secs => %(forget_seconds)s);

-- name: holders
-- The database's own clock on both sides: those of the processes may differ.
SELECT id, host, keks FROM key_holders WHERE seen_at > clock_timestamp() - make_interval(secs => %(seconds)s)
ORDER BY host, id;

-- name: running
SELECT id, kind, target, state, total, changed, problem, requested_by, requested_at, finished_at
FROM secret_rotations WHERE state = 'running' ORDER BY id;

-- name: rotations
SELECT id, kind, target, state, total, changed, problem, requested_by, requested_at, finished_at
FROM secret_rotations ORDER BY id DESC LIMIT %(limit)s;

-- name: begin
INSERT INTO secret_rotations (id, kind, target, state, total, requested_by, requested_at)
VALUES (%(id)s, %(kind)s, %(target)s, 'running', %(total)s, %(by)s, %(at)s);

-- name: supersede
UPDATE secret_rotations SET state = 'superseded', finished_at = %(at)s WHERE id = %(id)s AND state = 'running';

-- name: advance
UPDATE secret_rotations SET changed = changed + %(changed)s, problem = %(problem)s
WHERE id = %(id)s AND state = 'running' AND (%(changed)s <> 0 OR problem <> %(problem)s);

-- name: finish
UPDATE secret_rotations SET state = 'done', problem = '', finished_at = %(at)s
WHERE id = %(id)s AND state = 'running';

-- name: data_keys
SELECT id, wrapped, kek, retired_at, created_at FROM data_keys ORDER BY created_at, id;

-- name: rewrap
-- Only over what was read: two at once cannot undo each other.
UPDATE data_keys SET wrapped = %(wrapped)s, kek = %(kek)s WHERE id = %(id)s AND kek = %(before)s;

-- name: hold_data_keys
-- Waits for every transaction that seals under one of them, so that what it wrote is seen by the count that follows.
SELECT id FROM data_keys WHERE id <> %(current)s AND retired_at IS NULL ORDER BY id FOR UPDATE;

-- name: retire
UPDATE data_keys SET retired_at = clock_timestamp() WHERE id = ANY (%(ids)s) AND retired_at IS NULL;

-- name: revive
UPDATE data_keys SET retired_at = NULL WHERE id = ANY (%(ids)s);

-- name: over
SELECT id FROM data_keys WHERE retired_at < clock_timestamp() - make_interval(secs => %(seconds)s) ORDER BY id;

-- name: delete_data_keys
DELETE FROM data_keys WHERE id = ANY (%(ids)s);

-- Every table with sealed values has three statements below: _batch, _reseal and _uses. A batch leaves out rows that
-- others have locked: they come with a later one, and nobody waits for the rotation or is waited for.

-- name: credentials_batch
SELECT id::text AS id, data_key, sealed FROM credentials
WHERE data_key <> %(current)s AND id > coalesce(%(after)s::uuid, '00000000-0000-0000-0000-000000000000')
ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: credentials_reseal
UPDATE credentials SET data_key = %(data_key)s, sealed = %(sealed)s WHERE id = %(id)s::uuid;

-- name: credentials_uses
SELECT data_key, count(*) AS uses FROM credentials GROUP BY data_key;

-- name: peppers_batch
SELECT id, data_key, sealed, purpose FROM peppers
WHERE data_key <> %(current)s AND id > coalesce(%(after)s::text, '')
ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: peppers_reseal
UPDATE peppers SET data_key = %(data_key)s, sealed = %(sealed)s WHERE id = %(id)s;

-- name: peppers_uses
SELECT data_key, count(*) AS uses FROM peppers GROUP BY data_key;

-- name: alert_channels_batch
SELECT id::text AS id, data_key, sealed FROM alert_channels
WHERE data_key <> %(current)s AND id > coalesce(%(after)s::uuid, '00000000-0000-0000-0000-000000000000')
ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: alert_channels_reseal
UPDATE alert_channels SET data_key = %(data_key)s, sealed = %(sealed)s WHERE id = %(id)s::uuid;

-- name: alert_channels_uses
SELECT data_key, count(*) AS uses FROM alert_channels WHERE data_key IS NOT NULL GROUP BY data_key;

-- name: signin_issuers_batch
SELECT id::text AS id, data_key, sealed FROM signin_issuers
WHERE data_key <> %(current)s AND id > coalesce(%(after)s::uuid, '00000000-0000-0000-0000-000000000000')
ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: signin_issuers_reseal
UPDATE signin_issuers SET data_key = %(data_key)s, sealed = %(sealed)s WHERE id = %(id)s::uuid;

-- name: signin_issuers_uses
SELECT data_key, count(*) AS uses FROM signin_issuers WHERE data_key IS NOT NULL GROUP BY data_key;

-- name: signin_sessions_batch
SELECT id::text AS id, data_key, sealed FROM signin_sessions
WHERE data_key <> %(current)s AND id > coalesce(%(after)s::uuid, '00000000-0000-0000-0000-000000000000')
ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: signin_sessions_reseal
UPDATE signin_sessions SET data_key = %(data_key)s, sealed = %(sealed)s WHERE id = %(id)s::uuid;

-- name: signin_sessions_uses
SELECT data_key, count(*) AS uses FROM signin_sessions WHERE data_key IS NOT NULL GROUP BY data_key;

-- name: idempotency_records_batch
SELECT id::text AS id, data_key, sealed FROM idempotency_records
WHERE data_key <> %(current)s AND id > coalesce(%(after)s::uuid, '00000000-0000-0000-0000-000000000000')
ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: idempotency_records_reseal
UPDATE idempotency_records SET data_key = %(data_key)s, sealed = %(sealed)s WHERE id = %(id)s::uuid;

-- name: idempotency_records_uses
SELECT data_key, count(*) AS uses FROM idempotency_records WHERE data_key IS NOT NULL GROUP BY data_key;
