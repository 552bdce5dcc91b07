"""`POST /v1/messages`: Anthropic's Messages API, passed through where the provider speaks it, else translated.

Source: https://docs.anthropic.com/en/api/messages
"""

# ruff: noqa: ARG002 - signatures are those of the ports

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Raw

from tollway.core import chat
from tollway.core.dialects import anthropic_messages
from tollway.core.dialects.head import estimate_input_tokens
from tollway.core.dialects.ports import StreamWriter
from tollway.core.errors import TollwayError
from tollway.dataplane.endpoints.faults import fault_of_answer
from tollway.dataplane.endpoints.limits import capped_messages
from tollway.dataplane.endpoints.port import EVENTS, JSON, Asked, Finished, Payload, StreamRelay, Target
from tollway.dataplane.endpoints.view_relay import ViewRelay, seen

_PASSED = ("anthropic-version", "anthropic-beta")


def passed_headers(asked: Asked) -> dict[str, str]:
    """The client's headers that mean something to a provider of its own dialect."""
    found: dict[str, list[str]] = {}
    for name, value in asked.headers.items():
        if name.lower() in _PASSED:
            found.setdefault(name.lower(), []).append(value)
    return {name: ",".join(values) for name, values in found.items()}


class MessagesClient:
    """A ClientDialect."""

    def request(self, asked: Asked) -> chat.Request:
        """As `ClientDialect.request`."""
        return anthropic_messages.read_request(asked.body, asked.head)

    def answer(self, answer: chat.Answer, asked: Asked) -> bytes:
        """As `ClientDialect.answer`."""
        return anthropic_messages.write_answer(answer)

    def writer(self, asked: Asked) -> StreamWriter:
        """As `ClientDialect.writer`."""
        return anthropic_messages.StreamWriter(
            model=asked.model, message_id=asked.id, input_tokens=estimate_input_tokens(len(asked.body))
        )


class MessagesPass:
    """A Codec that hands the provider's answer on as it is."""

    def __init__(self, asked: Asked, target: Target) -> None:
        self._asked = asked
        self._target = target

    def payload(self) -> Payload:
        """As `Codec.payload`."""
        head = self._asked.head
        signed = anthropic_messages.signed_messages(head)
        changes = self._limits()
        if signed is not None:
            changes["messages"] = signed
        body = anthropic_messages.splice(head, self._target.model, changes=changes)
        return Payload(body, accept=EVENTS if head.stream else JSON, headers=passed_headers(self._asked))

    def _limits(self) -> dict[str, Raw]:
        """Fields that carry the limit of output."""
        return capped_messages(self._asked)

    def finish(self, headers: Mapping[str, str], body: bytes) -> Finished:
        """As `Codec.finish`."""
        try:
            usage, chars = anthropic_messages.read_finished(body)
        except TollwayError as error:
            raise fault_of_answer(error) from error
        return Finished(body, usage, chars)

    def relay(self, headers: Mapping[str, str]) -> StreamRelay:
        """As `Codec.relay`."""
        view = anthropic_messages.MessagesView()
        return ViewRelay(view, seen(view), anthropic_messages.write_error)

    def content_type(self, headers: Mapping[str, str]) -> str:
        """As `Codec.content_type`."""
        return f"{EVENTS}; charset=utf-8"
