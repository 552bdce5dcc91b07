"""Budgets and rate limits at the request: leases of shared counts, spent without a round trip in the common case."""
