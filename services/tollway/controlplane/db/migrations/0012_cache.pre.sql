-- What the response cache did for a request: '' (nothing), 'miss', 'hit' or 'shared'. Rows of the release before have ''.

ALTER TABLE ledger_requests ADD COLUMN cache text NOT NULL DEFAULT '';
