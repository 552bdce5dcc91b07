-- name: insert_event
INSERT INTO audit_events (id, actor, action, resource, reason, source, request_id, before, after)
VALUES (%(id)s, %(actor)s, %(action)s, %(resource)s, %(reason)s, %(source)s, %(request_id)s, %(before)s, %(after)s);

-- name: events
SELECT id, at, actor, action, resource, reason, source, request_id, before, after
FROM audit_events
WHERE (%(before)s::uuid IS NULL OR id < %(before)s)
  AND (%(resource)s = '' OR resource = %(resource)s)
  AND (%(action)s = '' OR action = %(action)s)
ORDER BY id DESC
LIMIT %(limit)s;
