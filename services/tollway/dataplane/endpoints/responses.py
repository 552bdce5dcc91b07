"""`POST /v1/responses`: passed through to providers that serve it, else translated; state is the gateway's own.

Source: https://platform.openai.com/docs/api-reference/responses
"""

# ruff: noqa: ARG002 - signatures are those of the ports

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from tollway.core import chat
from tollway.core.dialects import openai_responses
from tollway.core.dialects.ports import StreamWriter
from tollway.core.errors import TollwayError
from tollway.dataplane.endpoints.faults import fault_of_answer
from tollway.dataplane.endpoints.limits import capped_response
from tollway.dataplane.endpoints.memory import Memory
from tollway.dataplane.endpoints.port import EVENTS, JSON, Asked, Finished, Payload, StreamRelay, Target
from tollway.dataplane.endpoints.view_relay import ViewRelay


class _Output(msgspec.Struct):
    output: list[Raw]


_OUTPUT = msgspec.json.Decoder(_Output)


def _memory(asked: Asked) -> Memory:
    assert asked.memory is not None  # the stage `recall` made it
    return asked.memory


class _KeepingWriter:
    """A StreamWriter that leaves the finished response in the memory."""

    def __init__(self, writer: openai_responses.StreamWriter, memory: Memory) -> None:
        self._writer = writer
        self._memory = memory

    def write(self, event: chat.Event) -> bytes:
        """As `StreamWriter.write`."""
        written = self._writer.write(event)
        if isinstance(event, chat.Closed):
            self._memory.response, self._memory.output = self._writer.response, self._writer.output
        return written

    def fail(self, message: str, error_type: str, code: str, param: str | None = None) -> bytes:
        """As `StreamWriter.fail`."""
        return self._writer.fail(message, error_type, code, param)


class ResponsesClient:
    """A ClientDialect."""

    def request(self, asked: Asked) -> chat.Request:
        """As `ClientDialect.request`."""
        memory = _memory(asked)
        return openai_responses.read_request(asked.body, asked.head, memory.earlier, memory.known)

    def answer(self, answer: chat.Answer, asked: Asked) -> bytes:
        """As `ClientDialect.answer`."""
        memory = _memory(asked)
        body = openai_responses.write_answer(
            answer, asked.head.fields, response_id=memory.response_id, created=asked.created
        )
        memory.response, memory.output = body, _OUTPUT.decode(body).output
        return body

    def writer(self, asked: Asked) -> StreamWriter:
        """As `ClientDialect.writer`."""
        memory = _memory(asked)
        writer = openai_responses.StreamWriter(
            response_id=memory.response_id, created=asked.created, model=asked.model, fields=asked.head.fields
        )
        return _KeepingWriter(writer, memory)


class ResponsesPass:
    """A Codec for a provider that serves responses: ids and storage are the gateway's, all else is the provider's."""

    def __init__(self, asked: Asked, target: Target) -> None:
        self._asked = asked
        self._target = target
        self._memory = _memory(asked)

    def payload(self) -> Payload:
        """As `Codec.payload`."""
        head = self._asked.head
        memory = self._memory
        body = openai_responses.outgoing(
            head,
            self._target.model,
            earlier=memory.earlier,
            known=memory.known,
            changes=capped_response(self._asked),
        )
        return Payload(body, accept=EVENTS if head.stream else JSON)

    def finish(self, headers: Mapping[str, str], body: bytes) -> Finished:
        """As `Codec.finish`."""
        memory = self._memory
        try:
            passed = openai_responses.answer_for_client(
                body,
                response_id=memory.response_id,
                previous_response_id=memory.previous_response_id,
                store=memory.store,
            )
        except TollwayError as error:
            raise fault_of_answer(error) from error
        memory.response, memory.output = passed.body, passed.output
        return Finished(passed.body, passed.usage, passed.chars)

    def relay(self, headers: Mapping[str, str]) -> StreamRelay:
        """As `Codec.relay`."""
        memory = self._memory
        view = openai_responses.ResponsesView(
            response_id=memory.response_id, previous_response_id=memory.previous_response_id, store=memory.store
        )

        def keep() -> None:
            memory.response, memory.output = view.response, view.output

        return ViewRelay(view, view.feed, view.fail, keep)

    def content_type(self, headers: Mapping[str, str]) -> str:
        """As `Codec.content_type`."""
        return f"{EVENTS}; charset=utf-8"
