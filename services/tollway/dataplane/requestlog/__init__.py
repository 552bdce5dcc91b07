"""The request log of a data plane: captured by reference, packed aside, spooled, shipped."""
