"""Anthropic's Messages API as a provider's dialect: one door to its parts.

`anthropic_request` writes requests, `anthropic_answer` reads whole answers and streams, `anthropic_usage` counts.
"""

from __future__ import annotations

from tollway.core.dialects.anthropic_answer import ErrorEvent, StreamReader, read_answer
from tollway.core.dialects.anthropic_request import Written, write_request
from tollway.core.dialects.anthropic_usage import read_usage

__all__ = ["ErrorEvent", "StreamReader", "Written", "read_answer", "read_usage", "write_request"]
