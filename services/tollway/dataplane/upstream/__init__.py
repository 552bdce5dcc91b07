"""The provider's side of the data plane: the one place where HTTP calls to providers are made."""
