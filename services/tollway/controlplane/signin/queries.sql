-- name: issuers
SELECT id, name, issuer, client_id, cli_client_id, sealed, data_key, fingerprint, audiences, scopes, algorithms,
       groups_claim, email_claim, name_claim, trust_email, refresh_seconds, data_plane, claims, revision, managed_by,
       applied_digest
FROM signin_issuers
WHERE archived_at IS NULL
ORDER BY name;

-- name: insert_issuer
INSERT INTO signin_issuers
    (id, name, issuer, client_id, cli_client_id, sealed, data_key, fingerprint, audiences, scopes, algorithms,
     groups_claim, email_claim, name_claim, trust_email, refresh_seconds, data_plane, claims, created_at, updated_at)
VALUES (%(id)s, %(name)s, %(issuer)s, %(client_id)s, %(cli_client_id)s, %(sealed)s, %(data_key)s, %(fingerprint)s,
        %(audiences)s, %(scopes)s, %(algorithms)s, %(groups_claim)s, %(email_claim)s, %(name_claim)s,
        %(trust_email)s, %(refresh_seconds)s, %(data_plane)s, %(claims)s, %(at)s, %(at)s);

-- name: update_issuer
UPDATE signin_issuers SET client_id = %(client_id)s, cli_client_id = %(cli_client_id)s,
       sealed = %(sealed)s, data_key = %(data_key)s, fingerprint = %(fingerprint)s, audiences = %(audiences)s,
       scopes = %(scopes)s, algorithms = %(algorithms)s, groups_claim = %(groups_claim)s,
       email_claim = %(email_claim)s, name_claim = %(name_claim)s, trust_email = %(trust_email)s,
       refresh_seconds = %(refresh_seconds)s, data_plane = %(data_plane)s, claims = %(claims)s, revision = revision + 1,
       updated_at = %(at)s
WHERE id = %(id)s;

-- name: archive_issuer
-- What was sealed is forgotten.
UPDATE signin_issuers SET archived_at = %(at)s, updated_at = %(at)s, revision = revision + 1, sealed = NULL,
       data_key = NULL, fingerprint = NULL
WHERE id = %(id)s;

-- name: insert_session
INSERT INTO signin_sessions
    (id, digest, kind, issuer_id, subject, provider_sid, claims, sealed, data_key, source, created_at, seen_at,
     refreshed_at, refresh_at, expires_at)
VALUES (%(id)s, %(digest)s, %(kind)s, %(issuer_id)s, %(subject)s, %(provider_sid)s, %(claims)s, %(sealed)s,
        %(data_key)s, %(source)s, %(at)s, %(at)s, %(at)s, %(refresh_at)s, %(expires_at)s);

-- name: session
-- A live session by the digest of its cookie. One that nobody used for long has ended.
SELECT s.id, s.kind, s.issuer_id, i.issuer, s.subject, s.provider_sid, s.claims, s.sealed, s.data_key, s.created_at,
       s.seen_at, s.refreshed_at, s.refresh_at, s.expires_at
FROM signin_sessions s LEFT JOIN signin_issuers i ON i.id = s.issuer_id AND i.archived_at IS NULL
WHERE s.digest = %(digest)s AND s.revoked_at IS NULL AND s.expires_at > %(at)s AND s.seen_at > %(idle)s
  AND (s.kind = 'local' OR i.id IS NOT NULL);

-- name: touch_session
UPDATE signin_sessions SET seen_at = %(at)s WHERE id = %(id)s AND seen_at < %(at)s;

-- name: claim_refresh
-- Whoever gets a row asks the provider; the others do not for so long.
UPDATE signin_sessions SET refresh_at = %(again)s
WHERE id = %(id)s AND refresh_at <= %(at)s AND revoked_at IS NULL
RETURNING id;

-- name: refresh_session
UPDATE signin_sessions SET claims = %(claims)s, sealed = %(sealed)s, data_key = %(data_key)s,
       refreshed_at = %(at)s, refresh_at = %(refresh_at)s
WHERE id = %(id)s AND revoked_at IS NULL;

-- name: revoke_session
UPDATE signin_sessions SET revoked_at = %(at)s, revoked_for = %(reason)s, sealed = NULL, data_key = NULL
WHERE id = %(id)s AND revoked_at IS NULL;

-- name: revoke_digest
UPDATE signin_sessions SET revoked_at = %(at)s, revoked_for = %(reason)s, sealed = NULL, data_key = NULL
WHERE digest = %(digest)s AND revoked_at IS NULL;

-- name: revoke_subject
UPDATE signin_sessions SET revoked_at = %(at)s, revoked_for = %(reason)s, sealed = NULL, data_key = NULL
WHERE issuer_id = %(issuer_id)s AND subject = %(subject)s AND revoked_at IS NULL;

