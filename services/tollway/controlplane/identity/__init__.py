"""Business units and projects."""
