"""OpenAI chat completions, the dialect of most clients and providers: one door to its parts.

For clients: `openai_head` reads and rewrites requests in part, `openai_request` reads them in full, `openai_received`
reads what a provider answered, `openai_answer` writes what another dialect answered. For providers, when the client
speaks another dialect: `openai_provider_request` writes requests, `openai_provider_answer` and `openai_provider_stream`
read answers; `openai_habits` is what services do differently. `openai_usage` is the usage object.
"""

from __future__ import annotations

from tollway.core.dialects.openai_answer import DONE, StreamWriter, write_answer, write_error_event
from tollway.core.dialects.openai_habits import UNCHANGED, Changes, ChatHabits, changes, habits_of
from tollway.core.dialects.openai_head import check_urls, read_head, splice
from tollway.core.dialects.openai_provider_answer import read_answer
from tollway.core.dialects.openai_provider_request import write_request
from tollway.core.dialects.openai_provider_stream import StreamReader
from tollway.core.dialects.openai_received import Received, read_received
from tollway.core.dialects.openai_request import read_request
from tollway.core.dialects.openai_usage import read_usage, write_usage

__all__ = [
    "DONE",
    "UNCHANGED",
    "Changes",
    "ChatHabits",
    "Received",
    "StreamReader",
    "StreamWriter",
    "changes",
    "check_urls",
    "habits_of",
    "read_answer",
    "read_head",
    "read_received",
    "read_request",
    "read_usage",
    "splice",
    "write_answer",
    "write_error_event",
    "write_request",
    "write_usage",
]
