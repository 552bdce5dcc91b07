"""The control plane: owns Postgres, the configuration, the ledger and the management API."""
