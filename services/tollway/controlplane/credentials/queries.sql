-- name: lock
-- One creator of data keys and peppers at a time; ends with the transaction.
SELECT pg_advisory_xact_lock(%(lock)s);

-- name: newest_data_key
-- What is sealed goes under this one; the lock keeps it from being retired before the sealing transaction has ended.
SELECT id, wrapped, kek, retired_at FROM data_keys WHERE retired_at IS NULL
ORDER BY created_at DESC, id DESC LIMIT 1 FOR KEY SHARE;

-- name: data_key
SELECT id, wrapped, kek, retired_at FROM data_keys WHERE id = %(id)s;

-- name: data_keys
SELECT id, wrapped, kek, retired_at FROM data_keys ORDER BY id;

-- name: insert_data_key
INSERT INTO data_keys (id, wrapped, kek, created_at) VALUES (%(id)s, %(wrapped)s, %(kek)s, clock_timestamp());

-- name: peppers
SELECT id, purpose, sealed, data_key FROM peppers ORDER BY created_at, id;

-- name: insert_pepper
INSERT INTO peppers (id, purpose, sealed, data_key, created_at)
VALUES (%(id)s, %(purpose)s, %(sealed)s, %(data_key)s, clock_timestamp());

-- name: credentials
SELECT id, provider_id, name, weight, quota, sealed, data_key, fingerprint, created_at, rotated_at, removed_at,
       managed_by, applied_digest, checked_at, check_outcome, check_status
FROM credentials
WHERE removed_at IS NULL AND (%(providers)s::uuid[] IS NULL OR provider_id = ANY (%(providers)s::uuid[]))
ORDER BY provider_id, name;

-- name: credential_for_update
SELECT id, provider_id, name, weight, quota, sealed, data_key, fingerprint, created_at, rotated_at, removed_at,
       managed_by, applied_digest, checked_at, check_outcome, check_status
FROM credentials
WHERE removed_at IS NULL AND provider_id = %(provider)s AND (id = %(id)s OR name = %(name)s)
FOR UPDATE;

-- name: insert_credential
INSERT INTO credentials (id, provider_id, name, weight, quota, sealed, data_key, fingerprint)
VALUES (%(id)s, %(provider)s, %(name)s, %(weight)s, %(quota)s, %(sealed)s, %(data_key)s, %(fingerprint)s)
ON CONFLICT (provider_id, name) WHERE removed_at IS NULL DO NOTHING;

-- name: replace_value
UPDATE credentials SET sealed = %(sealed)s, data_key = %(data_key)s, fingerprint = %(fingerprint)s, rotated_at = %(at)s,
       checked_at = NULL, check_outcome = NULL, check_status = NULL
WHERE id = %(id)s;

-- name: record_check
-- Of the value that was checked: it may have been replaced meanwhile.
UPDATE credentials SET checked_at = %(at)s, check_outcome = %(outcome)s, check_status = %(status)s
WHERE id = %(id)s AND fingerprint = %(fingerprint)s;

-- name: update_credential
UPDATE credentials SET weight = %(weight)s, quota = %(quota)s WHERE id = %(id)s;

-- name: remove_credential
-- The ciphertext goes with it: what was removed cannot leak later.
UPDATE credentials SET removed_at = %(at)s, sealed = '', fingerprint = '' WHERE id = %(id)s;
