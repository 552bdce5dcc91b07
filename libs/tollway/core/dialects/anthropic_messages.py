"""Anthropic's Messages API as a provider's dialect: one door to its parts.

`anthropic_request` writes requests, `anthropic_answer` reads whole answers and streams, `anthropic_usage` counts.
"""

from __future__ import annotations

from tollway.core.dialects.anthropic_answer import StreamReader, read_answer
from tollway.core.dialects.anthropic_request import write_request
from tollway.core.dialects.anthropic_usage import read_usage
from tollway.core.dialects.ports import ErrorEvent, Written

__all__ = ["ErrorEvent", "StreamReader", "Written", "read_answer", "read_usage", "write_request"]
