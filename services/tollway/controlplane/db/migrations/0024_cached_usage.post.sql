-- Nobody folds without knowing the column of cached requests any more.
DROP TRIGGER ledger_deltas_folded ON ledger_deltas;
DROP FUNCTION ledger_deltas_folded();
