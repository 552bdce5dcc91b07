-- name: channel
SELECT id, name, kind, host, sealed, data_key, fingerprint, recipients, scope, subject, alerts, revision, created_at,
       updated_at, archived_at, managed_by, applied_digest
FROM alert_channels
WHERE archived_at IS NULL AND (id = %(id)s OR name = %(name)s);

-- name: channel_for_update
SELECT id, name, kind, host, sealed, data_key, fingerprint, recipients, scope, subject, alerts, revision, created_at,
       updated_at, archived_at, managed_by, applied_digest
FROM alert_channels
WHERE archived_at IS NULL AND (id = %(id)s OR name = %(name)s)
FOR UPDATE;

-- name: channel_by_id
SELECT id, name, kind, host, sealed, data_key, fingerprint, recipients, scope, subject, alerts, revision, created_at,
       updated_at, archived_at, managed_by, applied_digest
FROM alert_channels WHERE id = %(id)s;

-- name: channels
SELECT id, name, kind, host, sealed, data_key, fingerprint, recipients, scope, subject, alerts, revision, created_at,
       updated_at, archived_at, managed_by, applied_digest
FROM alert_channels
WHERE archived_at IS NULL AND name > %(after)s
  AND (%(units)s::text[] IS NULL OR (scope = 'business_unit' AND subject = ANY (%(units)s::text[]))
       OR (scope = 'project' AND subject = ANY (%(projects)s::text[])))
ORDER BY name
LIMIT %(limit)s;

-- name: channel_count
SELECT count(*) AS rows FROM alert_channels WHERE archived_at IS NULL;

-- name: insert_channel
INSERT INTO alert_channels
    (id, name, kind, host, sealed, data_key, fingerprint, recipients, scope, subject, alerts, created_at, updated_at)
VALUES (%(id)s, %(name)s, %(kind)s, %(host)s, %(sealed)s, %(data_key)s, %(fingerprint)s, %(recipients)s, %(scope)s,
        %(subject)s, %(alerts)s, %(at)s, %(at)s)
ON CONFLICT (name) WHERE archived_at IS NULL DO NOTHING;

-- name: update_channel
UPDATE alert_channels SET host = %(host)s, sealed = %(sealed)s, data_key = %(data_key)s, fingerprint = %(fingerprint)s,
       recipients = %(recipients)s, scope = %(scope)s, subject = %(subject)s, alerts = %(alerts)s,
       revision = revision + 1, updated_at = %(at)s
WHERE id = %(id)s;

-- name: archive_channel
-- What was sealed is forgotten.
UPDATE alert_channels SET archived_at = %(at)s, updated_at = %(at)s, revision = revision + 1, sealed = NULL,
       data_key = NULL, fingerprint = NULL
WHERE id = %(id)s;

-- name: abandon_deliveries
UPDATE alert_deliveries SET state = 'failed', next_at = NULL, claimed_until = NULL, ended_at = clock_timestamp()
WHERE channel_id = %(channel)s AND state = 'pending';

-- name: concern_of_project
SELECT o.name AS organisation, u.name AS business_unit, p.name AS project
FROM projects p JOIN business_units u ON u.id = p.business_unit_id JOIN organisations o ON o.id = u.organisation_id
WHERE p.id = %(id)s::uuid OR p.name = %(subject)s
ORDER BY p.archived_at IS NOT NULL, p.id DESC
LIMIT 1;

-- name: concern_of_business_unit
SELECT o.name AS organisation, u.name AS business_unit, '' AS project
FROM business_units u JOIN organisations o ON o.id = u.organisation_id
WHERE u.id = %(id)s::uuid OR u.name = %(subject)s
ORDER BY u.archived_at IS NOT NULL, u.id DESC
LIMIT 1;

-- name: concern_of_organisation
SELECT name AS organisation, '' AS business_unit, '' AS project
FROM organisations WHERE id = %(id)s::uuid OR name = %(subject)s
LIMIT 1;

