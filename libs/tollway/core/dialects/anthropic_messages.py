"""Anthropic's Messages API, as a client's and as a provider's dialect: one door to its parts.

For clients: `anthropic_head` reads requests in part, `anthropic_client` in full, `anthropic_writer` and
`anthropic_stream_writer` write what another dialect answered, `anthropic_relay_view` sees what passes through,
`anthropic_count` estimates tokens. For providers: `anthropic_request` writes requests, `anthropic_answer` reads whole
answers and streams. `anthropic_usage` counts.
"""

from __future__ import annotations

from tollway.core.dialects.anthropic_answer import StreamReader, read_answer
from tollway.core.dialects.anthropic_client import read_request
from tollway.core.dialects.anthropic_count import estimate_count
from tollway.core.dialects.anthropic_head import check_urls, read_head
from tollway.core.dialects.anthropic_relay_view import MessagesView, read_finished
from tollway.core.dialects.anthropic_request import write_request
from tollway.core.dialects.anthropic_stream_writer import StreamWriter, write_error
from tollway.core.dialects.anthropic_unsigned import signed_messages
from tollway.core.dialects.anthropic_usage import read_usage, write_usage
from tollway.core.dialects.anthropic_writer import write_answer
from tollway.core.dialects.head import splice
from tollway.core.dialects.ports import ErrorEvent, Written

__all__ = [
    "ErrorEvent",
    "MessagesView",
    "StreamReader",
    "StreamWriter",
    "Written",
    "check_urls",
    "estimate_count",
    "read_answer",
    "read_finished",
    "read_head",
    "read_request",
    "read_usage",
    "signed_messages",
    "splice",
    "write_answer",
    "write_error",
    "write_request",
    "write_usage",
]
