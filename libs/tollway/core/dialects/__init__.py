"""Translation between bytes of a wire dialect and the neutral chat model: incremental, without IO."""
