"""Endpoints beside conversations: embeddings, moderations, images, audio, rerank. Their bytes pass through.

Owns the codec; what a request and an answer say is their dialects'.
"""

# ruff: noqa: ARG002 - signatures are those of the port

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tollway.core.bounding.others import bound_other
from tollway.core.bounds import Bound
from tollway.core.dialects import hf_features
from tollway.core.dialects.head import Head, estimate_input_tokens
from tollway.core.dialects.openai_answer import write_error_event
from tollway.core.dialects.openai_embeddings import as_base64, wants_base64
from tollway.core.dialects.passthrough import AnswerKind, Passthrough
from tollway.core.errors import TollwayError
from tollway.core.operations import Operation
from tollway.core.usage import Usage
from tollway.dataplane.endpoints.faults import fault_of_answer
from tollway.dataplane.endpoints.limits import asking_of
from tollway.dataplane.endpoints.port import (
    JSON,
    Asked,
    Codec,
    Dialect,
    Finished,
    Known,
    Payload,
    StreamRelay,
    Target,
)
from tollway.dataplane.endpoints.view_relay import ViewRelay, seen
from tollway.dataplane.providers.faults import garbage
from tollway.dataplane.providers.port import ProviderFault
from tollway.dataplane.providers.told import header

FORM = "multipart/form-data"
MAX_WHOLE_BYTES = 64 << 20
_SOME = b"\0"
"""Audio, of which no byte is read."""


def content_type_of(headers: Mapping[str, str], default: str = JSON) -> str:
    """What the provider calls its answer."""
    return header(headers, "content-type") or default


class BytesRelay:
    """A StreamRelay for an answer without structure: what comes is passed on, and its end is the provider's."""

    def __init__(self, usage: Usage | None) -> None:
        """`usage` is known from the request alone."""
        self.started = False
        self.done = False
        self.usage = usage
        self.output_chars = 0
        self.output_events = 0
        self.fault: ProviderFault | None = None

    def feed(self, data: bytes) -> bytes:
        """As `StreamRelay.feed`."""
        self.started = self.started or bool(data)
        return data

    def end(self) -> bytes:
        """As `StreamRelay.end`; a cut connection is found by HTTP's own framing."""
        self.started = self.done = True
        return b""

    def fail(self, message: str, error_type: str, code: str, param: str | None = None) -> bytes:
        """As `StreamRelay.fail`: nothing can be said inside such an answer; the connection is closed."""
        return b""


class WholeRelay:
    """A StreamRelay for an answer that came whole though a stream was asked for."""

    def __init__(self, finish: Callable[[bytes], Finished]) -> None:
        """`finish` reads the answer; it raises ProviderFault for what is none."""
        self._finish = finish
        self._parts: list[bytes] = []
        self._size = 0
        self.started = False
        self.done = False
        self.usage: Usage | None = None
        self.output_chars = 0
        self.output_events = 0
        self.fault: ProviderFault | None = None

    def feed(self, data: bytes) -> bytes:
        """As `StreamRelay.feed`: nothing is told before the end."""
        self._size += len(data)
        if self._size > MAX_WHOLE_BYTES:
            raise garbage(f"it has more than {MAX_WHOLE_BYTES} bytes")
        self._parts.append(data)
        return b""

    def end(self) -> bytes:
        """As `StreamRelay.end`."""
        finished = self._finish(b"".join(self._parts))
        self.started = self.done = True
        self.usage, self.output_chars = finished.usage, finished.output_chars
        return finished.body

    def fail(self, message: str, error_type: str, code: str, param: str | None = None) -> bytes:
        """As `StreamRelay.fail`: nothing can be said inside such an answer; the connection is closed."""
        return b""


