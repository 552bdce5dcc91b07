"""The doors of the control plane: one dispatcher, and REST and gRPC in front of it."""
