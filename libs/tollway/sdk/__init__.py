"""The public Python client of the management API: `tollway.sdk.client.Client` and `AsyncClient`."""
