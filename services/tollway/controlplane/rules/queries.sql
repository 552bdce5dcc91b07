-- name: budget
SELECT id, rule_id, scope, subject, %(name)s::text AS name, limit_nano, period, timezone, fiscal_start, mode, carry_over,
       alerts, revision, created_at, updated_at, managed_by, applied_digest
FROM budgets WHERE scope = %(scope)s AND subject = %(subject)s AND removed_at IS NULL;

-- name: budget_for_update
SELECT id, rule_id, scope, subject, %(name)s::text AS name, limit_nano, period, timezone, fiscal_start, mode, carry_over,
       alerts, revision, created_at, updated_at, managed_by, applied_digest
FROM budgets WHERE scope = %(scope)s AND subject = %(subject)s AND removed_at IS NULL
FOR UPDATE;

-- name: budget_by_id
SELECT id, rule_id, scope, subject, '' AS name, limit_nano, period, timezone, fiscal_start, mode, carry_over, alerts,
       revision, created_at, updated_at, managed_by, applied_digest
FROM budgets WHERE id = %(id)s
FOR UPDATE;

-- name: budgets
-- Those whose subject is alive, by its reference.
SELECT * FROM (
    SELECT b.id, b.rule_id, b.scope, b.subject, coalesce(u.name, p.name, kp.name || '/' || k.name, b.subject) AS name,
           b.limit_nano, b.period, b.timezone, b.fiscal_start, b.mode, b.carry_over, b.alerts, b.revision, b.created_at,
           b.updated_at, b.managed_by, b.applied_digest
    FROM budgets b
    LEFT JOIN business_units u ON u.id = CASE WHEN b.scope = 'business_unit' THEN b.subject::uuid END
    LEFT JOIN projects p ON p.id = CASE WHEN b.scope = 'project' THEN b.subject::uuid END
    LEFT JOIN keys k ON k.id = CASE WHEN b.scope = 'key' THEN b.subject::uuid END
    LEFT JOIN projects kp ON kp.id = k.project_id
    WHERE b.removed_at IS NULL AND b.scope = ANY (%(scopes)s::text[])
      AND u.archived_at IS NULL AND p.archived_at IS NULL AND k.revoked_at IS NULL AND kp.archived_at IS NULL
      AND (%(everywhere)s OR coalesce(u.id, p.business_unit_id, kp.business_unit_id) = ANY (%(units)s::uuid[])
           OR coalesce(p.id, kp.id) = ANY (%(projects)s::uuid[])
           OR (b.scope = 'user' AND b.subject = %(owner)s)
           OR (k.user_name = %(owner)s
               AND (%(own_everywhere)s OR kp.business_unit_id = ANY (%(own_units)s::uuid[])
                    OR kp.id = ANY (%(own_projects)s::uuid[]))))
) live
WHERE scope || ':' || name > %(after)s
ORDER BY scope || ':' || name
LIMIT %(limit)s;

-- name: budgets_of_keys
SELECT id, rule_id, scope, subject, '' AS name, limit_nano, period, timezone, fiscal_start, mode, carry_over, alerts,
       revision, created_at, updated_at, managed_by, applied_digest
FROM budgets WHERE scope = 'key' AND subject = ANY (%(keys)s::text[]) AND removed_at IS NULL;

-- name: insert_budget
-- Makes no row when the subject has a budget.
INSERT INTO budgets (id, rule_id, scope, subject, limit_nano, period, timezone, fiscal_start, mode, carry_over, alerts,
                     created_at, updated_at)
VALUES (%(id)s, %(rule_id)s, %(scope)s, %(subject)s, %(limit_nano)s, %(period)s, %(timezone)s, %(fiscal_start)s,
        %(mode)s, %(carry_over)s, %(alerts)s, %(at)s, %(at)s)
ON CONFLICT (scope, subject) WHERE removed_at IS NULL DO NOTHING;

-- name: update_budget
UPDATE budgets SET limit_nano = %(limit_nano)s, period = %(period)s, timezone = %(timezone)s,
       fiscal_start = %(fiscal_start)s, mode = %(mode)s, carry_over = %(carry_over)s, alerts = %(alerts)s,
       revision = revision + 1, updated_at = %(at)s
WHERE id = %(id)s;

-- name: touch_budget
UPDATE budgets SET revision = revision + 1, updated_at = %(at)s WHERE id = %(id)s;

-- name: remove_budget
UPDATE budgets SET removed_at = %(at)s, updated_at = %(at)s, revision = revision + 1 WHERE id = %(id)s;

-- name: move_budget
UPDATE budgets SET subject = %(to)s WHERE scope = 'key' AND subject = %(from)s AND removed_at IS NULL;