-- name: concern_of_key
-- By id, public id or "<project>/<name>".
SELECT o.name AS organisation, u.name AS business_unit, p.name AS project
FROM keys k JOIN projects p ON p.id = k.project_id JOIN business_units u ON u.id = p.business_unit_id
     JOIN organisations o ON o.id = u.organisation_id
WHERE k.id IN (
    SELECT %(id)s::uuid
    UNION ALL SELECT id FROM keys WHERE public_id = %(subject)s
    UNION ALL SELECT n.id FROM keys n JOIN projects np ON np.id = n.project_id
    WHERE np.name = split_part(%(subject)s, '/', 1) AND n.name = split_part(%(subject)s, '/', 2) AND n.revoked_at IS NULL
)
ORDER BY k.revoked_at IS NOT NULL, k.id DESC
LIMIT 1;

-- name: subjects
-- How budgets may have a subject that is named so: by id, or as it is.
SELECT %(subject)s AS text
UNION SELECT id::text FROM projects WHERE %(scope)s = 'project' AND name = %(subject)s AND archived_at IS NULL
UNION SELECT id::text FROM business_units
WHERE %(scope)s = 'business_unit' AND name = %(subject)s AND archived_at IS NULL
UNION SELECT id::text FROM keys WHERE %(scope)s = 'key' AND public_id = %(subject)s
UNION SELECT k.id::text FROM keys k JOIN projects p ON p.id = k.project_id
WHERE %(scope)s = 'key' AND p.name = split_part(%(subject)s, '/', 1) AND k.name = split_part(%(subject)s, '/', 2)
  AND k.revoked_at IS NULL AND p.archived_at IS NULL;

-- name: fire
-- A crossing fires once, whoever sees it: seen again, it is counted.
INSERT INTO alerts
    (id, crossing, kind, severity, scope, subject, organisation, business_unit, project, summary, details, occurrences,
     fired_at, last_at, forget_at)
VALUES (%(id)s, %(crossing)s, %(kind)s, %(severity)s, %(scope)s, %(subject)s, %(organisation)s, %(business_unit)s,
        %(project)s, %(summary)s, %(details)s, %(occurrences)s, %(at)s, %(at)s, %(forget)s)
ON CONFLICT (crossing) DO NOTHING;

-- name: again
UPDATE alerts SET occurrences = occurrences + %(occurrences)s, last_at = greatest(last_at, %(at)s)
WHERE crossing = %(crossing)s;

-- name: known_crossings
SELECT crossing AS text FROM alerts WHERE crossing = ANY (%(crossings)s);

-- name: fired_since
SELECT count(*) AS rows FROM (
    -- Requests of people are no trouble of the installation: they never use up the room of what is.
    SELECT FROM alerts WHERE id >= %(first_id)s AND kind NOT IN ('approval_waiting', 'approval_ended')
    LIMIT %(limit)s
) AS recent;

-- name: address
-- A delivery for each channel that the alert is for.
INSERT INTO alert_deliveries (id, alert_id, channel_id, created_at, next_at)
SELECT gen_random_uuid(), a.id, c.id, clock_timestamp(), clock_timestamp()
FROM alerts a JOIN alert_channels c ON c.archived_at IS NULL
 AND (c.alerts = '{}' OR a.kind = ANY (c.alerts))
 AND CASE c.scope
         WHEN 'all' THEN true
         WHEN 'organisation' THEN a.organisation = c.subject
         WHEN 'business_unit' THEN a.business_unit = c.subject
         ELSE a.project = c.subject
     END
WHERE a.id = %(alert)s
ON CONFLICT (alert_id, channel_id) DO NOTHING;

-- name: address_people
-- One delivery for all of them, at their own addresses.
INSERT INTO alert_deliveries (id, alert_id, recipients, created_at, next_at)
VALUES (gen_random_uuid(), %(alert)s, %(recipients)s, clock_timestamp(), clock_timestamp());

-- name: drop_delivery
DELETE FROM alert_deliveries WHERE id = %(id)s;

-- name: alert
SELECT id, kind, severity, scope, subject, organisation, business_unit, project, summary, details, occurrences,
       fired_at, last_at, acknowledged_at, acknowledged_by, note
FROM alerts WHERE id = %(id)s;

