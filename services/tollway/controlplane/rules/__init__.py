"""Budgets and limits: what may be spent, and how fast."""
