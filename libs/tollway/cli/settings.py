"""The only place of the command line that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping


def environment() -> Mapping[str, str]:
    """A copy of the environment of this process."""
    return dict(os.environ)
