-- Bills of providers, and the ledger's sums beside them.

-- name: insert_reconciliation
INSERT INTO reconciliations (
    id, provider, provider_name, format, digest, first_day, last_day, lines, billed_nano, ledger_nano, status,
    tolerance_ppm, remarks, note, created_by, created_at
) VALUES (
    %(id)s, %(provider)s, %(provider_name)s, %(format)s, %(digest)s, %(first_day)s, %(last_day)s, %(lines)s,
    %(billed_nano)s, %(ledger_nano)s, %(status)s, %(tolerance_ppm)s, %(remarks)s, %(note)s, %(created_by)s,
    %(created_at)s
)
ON CONFLICT (provider, digest) DO NOTHING;

-- name: insert_lines
INSERT INTO reconciliation_lines (reconciliation_id, day, model, cost_nano, requests, input_tokens, output_tokens)
SELECT %(id)s, sent.day, sent.model, sent.cost_nano, sent.requests, sent.input_tokens, sent.output_tokens
FROM json_to_recordset(%(rows)s::json) AS sent (
    day date, model text, cost_nano bigint, requests bigint, input_tokens bigint, output_tokens bigint
);

-- name: reconciliation
SELECT id, provider, provider_name, format, first_day, last_day, lines, billed_nano, ledger_nano, status,
       tolerance_ppm, remarks, note, created_by, created_at
FROM reconciliations WHERE id = %(id)s;

-- name: reconciliation_by_digest
SELECT id, provider, provider_name, format, first_day, last_day, lines, billed_nano, ledger_nano, status,
       tolerance_ppm, remarks, note, created_by, created_at
FROM reconciliations WHERE provider = %(provider)s AND digest = %(digest)s;

-- name: reconciliations
SELECT id, provider, provider_name, format, first_day, last_day, lines, billed_nano, ledger_nano, status,
       tolerance_ppm, remarks, note, created_by, created_at
FROM reconciliations
WHERE id < %(before)s AND (%(provider)s = '' OR provider = %(provider)s OR provider_name = %(provider)s)
ORDER BY id DESC
LIMIT %(limit)s;

-- name: lines
SELECT day, model, cost_nano, requests, input_tokens, output_tokens
FROM reconciliation_lines WHERE reconciliation_id = %(id)s ORDER BY day, model;

-- name: ledger_sums
-- An attempt is estimated as long as no true row came after it; adjustments count where their attempt counts. An id's
-- day can differ from the day of the call by a clock's error.
SELECT (booked.started_at AT TIME ZONE 'UTC')::date AS day, booked.target_model AS model,
       CASE
           WHEN booked.estimated AND NOT EXISTS (
               SELECT FROM ledger_attempts late
               WHERE late.request_id = booked.request_id AND late.day = booked.day AND late.number = booked.number
                 AND late.kind = 'adjustment' AND NOT late.estimated
           ) THEN 'estimated'
           WHEN booked.number > 1 THEN 'retry'
           ELSE 'first'
       END AS part,
       count(*) FILTER (WHERE booked.kind = 'attempt') AS attempts,
       sum(booked.input_tokens)::bigint AS input_tokens, sum(booked.output_tokens)::bigint AS output_tokens,
       sum(booked.cost_nano)::bigint AS cost_nano
FROM ledger_attempts booked
WHERE booked.provider = %(provider)s AND booked.started_at >= %(begin)s AND booked.started_at < %(end)s
  AND booked.day BETWEEN %(first_day)s::date - 1 AND %(last_day)s::date + 1
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3;
