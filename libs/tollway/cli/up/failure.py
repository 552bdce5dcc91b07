"""Why `up`, `down` or `status` cannot do what was asked."""

from __future__ import annotations


class UpError(Exception):
    """The message is one clear line for the operator, with the remedy, and carries no secret."""
