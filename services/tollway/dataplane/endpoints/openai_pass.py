"""Chat and legacy completions at a provider that speaks them: bytes pass through, little is read.

Source: https://platform.openai.com/docs/api-reference/chat and /completions
"""

# ruff: noqa: ARG002 - signatures are those of the port

from __future__ import annotations

from collections.abc import Mapping

from tollway.core.dialects import openai_chat
from tollway.core.dialects.openai_habits import UNCHANGED, Changes
from tollway.core.operations import Operation
from tollway.dataplane.endpoints.limits import capped_openai
from tollway.dataplane.endpoints.openai_relay import OpenAIRelay
from tollway.dataplane.endpoints.port import EVENTS, JSON, Asked, Finished, Payload, StreamRelay, Target
from tollway.dataplane.providers.faults import fault_in_stream, garbage
from tollway.dataplane.providers.told import read_told

_WITHOUT_OPTIONS = Changes(without=("stream_options",), dropped=("stream_options",))
"""For legacy completions, which have none of the other fields that services differ in."""


class OpenAIPass:
    """A Codec that hands the provider's answer on as it is."""

    def __init__(self, asked: Asked, target: Target) -> None:
        self._asked = asked
        self._head = asked.head
        self._target = target

    def payload(self) -> Payload:
        """As `Codec.payload`; a stream's usage is asked for where the provider can tell it."""
        head, target = self._head, self._target
        if target.native is Operation.CHAT:
            change = openai_chat.changes(target.habits, head)
            if "store" in head.fields and bytes(head.fields["store"]) == b"true":
                # What a provider stores, it stores for all projects; it takes metadata for that alone.
                kept = ("store", "metadata")
                change = Changes(change.changes, (*change.without, *kept), (*change.dropped, *kept))
        else:
            change = UNCHANGED if target.habits.stream_options else _WITHOUT_OPTIONS
        change = capped_openai(change, self._asked, target)
        body = openai_chat.splice(
            head,
            target.model,
            want_usage=target.habits.stream_options,
            changes=change.changes,
            without=change.without,
        )
        dropped = change.dropped and tuple([name for name in change.dropped if name in head.fields])
        return Payload(body, accept=EVENTS if head.stream else JSON, dropped=dropped)

    def finish(self, headers: Mapping[str, str], body: bytes) -> Finished:
        """As `Codec.finish`."""
        try:
            received = openai_chat.read_received(body)
        except ValueError:
            raise garbage("the body is not a completion") from None
        if received.error:
            raise fault_in_stream(read_told(body))
        if received.choices is None:
            raise garbage("the body is not a completion")
        return Finished(body, openai_chat.read_usage(received.usage), received.chars())

    def relay(self, headers: Mapping[str, str]) -> StreamRelay:
        """As `Codec.relay`."""
        return OpenAIRelay(show_usage=self._head.include_usage)

    def content_type(self, headers: Mapping[str, str]) -> str:
        """As `Codec.content_type`."""
        return f"{EVENTS}; charset=utf-8"
