-- name: insert_event
INSERT INTO audit_events (id, actor, action, resource, reason, source, request_id, before, after)
VALUES (%(id)s, %(actor)s, %(action)s, %(resource)s, %(reason)s, %(source)s, %(request_id)s, %(before)s, %(after)s)

-- name: list_events
SELECT id, at, actor, action, resource, reason, source, request_id,
       coalesce(before::text, '') AS before, coalesce(after::text, '') AS after
FROM audit_events
WHERE (%(start)s::uuid IS NULL OR id < %(start)s::uuid)
  AND (%(resource)s::text = '' OR resource = %(resource)s::text)
  AND (%(action)s::text = '' OR action = %(action)s::text)
ORDER BY id DESC
LIMIT %(limit)s