-- name: alerts
SELECT id, kind, severity, scope, subject, organisation, business_unit, project, summary, details, occurrences,
       fired_at, last_at, acknowledged_at, acknowledged_by, note
FROM alerts
WHERE (%(before)s::uuid IS NULL OR id < %(before)s::uuid)
  AND (%(kind)s = '' OR kind = %(kind)s)
  AND (%(project)s = '' OR project = %(project)s)
  AND (%(business_unit)s = '' OR business_unit = %(business_unit)s)
  AND (NOT %(open)s OR acknowledged_at IS NULL)
  AND (%(units)s::text[] IS NULL OR business_unit = ANY (%(units)s::text[]) OR project = ANY (%(projects)s::text[]))
ORDER BY id DESC
LIMIT %(limit)s;

-- name: acknowledge
UPDATE alerts SET acknowledged_at = %(at)s, acknowledged_by = %(by)s, note = %(note)s WHERE id = %(id)s;

-- name: deliveries
SELECT d.id, d.alert_id, coalesce(c.name, '') AS channel, a.kind, a.summary, d.state, d.created_at, d.next_at,
       d.ended_at, d.attempts
FROM alert_deliveries d JOIN alerts a ON a.id = d.alert_id LEFT JOIN alert_channels c ON c.id = d.channel_id
WHERE (%(before_at)s::timestamptz IS NULL OR (d.created_at, d.id) < (%(before_at)s::timestamptz, %(before_id)s::uuid))
  AND (%(alert)s::uuid IS NULL OR d.alert_id = %(alert)s::uuid)
  AND (%(channel)s::uuid IS NULL OR d.channel_id = %(channel)s::uuid)
  AND (%(state)s = '' OR d.state = %(state)s)
  AND (%(units)s::text[] IS NULL OR a.business_unit = ANY (%(units)s::text[]) OR a.project = ANY (%(projects)s::text[]))
  AND (%(units)s::text[] IS NULL OR (c.scope = 'business_unit' AND c.subject = ANY (%(units)s::text[]))
       OR (c.scope = 'project' AND c.subject = ANY (%(projects)s::text[])))
ORDER BY d.created_at DESC, d.id DESC
LIMIT %(limit)s;

-- name: claim
-- Each due delivery goes to one process, until it says what became of it or its time is over.
UPDATE alert_deliveries d SET claimed_until = clock_timestamp() + %(seconds)s * interval '1 second'
FROM (
    SELECT id FROM alert_deliveries
    WHERE state = 'pending' AND next_at <= clock_timestamp()
      AND (claimed_until IS NULL OR claimed_until < clock_timestamp())
    ORDER BY next_at
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
) AS due
WHERE d.id = due.id
RETURNING d.id, d.alert_id, d.channel_id, d.recipients, d.claimed_until, jsonb_array_length(d.attempts) AS tried,
          extract(epoch FROM clock_timestamp() - d.created_at)::float8 AS age;

-- name: finish
-- What became of a try; nothing when another process has taken the delivery over meanwhile.
UPDATE alert_deliveries SET state = %(state)s, attempts = attempts || %(attempt)s::jsonb, claimed_until = NULL,
       next_at = CASE WHEN %(state)s = 'pending' THEN clock_timestamp() + %(pause)s * interval '1 second' END,
       ended_at = CASE WHEN %(state)s <> 'pending' THEN clock_timestamp() END
WHERE id = %(id)s AND state = 'pending' AND claimed_until = %(claimed_until)s;

-- name: pending
SELECT count(*) AS rows FROM alert_deliveries WHERE state = 'pending';

-- name: elect
-- One evaluator at a time; ends with the transaction.
SELECT pg_try_advisory_xact_lock(%(lock)s) AS locked;

-- name: forget
DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE forget_at < %(now)s ORDER BY forget_at LIMIT 1000);

-- name: quarantined_since
SELECT count(*) AS rows FROM (
    SELECT FROM ledger_quarantine WHERE received_at >= %(since)s LIMIT 10000
) AS new_ones;

