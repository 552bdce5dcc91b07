"""OpenAI's Responses API as the dialect of clients, and of providers that speak it themselves: one door to its parts.

`openai_responses_head` reads requests in part, `_request` and `_items` in full; `_replay` rewrites them for a provider
of this dialect, `_view` passes on what that answers; `_answer` and `_stream` write what another dialect answered,
`_sealed` carries another provider's signatures, `_usage` is the usage object.
"""

from __future__ import annotations

from tollway.core.dialects.openai_responses_answer import write_answer
from tollway.core.dialects.openai_responses_head import Storage, check_urls, read_head, read_storage, references
from tollway.core.dialects.openai_responses_replay import input_items, outgoing
from tollway.core.dialects.openai_responses_request import read_request
from tollway.core.dialects.openai_responses_stream import StreamWriter, write_error
from tollway.core.dialects.openai_responses_usage import read_usage, write_usage
from tollway.core.dialects.openai_responses_view import Passed, ResponsesView, answer_for_client

__all__ = [
    "Passed",
    "ResponsesView",
    "Storage",
    "StreamWriter",
    "answer_for_client",
    "check_urls",
    "input_items",
    "outgoing",
    "read_head",
    "read_request",
    "read_storage",
    "read_usage",
    "references",
    "write_answer",
    "write_error",
    "write_usage",
]
