-- Policies of requests that a configuration file declares. A version that is made elsewhere belongs to no set.
ALTER TABLE approval_policies ADD COLUMN managed_by text;
ALTER TABLE approval_policies ADD COLUMN applied_digest bytea;
