"""Config push: what the data planes must know, as streams of snapshots, changes and heartbeats."""