-- name: revoke_provider_session
-- Sessions of the person of which the provider never said to which of its own they belong end too.
UPDATE signin_sessions SET revoked_at = %(at)s, revoked_for = %(reason)s, sealed = NULL, data_key = NULL
WHERE issuer_id = %(issuer_id)s AND revoked_at IS NULL
  AND (provider_sid = %(provider_sid)s OR (provider_sid = '' AND %(subject)s <> ''))
  AND (%(subject)s = '' OR subject = %(subject)s);

-- name: revoke_issuer
UPDATE signin_sessions SET revoked_at = %(at)s, revoked_for = %(reason)s, sealed = NULL, data_key = NULL
WHERE issuer_id = %(issuer_id)s AND revoked_at IS NULL;

-- name: forget_sessions
-- A part of those whose end is long ago.
DELETE FROM signin_sessions
WHERE id IN (SELECT id FROM signin_sessions WHERE expires_at < %(before)s ORDER BY expires_at LIMIT 500);

-- name: use_once
INSERT INTO signin_once (digest, expires_at) VALUES (%(digest)s, %(expires_at)s) ON CONFLICT (digest) DO NOTHING;

-- name: forget_once
DELETE FROM signin_once
WHERE digest IN (SELECT digest FROM signin_once WHERE expires_at < %(at)s ORDER BY expires_at LIMIT 500);

-- name: count_try
-- One more try in the window of the scope; a window that is over begins anew.
INSERT INTO signin_tries AS t (scope, window_end, tries) VALUES (%(scope)s, %(window_end)s, 1)
ON CONFLICT (scope) DO UPDATE SET
    tries = CASE WHEN t.window_end <= %(at)s THEN 1 ELSE t.tries + 1 END,
    window_end = CASE WHEN t.window_end <= %(at)s THEN excluded.window_end ELSE t.window_end END
RETURNING tries, window_end;

-- name: tries
SELECT tries, window_end FROM signin_tries WHERE scope = %(scope)s AND window_end > %(at)s;

-- name: forget_tries
DELETE FROM signin_tries
WHERE scope IN (SELECT scope FROM signin_tries WHERE window_end < %(at)s ORDER BY window_end LIMIT 500);

-- name: clear_tries
DELETE FROM signin_tries WHERE scope = %(scope)s;

-- Logouts

-- name: note_logout
INSERT INTO signin_logouts AS o (issuer, subject, provider_sid, issued_until, expires_at)
VALUES (%(issuer)s, %(subject)s, %(provider_sid)s, %(issued)s, %(expires_at)s)
ON CONFLICT (issuer, subject, provider_sid) DO UPDATE SET
    issued_until = greatest(o.issued_until, excluded.issued_until),
    expires_at = greatest(o.expires_at, excluded.expires_at);

-- name: subjects_of_session
-- Of ended sessions, too: they are kept for a while.
SELECT DISTINCT subject FROM signin_sessions
WHERE issuer_id = %(issuer_id)s AND provider_sid = %(provider_sid)s AND provider_sid <> '' AND subject <> ''
ORDER BY subject LIMIT 100;

-- name: signed_out
-- Whether an issuer ended what a token belongs to: its session, all of the person's after it was issued, or (where the
-- token does not say to which session it belongs) any of them.
SELECT issuer FROM signin_logouts
WHERE issuer = %(issuer)s AND provider_sid = %(session)s AND provider_sid <> ''
UNION ALL
SELECT issuer FROM signin_logouts
WHERE issuer = %(issuer)s AND subject = %(subject)s AND issued_until >= %(issued)s
  AND (provider_sid = '' OR %(session)s = '')
LIMIT 1;

-- name: unclaimed_logouts
SELECT issuer, provider_sid, issued_until
FROM (SELECT issuer, provider_sid, issued_until,
             row_number() OVER (PARTITION BY issuer ORDER BY issued_until DESC, provider_sid) AS place
      FROM signin_logouts WHERE subject = '') AS found
WHERE place <= %(limit)s
ORDER BY issuer, place;

-- name: forget_logouts
DELETE FROM signin_logouts
WHERE (issuer, subject, provider_sid) IN
      (SELECT issuer, subject, provider_sid FROM signin_logouts WHERE expires_at < %(at)s ORDER BY expires_at LIMIT 500);

-- name: pushed_issuers
-- Those whose tokens are taken by data planes, with their keys.
SELECT i.id, i.name, i.issuer, i.algorithms, i.groups_claim, i.claims, i.data_plane, k.keys, k.read_at
FROM signin_issuers i LEFT JOIN signin_keys k ON k.issuer_id = i.id
WHERE i.archived_at IS NULL AND i.data_plane IS NOT NULL
ORDER BY i.name;

-- name: write_keys
-- Only over what was known when the read began.
INSERT INTO signin_keys AS k (issuer_id, keys, read_at)
SELECT id, %(keys)s, %(read_at)s FROM signin_issuers WHERE id = %(issuer)s AND archived_at IS NULL
ON CONFLICT (issuer_id) DO UPDATE SET keys = excluded.keys, read_at = excluded.read_at
WHERE k.read_at IS NOT DISTINCT FROM %(known)s::timestamptz;
