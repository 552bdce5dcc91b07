"""Provider credentials: sealed, never shown."""
