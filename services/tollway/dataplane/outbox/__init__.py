"""The ledger's way out of a process: the journal on disk and the shipper that empties it."""
