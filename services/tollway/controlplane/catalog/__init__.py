"""Providers, models, their prices and capabilities, and the snapshot that data planes get."""
