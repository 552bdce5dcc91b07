"""How the platform itself is: versions, subscribers, quarantine."""
