"""What this process knows of the configuration, and how it keeps knowing it."""
