"""One machine: `tollway up`, `down` and `status`. A small supervisor over embedded servers and the services."""
