-- What a project asks of its keys; null: nothing.
ALTER TABLE projects
    ADD COLUMN key_lifetime_days integer CHECK (key_lifetime_days BETWEEN 1 AND 3650),
    ADD COLUMN max_keys integer CHECK (max_keys BETWEEN 1 AND 1000000),
    ADD COLUMN max_keys_per_user integer CHECK (max_keys_per_user BETWEEN 1 AND 1000000);
-- Claims beside that of the groups whose values bindings see as groups, "department=finance".
ALTER TABLE signin_issuers ADD COLUMN claims text[] NOT NULL DEFAULT '{}';
