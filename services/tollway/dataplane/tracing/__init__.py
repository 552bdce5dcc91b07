"""Spans of requests and of the calls they cause: a port, and OpenTelemetry behind it where an endpoint is set."""
