"""Rotation of data keys and of the key-encryption key, online."""
