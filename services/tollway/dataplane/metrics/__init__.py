"""Metrics whose number of series is bounded, and what dead processes leave of theirs."""