-- name: unpartitioned
SELECT count(*) AS rows FROM (
    (SELECT FROM ledger_requests_default LIMIT 5000) UNION ALL (SELECT FROM ledger_attempts_default LIMIT 5000)
) AS stray;

-- name: bodies_lost
SELECT sum(dropped)::bigint AS dropped, sum(refused)::bigint AS refused
FROM request_log_losses WHERE hour >= %(since)s;

-- name: budgets
-- Budgets in use after an id, or of one subject; whom they concern, and how the ledger names the subject
-- (a key goes on from those that it replaced).
SELECT b.id AS place, b.rule_id AS id, b.scope, b.limit_nano, b.period, b.timezone, b.fiscal_start, b.mode,
       b.carry_over, b.alerts, (extract(epoch FROM b.created_at) * 1000)::bigint AS since_ms,
       coalesce((
           SELECT jsonb_agg(jsonb_build_object(
               'amount_nano', i.amount_nano,
               'from_ms', (extract(epoch FROM i.starts_at) * 1000)::bigint,
               'until_ms', (extract(epoch FROM least(i.ends_at, i.revoked_at)) * 1000)::bigint))
           FROM budget_increases i WHERE i.budget_id = b.id AND i.ends_at > now() - interval '2 years'
       ), '[]'::jsonb) AS increases,
       CASE b.scope WHEN 'key' THEN kp.name || '/' || k.name WHEN 'project' THEN p.name WHEN 'business_unit' THEN u.name
            ELSE b.subject END AS subject,
       CASE b.scope
           WHEN 'business_unit' THEN array_remove(ARRAY[u.name], NULL)
           WHEN 'key' THEN ARRAY[b.subject] || ARRAY(SELECT f.id::text FROM keys f WHERE f.rules_of = k.id)
           ELSE ARRAY[b.subject]
       END AS booked_as,
       coalesce(o.name, CASE b.scope WHEN 'organisation' THEN b.subject ELSE '' END) AS organisation,
       coalesce(u.name, '') AS business_unit, coalesce(p.name, kp.name, '') AS project
FROM budgets b
LEFT JOIN keys k ON k.id = CASE WHEN b.scope = 'key' THEN b.subject::uuid END
LEFT JOIN projects kp ON kp.id = k.project_id
LEFT JOIN projects p ON p.id = CASE WHEN b.scope = 'project' THEN b.subject::uuid END
LEFT JOIN business_units u ON u.id = coalesce(
    p.business_unit_id, kp.business_unit_id, CASE WHEN b.scope = 'business_unit' THEN b.subject::uuid END)
LEFT JOIN organisations o ON o.id = u.organisation_id
WHERE b.removed_at IS NULL AND p.archived_at IS NULL AND k.revoked_at IS NULL
  AND (%(after)s::uuid IS NULL OR b.id > %(after)s::uuid)
  AND (%(scope)s = '' OR (b.scope = %(scope)s AND b.subject = ANY (%(subjects)s::text[])))
ORDER BY b.id
LIMIT %(limit)s;

-- name: hours_over
-- Projects that spent more than an amount in one of these hours.
SELECT project, begins, sum(cost_nano)::bigint AS nano
FROM ledger_by_hour WHERE begins = ANY (%(hours)s)
GROUP BY project, begins
HAVING sum(cost_nano) > %(floor)s
ORDER BY nano DESC
LIMIT %(limit)s;

-- name: hours_of
SELECT project, begins, sum(cost_nano)::bigint AS nano
FROM ledger_by_hour WHERE begins = ANY (%(hours)s) AND project = ANY (%(projects)s) AND cost_nano IS NOT NULL
GROUP BY project, begins;

-- name: checks_with_differences
SELECT id, begins, ends, found FROM ledger_checks
WHERE checked_at >= %(since)s AND found > 0
ORDER BY checked_at DESC
LIMIT 100;

-- name: broken_audit
SELECT organisation, found, problems -> 0 ->> 'kind' AS kind, (problems -> 0 ->> 'seq')::bigint AS seq,
       problems -> 0 ->> 'detail' AS detail
FROM audit_checks WHERE found > 0 AND checked_at >= %(since)s ORDER BY checked_at LIMIT 100;
