"""The management API over its transports: one dispatcher, REST and gRPC."""
