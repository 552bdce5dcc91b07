"""`tollway`: the command line over the SDK, and the launcher for one machine."""
