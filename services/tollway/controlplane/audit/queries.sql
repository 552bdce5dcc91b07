-- The audit log. Nothing here changes or removes an entry.

-- name: lock_head
-- Who adds entries is alone until the commit. The contents come back as the database will write them; the time is read
-- when the lock is held, so that it never goes back along the chain.
WITH head AS MATERIALIZED (
    SELECT organisation, seq, hash, at FROM audit_heads WHERE organisation = %(organisation)s FOR UPDATE
)
SELECT seq, hash, greatest(at, clock_timestamp()) AS at,
       ARRAY(SELECT coalesce(nullif(t, '')::jsonb::text, '')
             FROM unnest(%(texts)s::text[]) WITH ORDINALITY AS given (t, n) ORDER BY n) AS texts
FROM head;

-- name: insert_events
INSERT INTO audit_events (
    organisation, at, actor, actor_kind, actor_id, method, action, reason, source, agent, transport, request_id,
    id, seq, resource, before, after, hash, seal
)
SELECT %(organisation)s, %(at)s, %(actor)s, %(actor_kind)s, %(actor_id)s, %(method)s, %(action)s, %(reason)s, %(source)s,
       %(agent)s, %(transport)s, %(request_id)s,
       e.id, e.seq, e.resource, nullif(e.before, '')::jsonb, nullif(e.after, '')::jsonb, e.hash, e.seal
FROM unnest(
    %(ids)s::uuid[], %(seqs)s::bigint[], %(resources)s::text[], %(befores)s::text[], %(afters)s::text[],
    %(hashes)s::bytea[], %(seals)s::bytea[]
) AS e (id, seq, resource, before, after, hash, seal)
ORDER BY e.seq;

-- name: head
SELECT h.organisation, h.seq, h.hash, h.at, h.unproven_to, h.unproven_until, h.unproven_seal,
       (SELECT e.hash FROM audit_events e WHERE e.organisation = h.organisation AND e.seq = h.unproven_to)
           AS unproven_hash,
       coalesce((SELECT max(e.seq) FROM audit_events e WHERE e.organisation = h.organisation), 0) AS last
FROM audit_heads h WHERE h.organisation = %(organisation)s;

-- name: hold_head
-- Before the head is read for a change of it.
SELECT organisation FROM audit_heads WHERE organisation = %(organisation)s FOR UPDATE;

-- name: unsealed
SELECT coalesce((SELECT max(seq) FROM audit_events WHERE organisation = %(organisation)s AND seal IS NULL), 0) AS last,
       EXISTS (SELECT FROM audit_events WHERE organisation = %(organisation)s AND seal IS NOT NULL) AS others;

-- name: hash_at
SELECT hash FROM audit_events WHERE organisation = %(organisation)s AND seq = %(seq)s;

-- name: accept
UPDATE audit_heads SET unproven_to = %(to)s, unproven_until = %(until)s, unproven_seal = %(seal)s
WHERE organisation = %(organisation)s;

-- name: links
SELECT organisation, seq, id, at, actor, actor_kind, actor_id, method, action, resource, reason, source, agent,
       transport, request_id, coalesce(before::text, '') AS before, coalesce(after::text, '') AS after, hash, seal
FROM audit_events
WHERE organisation = %(organisation)s AND seq > %(after)s AND seq <= %(to)s
ORDER BY seq
LIMIT %(limit)s;

-- name: first_from
SELECT coalesce(min(seq), 0) AS seq FROM audit_events WHERE organisation = %(organisation)s AND at >= %(at)s;

-- name: last_before
SELECT coalesce(max(seq), 0) AS seq FROM audit_events WHERE organisation = %(organisation)s AND at < %(at)s;

-- name: events
SELECT organisation, seq, id, at, actor, actor_kind, actor_id, method, action, resource, reason, source, agent,
       transport, request_id, coalesce(before::text, '') AS before, coalesce(after::text, '') AS after, hash, seal
FROM audit_events
WHERE organisation = %(organisation)s
  AND seq > %(after)s
  AND (%(before)s::bigint IS NULL OR seq < %(before)s)
  AND (%(resource)s = '' OR resource = %(resource)s)
  AND (%(action)s = '' OR action = %(action)s)
  AND (%(actor)s = '' OR actor = %(actor)s)
  AND (%(method)s = '' OR method = %(method)s)
  AND (%(request_id)s = '' OR request_id = %(request_id)s)
  AND (%(begin)s::timestamptz IS NULL OR at >= %(begin)s)
  AND (%(end)s::timestamptz IS NULL OR at < %(end)s)
ORDER BY seq DESC
LIMIT %(limit)s;

-- name: events_oldest_first
SELECT organisation, seq, id, at, actor, actor_kind, actor_id, method, action, resource, reason, source, agent,
       transport, request_id, coalesce(before::text, '') AS before, coalesce(after::text, '') AS after, hash, seal
FROM audit_events
WHERE organisation = %(organisation)s
  AND seq > %(after)s
  AND (%(before)s::bigint IS NULL OR seq < %(before)s)
  AND (%(resource)s = '' OR resource = %(resource)s)
  AND (%(action)s = '' OR action = %(action)s)
  AND (%(actor)s = '' OR actor = %(actor)s)
  AND (%(method)s = '' OR method = %(method)s)
  AND (%(request_id)s = '' OR request_id = %(request_id)s)
  AND (%(begin)s::timestamptz IS NULL OR at >= %(begin)s)
  AND (%(end)s::timestamptz IS NULL OR at < %(end)s)
ORDER BY seq
LIMIT %(limit)s;

-- name: check_lock
SELECT pg_try_advisory_xact_lock(%(lock)s) AS locked;

-- name: last_check
SELECT checked_at, to_seq, hash FROM audit_checks WHERE organisation = %(organisation)s
  AND (whole OR NOT %(whole)s)
ORDER BY checked_at DESC LIMIT 1;

-- name: last_sound
SELECT checked_at, to_seq, hash FROM audit_checks WHERE organisation = %(organisation)s AND found = 0
ORDER BY checked_at DESC LIMIT 1;

-- name: record_check
INSERT INTO audit_checks (organisation, checked_at, whole, from_seq, to_seq, hash, found, problems)
VALUES (%(organisation)s, %(at)s, %(whole)s, %(from)s, %(to)s, %(hash)s, %(found)s, %(problems)s)
ON CONFLICT (organisation, checked_at) DO NOTHING;

-- name: forget_checks
DELETE FROM audit_checks WHERE checked_at < %(before)s;
