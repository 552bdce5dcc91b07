"""A codec between two dialects: the client's and the provider's meet in the neutral chat.

Owns the order of things alone; what the dialects say is theirs. Streams are translated event by event.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from tollway.core import chat
from tollway.core.dialects.ports import ErrorEvent, StreamReader, StreamWriter, Written
from tollway.core.dialects.tool_names import lengthened, shortened
from tollway.core.errors import TollwayError
from tollway.core.usage import Usage
from tollway.dataplane.endpoints.faults import fault_of_answer
from tollway.dataplane.endpoints.limits import smaller
from tollway.dataplane.endpoints.port import EVENTS, JSON, Asked, Finished, Payload, StreamRelay, Target
from tollway.dataplane.providers.faults import cut_short
from tollway.dataplane.providers.port import ProviderFault
from tollway.dataplane.providers.told import date_of, header


class ClientDialect(Protocol):
    """How a client asks for a turn of a conversation, and how it wants to be told."""

    def request(self, asked: Asked) -> chat.Request:
        """The whole request. Raises TollwayError (the client's fault)."""

    def answer(self, answer: chat.Answer, asked: Asked) -> bytes:
        """A whole answer."""

    def writer(self, asked: Asked) -> StreamWriter:
        """A writer for one stream."""


class ProviderDialect(Protocol):
    """How a provider is asked, and how it answers."""

    def tool_name_length(self, target: Target) -> int | None:
        """The most characters of a tool's name that the target takes; None: no limit."""

    def write(self, request: chat.Request, target: Target) -> Written:
        """The request for it. Raises TollwayError (the client's fault) for what it cannot be told."""

    def read(self, body: bytes, created: int) -> chat.Answer:
        """A whole answer. Raises TollwayError for what is none. `created` is Unix seconds, where it does not say."""

    def reader(self) -> StreamReader:
        """A reader for one stream."""


class TranslatedRelay:
    """A StreamRelay from a reader of the provider's dialect to a writer of the client's."""

    def __init__(self, reader: StreamReader, writer: StreamWriter, long_names: Mapping[str, str]) -> None:
        """`long_names`: what shortened names of tools stand for."""
        self._reader = reader
        self._long_names = long_names
        self._writer = writer
        self.started = False
        self.output_chars = 0
        self.output_events = 0
        self.fault: ProviderFault | None = None

    @property
    def done(self) -> bool:
        """As `StreamRelay.done`."""
        return self._reader.done

    @property
    def usage(self) -> Usage | None:
        """As `StreamRelay.usage`."""
        return self._reader.usage

    def feed(self, data: bytes) -> bytes:
        """As `StreamRelay.feed`."""
        if self.fault is not None:
            raise self.fault
        out = b"".join([self._see(event) for event in self._reader.feed(data)])
        failure = self._reader.failure
        if failure is not None:
            self.fault = fault_of_answer(failure)
            if not (out and self.started):
                raise self.fault from failure
        return out

    def end(self) -> bytes:
        """As `StreamRelay.end`."""
        if self.fault is not None:
            raise self.fault
        out = b"".join([self._see(event) for event in self._reader.end()])
        failure = self._reader.failure
        if isinstance(failure, ErrorEvent):
            raise fault_of_answer(failure) from failure
        if not self.done:
            raise cut_short() from failure
        return out

    def fail(self, message: str, error_type: str, code: str, param: str | None = None) -> bytes:
        """As `StreamRelay.fail`."""
        return self._writer.fail(message, error_type, code, param)

    def _see(self, event: chat.Event) -> bytes:
        match event:
            case chat.TextDelta(text) | chat.ReasoningDelta(text) | chat.RefusalDelta(text):
                self.output_chars += len(text)
                self.output_events += bool(text)
            case chat.ToolStarted(index, call_id, name) if name in self._long_names:
                event = chat.ToolStarted(index, call_id, self._long_names[name])
            case chat.ToolDelta(_, arguments):
                self.output_chars += len(arguments)
                self.output_events += bool(arguments)
        self.started = self.started or not isinstance(event, chat.Opened)
        return self._writer.write(event)


class TranslatedCodec:
    """A Codec between two dialects."""

    def __init__(self, client: ClientDialect, provider: ProviderDialect, asked: Asked, target: Target) -> None:
        self._client = client
        self._provider = provider
        self._asked = asked
        self._target = target
        self._long_names: Mapping[str, str] = {}

    def payload(self) -> Payload:
        """As `Codec.payload`."""
        most = self._provider.tool_name_length(self._target)
        request, self._long_names = shortened(self._client.request(self._asked), most)
        limit = smaller(request.max_tokens, self._asked.output_cap)
        if limit != request.max_tokens:
            request = msgspec.structs.replace(request, max_tokens=limit)
        written = self._provider.write(request, self._target)
        accept = EVENTS if self._asked.head.stream else JSON
        return Payload(written.body, accept=accept, dropped=written.dropped)

    def finish(self, headers: Mapping[str, str], body: bytes) -> Finished:
        """As `Codec.finish`; an answer without a time of its own is of its `date` header's."""
        try:
            answer = self._provider.read(body, int(date_of(header(headers, "date")) or self._asked.created))
        except TollwayError as error:
            raise fault_of_answer(error) from error
        shown = lengthened(answer, self._long_names)
        return Finished(self._client.answer(shown, self._asked), answer.usage, answer.chars)

    def relay(self, headers: Mapping[str, str]) -> StreamRelay:  # noqa: ARG002 - the port's signature
        """As `Codec.relay`."""
        return TranslatedRelay(self._provider.reader(), self._client.writer(self._asked), self._long_names)

    def content_type(self, headers: Mapping[str, str]) -> str:  # noqa: ARG002 - the port's signature
        """As `Codec.content_type`."""
        return f"{EVENTS}; charset=utf-8"