-- name: increases
-- Those in force or to come at a time, by budget and age.
SELECT id, budget_id, amount_nano, starts_at, ends_at, reason, created_by, created_at
FROM budget_increases
WHERE budget_id = ANY (%(budgets)s::uuid[]) AND revoked_at IS NULL AND ends_at > %(at)s
ORDER BY budget_id, id;

-- name: insert_increase
INSERT INTO budget_increases (id, budget_id, amount_nano, starts_at, ends_at, reason, created_by, created_at)
VALUES (%(id)s, %(budget)s, %(amount)s, %(starts_at)s, %(ends_at)s, %(reason)s, %(by)s, %(at)s);

-- name: revoke_increase
UPDATE budget_increases SET revoked_at = %(at)s WHERE id = %(id)s;

-- name: limit_set
SELECT id, scope, subject, %(name)s::text AS name, revision, updated_at, managed_by, applied_digest
FROM limit_sets WHERE scope = %(scope)s AND subject = %(subject)s;

-- name: limit_set_for_update
SELECT id, scope, subject, %(name)s::text AS name, revision, updated_at, managed_by, applied_digest
FROM limit_sets WHERE scope = %(scope)s AND subject = %(subject)s
FOR UPDATE;

-- name: limit_set_by_id
SELECT id, scope, subject, '' AS name, revision, updated_at, managed_by, applied_digest
FROM limit_sets WHERE id = %(id)s
FOR UPDATE;

-- name: limit_sets
-- Those whose subject is alive and which have limits or belong to a declarative set, by their subject's reference.
SELECT * FROM (
    SELECT s.id, s.scope, s.subject, coalesce(u.name, p.name, kp.name || '/' || k.name, m.name, s.subject) AS name,
           s.revision, s.updated_at, s.managed_by, s.applied_digest
    FROM limit_sets s
    LEFT JOIN business_units u ON u.id = CASE WHEN s.scope = 'business_unit' THEN s.subject::uuid END
    LEFT JOIN projects p ON p.id = CASE WHEN s.scope = 'project' THEN s.subject::uuid END
    LEFT JOIN keys k ON k.id = CASE WHEN s.scope = 'key' THEN s.subject::uuid END
    LEFT JOIN projects kp ON kp.id = k.project_id
    LEFT JOIN models m ON m.id = CASE WHEN s.scope = 'model' THEN s.subject::uuid END
    WHERE s.scope = ANY (%(scopes)s::text[])
      AND (EXISTS (SELECT FROM limits l WHERE l.set_id = s.id) OR (%(managed)s AND s.managed_by IS NOT NULL))
      AND u.archived_at IS NULL AND p.archived_at IS NULL AND k.revoked_at IS NULL AND kp.archived_at IS NULL
      AND m.archived_at IS NULL
      AND (%(everywhere)s OR coalesce(u.id, p.business_unit_id, kp.business_unit_id) = ANY (%(units)s::uuid[])
           OR coalesce(p.id, kp.id) = ANY (%(projects)s::uuid[])
           OR (s.scope = 'user' AND s.subject = %(owner)s)
           OR (k.user_name = %(owner)s
               AND (%(own_everywhere)s OR kp.business_unit_id = ANY (%(own_units)s::uuid[])
                    OR kp.id = ANY (%(own_projects)s::uuid[]))))
) live
WHERE scope || ':' || name > %(after)s
ORDER BY scope || ':' || name
LIMIT %(limit)s;

-- name: limit_sets_of_keys
SELECT id, scope, subject, '' AS name, revision, updated_at, managed_by, applied_digest
FROM limit_sets WHERE scope = 'key' AND subject = ANY (%(keys)s::text[]);

-- name: insert_limit_set
INSERT INTO limit_sets (id, scope, subject, created_at, updated_at)
VALUES (%(id)s, %(scope)s, %(subject)s, %(at)s, %(at)s)
ON CONFLICT (scope, subject) DO NOTHING;

-- name: touch_limit_set
UPDATE limit_sets SET revision = revision + 1, updated_at = %(at)s WHERE id = %(id)s;

-- name: move_limit_set
UPDATE limit_sets SET subject = %(to)s WHERE scope = 'key' AND subject = %(from)s;

-- name: limits
SELECT rule_id, set_id, measure, window_seconds, model, amount, on_outage
FROM limits WHERE set_id = ANY (%(sets)s::uuid[])
ORDER BY set_id, measure, window_seconds, model;

-- name: drop_limits
DELETE FROM limits WHERE rule_id = ANY (%(rules)s::text[]);

-- name: put_limit
-- A limit of the same measure, window and model keeps its id.
INSERT INTO limits (rule_id, set_id, measure, window_seconds, model, amount, on_outage)
VALUES (%(rule_id)s, %(set)s, %(measure)s, %(window_seconds)s, %(model)s, %(amount)s, %(on_outage)s)
ON CONFLICT (set_id, measure, window_seconds, model)
DO UPDATE SET amount = excluded.amount, on_outage = excluded.on_outage;