class PlainCodec:
    """A Codec without translation."""

    def __init__(self, call: Passthrough, asked: Asked, target: Target) -> None:
        self._call = call
        self._asked = asked
        self._target = target

    def payload(self) -> Payload:
        """As `Codec.payload`."""
        asked = self._asked
        sent = self._call.outgoing(asked.head, asked.body, asked.content_type, self._target.model)
        return Payload(sent.body, sent.content_type, self._call.accept(asked.head))

    def finish(self, headers: Mapping[str, str], body: bytes) -> Finished:
        """As `Codec.finish`; embeddings come as base64 to a client that asked for that, whatever the provider knows."""
        head, kind = self._asked.head, content_type_of(headers)
        try:
            told = self._call.finished(head, kind, body)
        except TollwayError as error:
            raise fault_of_answer(error) from error
        if self._target.native is Operation.EMBEDDINGS and wants_base64(head):
            body = as_base64(body)
        return Finished(body, told.usage, told.output_chars, kind)

    def relay(self, headers: Mapping[str, str]) -> StreamRelay:
        """As `Codec.relay`; a provider that does not stream the call answers whole."""
        head, kind = self._asked.head, content_type_of(headers)
        answer = self._call.kind(head, kind)
        view = self._call.view(head) if answer is AnswerKind.EVENTS else None
        if view is not None:
            return ViewRelay(view, seen(view), write_error_event)
        if answer is AnswerKind.BINARY:
            return BytesRelay(self._call.finished(head, kind, _SOME).usage)
        return WholeRelay(lambda body: self.finish(headers, body))

    def content_type(self, headers: Mapping[str, str]) -> str:
        """As `Codec.content_type`."""
        return content_type_of(headers)


class FeaturesCodec:
    """A Codec for embeddings from Hugging Face's feature extraction."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    def payload(self) -> Payload:
        """As `Codec.payload`."""
        written = hf_features.write_request(self._asked.head)
        return Payload(written.body, dropped=written.dropped)

    def finish(self, headers: Mapping[str, str], body: bytes) -> Finished:
        """As `Codec.finish`; the answer has no usage, so the client is shown the estimate that is booked."""
        asked = self._asked
        tokens = estimate_input_tokens(len(asked.body))
        try:
            written = hf_features.write_answer(asked.head, body, asked.model, input_tokens=tokens)
        except TollwayError as error:
            raise fault_of_answer(error) from error
        return Finished(written, None, 0)

    def relay(self, headers: Mapping[str, str]) -> StreamRelay:
        """As `Codec.relay`: embeddings do not stream, so this is never asked for."""
        return BytesRelay(None)

    def content_type(self, headers: Mapping[str, str]) -> str:
        """As `Codec.content_type`."""
        return JSON


@dataclass(frozen=True)
class Plain:
    """An Endpoint whose calls pass through. `always_streams`: the answer has no end worth waiting for (speech)."""

    path: str
    operation: Operation
    call: Passthrough
    accepts: tuple[str, ...] = (JSON,)
    always_streams: bool = False
    dialect: str = Dialect.OPENAI

    def read(self, body: bytes, content_type: str) -> Head:
        """As `Endpoint.read`; URLs that a provider would fetch for the client are checked."""
        head = self.call.read_head(body, content_type)
        self.call.check_urls(head)
        return head

    def streams(self, head: Head) -> bool:
        """As `Endpoint.streams`."""
        return head.stream or self.always_streams

    def input_tokens(self, head: Head, body: bytes) -> int:
        """As `Endpoint.input_tokens`; a form's bytes are a file's, which are no text."""
        return 0 if FORM in self.accepts else estimate_input_tokens(len(body))

    def bound(self, asked: Asked, target: Target, known: Known) -> Bound:
        """As `Endpoint.bound`."""
        asking = asking_of(self.operation, asked, target, known)
        return bound_other(asked.head, asked.body, asked.content_type, asking)

    def codec(self, asked: Asked, target: Target) -> Codec:
        """As `Endpoint.codec`."""
        if target.native is Operation.FEATURES:
            return FeaturesCodec(asked)
        return PlainCodec(self.call, asked, target)
