-- name: status
SELECT epoch, version, (SELECT count(*) FROM ledger_quarantine) AS quarantined_rows FROM installation;

-- name: claim
-- Of calls with one key, the first to come here goes on. The others wait in this statement until its transaction ends:
-- then they find its record, or none, when it was undone, and the next goes on. A record that has expired is taken over.
INSERT INTO idempotency_records (id, principal, method, request, created_at, answer_until, expires_at)
VALUES (%(id)s, %(principal)s, %(method)s, %(request)s, %(now)s, %(expires_at)s, %(expires_at)s)
ON CONFLICT (id) DO UPDATE SET
    request = excluded.request, sealed = NULL, data_key = NULL,
    created_at = excluded.created_at, answer_until = excluded.answer_until, expires_at = excluded.expires_at
WHERE idempotency_records.expires_at <= excluded.created_at
RETURNING id;

-- name: record
SELECT request, sealed, data_key, created_at, answer_until, expires_at FROM idempotency_records WHERE id = %(id)s;

-- name: keep_answer
UPDATE idempotency_records SET sealed = %(sealed)s, data_key = %(data_key)s, answer_until = %(answer_until)s
WHERE id = %(id)s;

-- name: forget_answers
-- Rows that others hold are left for the next time.
UPDATE idempotency_records SET sealed = NULL, data_key = NULL
WHERE id IN (
    SELECT id FROM idempotency_records WHERE answer_until <= %(now)s AND sealed IS NOT NULL
    ORDER BY answer_until LIMIT %(limit)s FOR UPDATE SKIP LOCKED
);

-- name: prune
DELETE FROM idempotency_records
WHERE id IN (
    SELECT id FROM idempotency_records WHERE expires_at <= %(now)s
    ORDER BY expires_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
);
