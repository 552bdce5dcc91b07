-- The audit log becomes a chain that only grows. Each entry has a number without gaps and the SHA-256 of its content and
-- of the entry before it; a writer that has the key-encryption key adds a seal, which the database cannot make.
ALTER TABLE audit_events
    ADD COLUMN organisation text NOT NULL DEFAULT 'default',
    ADD COLUMN seq bigint,
    ADD COLUMN actor_kind text NOT NULL DEFAULT '',
    ADD COLUMN actor_id text NOT NULL DEFAULT '',
    ADD COLUMN method text NOT NULL DEFAULT '',
    ADD COLUMN agent text NOT NULL DEFAULT '',
    ADD COLUMN transport text NOT NULL DEFAULT '',
    ADD COLUMN hash bytea CHECK (octet_length(hash) = 32),
    ADD COLUMN seal bytea CHECK (octet_length(seal) = 32);

-- Where each organisation's chain ends; who adds an entry holds the row's lock until the commit. Entries without a seal
-- are accepted up to `unproven_to`, which is sealed itself: they are older than the chain, or of the release before.
CREATE TABLE audit_heads (
    organisation   text PRIMARY KEY,
    seq            bigint NOT NULL DEFAULT 0 CHECK (seq >= 0),
    hash           bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex') CHECK (octet_length(hash) = 32),
    at             timestamptz NOT NULL DEFAULT 'epoch',
    unproven_to    bigint NOT NULL DEFAULT 0 CHECK (unproven_to >= 0),
    unproven_until timestamptz,
    unproven_seal  bytea
);
INSERT INTO audit_heads (organisation) VALUES ('default');

-- What the checks found; the last row says how far they are.
CREATE TABLE audit_checks (
    organisation text NOT NULL,
    checked_at   timestamptz NOT NULL,
    whole        boolean NOT NULL,          -- from the first entry on
    from_seq     bigint NOT NULL,
    to_seq       bigint NOT NULL,
    hash         bytea NOT NULL,            -- of the entry `to_seq`
    found        bigint NOT NULL,
    problems     jsonb NOT NULL DEFAULT '[]',
    PRIMARY KEY (organisation, checked_at)
);

-- The content of an entry in its one form: each field as its length (4 bytes, big-endian) and its UTF-8 bytes.
CREATE FUNCTION audit_hash(prior bytea, e audit_events) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256(prior || string_agg(int4send(octet_length(b)) || b, ''::bytea ORDER BY n))
    FROM unnest(ARRAY[
        'tollway audit 1', e.organisation, e.seq::text, e.id::text, (extract(epoch FROM e.at) * 1000000)::bigint::text,
        e.actor, e.actor_kind, e.actor_id, e.method, e.action, e.resource, e.reason, e.source, e.agent, e.transport,
        e.request_id, coalesce(e.before::text, ''), coalesce(e.after::text, '')
    ]) WITH ORDINALITY AS field (t, n), LATERAL (SELECT convert_to(t, 'UTF8')) AS bytes (b)
$$;

DO $$
DECLARE
    e audit_events;
    prior bytea := decode(repeat('00', 32), 'hex');
    n bigint := 0;
    latest timestamptz := 'epoch';
BEGIN
    FOR e IN SELECT * FROM audit_events ORDER BY at, id LOOP
        n := n + 1;
        e.seq := n;
        prior := audit_hash(prior, e);
        latest := e.at;
        UPDATE audit_events SET seq = n, hash = prior WHERE id = e.id;
    END LOOP;
    UPDATE audit_heads SET seq = n, hash = prior, at = latest;
END $$;

ALTER TABLE audit_events ALTER COLUMN seq SET NOT NULL, ALTER COLUMN hash SET NOT NULL;
CREATE UNIQUE INDEX audit_events_seq ON audit_events (organisation, seq);
CREATE INDEX audit_events_unsealed ON audit_events (organisation, seq) WHERE seal IS NULL;
CREATE INDEX audit_events_at ON audit_events (organisation, at);
CREATE INDEX audit_events_actor ON audit_events (actor, seq);
CREATE INDEX audit_events_of ON audit_events (resource, seq);
CREATE INDEX audit_events_request ON audit_events (request_id) WHERE request_id <> '';
DROP INDEX audit_events_resource;

-- Every entry moves the head of its chain by one. What comes without a number (the release before does not know of it)
-- is given one here, and has no seal.
CREATE FUNCTION audit_chain() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    head audit_heads;
BEGIN
    IF NEW.seq IS NULL THEN
        SELECT * INTO STRICT head FROM audit_heads WHERE organisation = NEW.organisation FOR UPDATE;
        NEW.seq := head.seq + 1;
        NEW.at := greatest(head.at, clock_timestamp());
        NEW.seal := NULL;
        NEW.hash := audit_hash(head.hash, NEW);
    END IF;
    UPDATE audit_heads SET seq = NEW.seq, hash = NEW.hash, at = NEW.at
    WHERE organisation = NEW.organisation AND seq = NEW.seq - 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the audit log goes on after its last entry, and nowhere else'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_chain BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION audit_chain();

CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log only grows: % of % is refused', lower(TG_OP), TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_refuse_head BEFORE DELETE OR TRUNCATE ON audit_heads
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
-- Also for sessions that say they are replicas, which other triggers do not see.
ALTER TABLE audit_events ENABLE ALWAYS TRIGGER audit_refuse;
ALTER TABLE audit_heads ENABLE ALWAYS TRIGGER audit_refuse_head;

CREATE FUNCTION audit_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.organisation <> OLD.organisation OR NOT (
        NEW.seq = OLD.seq + 1 OR (NEW.seq, NEW.hash, NEW.at) = (OLD.seq, OLD.hash, OLD.at)
    ) THEN
        RAISE EXCEPTION 'the head of the audit log only moves with a new entry' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_forward BEFORE UPDATE ON audit_heads FOR EACH ROW EXECUTE FUNCTION audit_forward();

-- An owner's privileges can be taken from it too; a statement by mistake or by injection then fails before any trigger.
REVOKE UPDATE, DELETE, TRUNCATE ON audit_events FROM PUBLIC, CURRENT_USER;
REVOKE DELETE, TRUNCATE ON audit_heads FROM PUBLIC, CURRENT_USER;

-- The function that runs with its owner's rights looks for tables in this schema first, and never in a session's own.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION audit_chain() SET search_path = %I, pg_temp', current_schema());
END $$;
