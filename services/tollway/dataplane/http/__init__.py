"""The client's side of the data plane: routes, what errors look like, how answers are written."""
