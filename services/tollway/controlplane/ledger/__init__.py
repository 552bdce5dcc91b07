"""The ledger: rows taken in exactly once, kept in partitions, and added up in reports."""
