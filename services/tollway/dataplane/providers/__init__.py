"""One file a provider kind: what it is sent, how its answers, streams and errors are read. Pure, no IO."""
