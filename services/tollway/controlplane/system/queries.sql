-- name: status
SELECT epoch, version, (SELECT count(*) FROM ledger_quarantine) AS quarantined_rows FROM installation;
