"""What providers billed, beside what the ledger says of the same days and models."""
