"""Anthropic: requests, answers and streams are translated from and to the client's dialect.

Source: https://docs.anthropic.com/en/api/messages and /en/api/errors
"""

# ruff: noqa: ARG002 - signatures are those of the port

from __future__ import annotations

from collections.abc import Mapping

from tollway.core import chat
from tollway.core.catalog import Credential, Provider
from tollway.core.dialects import anthropic_messages, openai_chat
from tollway.core.dialects.anthropic_messages import ErrorEvent
from tollway.core.dialects.head import Head
from tollway.core.errors import TollwayError
from tollway.core.usage import Usage
from tollway.dataplane.providers.faults import cut_short, fault_in_stream, fault_of, garbage
from tollway.dataplane.providers.port import USER_AGENT, Finished, Outgoing, ProviderFault, StreamRelay
from tollway.dataplane.providers.told import date_of, header, told_of

API_VERSION = "2023-06-01"


def _fault(error: TollwayError) -> ProviderFault:
    """The dialect's error as a fault of the provider."""
    if isinstance(error, ErrorEvent):
        return fault_in_stream(told_of(error.error))
    return garbage(error.message.rstrip("."))


class AnthropicRelay:
    """A StreamRelay that translates Messages events to chat completion chunks."""

    def __init__(self, *, model_name: str, created: int, show_usage: bool) -> None:
        """`created` is Unix seconds; `show_usage`: the client asked for the usage chunk."""
        self._reader = anthropic_messages.StreamReader()
        self._writer = openai_chat.StreamWriter(model=model_name, created=created, include_usage=show_usage)
        self.started = False
        self.output_chars = 0
        self.output_events = 0
        self.fault: ProviderFault | None = None

    @property
    def done(self) -> bool:
        """Whether `message_stop` has been seen."""
        return self._reader.done

    @property
    def usage(self) -> Usage | None:
        """Exact once `done`; before that, the input is."""
        return self._reader.usage

    def feed(self, data: bytes) -> bytes:
        """As `StreamRelay.feed`."""
        if self.fault is not None:
            raise self.fault
        out = b"".join([self._see(event) for event in self._reader.feed(data)])
        failure = self._reader.failure
        if failure is not None:
            self.fault = _fault(failure)
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
            raise _fault(failure) from failure
        if not self.done:
            raise cut_short() from failure
        return out

    def _see(self, event: chat.Event) -> bytes:
        match event:
            case chat.TextDelta(text) | chat.ReasoningDelta(text):
                self.output_chars += len(text)
                self.output_events += bool(text)
            case chat.ToolDelta(_, arguments):
                self.output_chars += len(arguments)
                self.output_events += bool(arguments)
        self.started = self.started or not isinstance(event, chat.Opened)
        return self._writer.write(event)


class Anthropic:
    """An Adapter for api.anthropic.com, or what stands in for it; the base URL may or may not end in /v1."""

    def chat(
        self,
        provider: Provider,
        target_model: str,
        credential: Credential | None,
        head: Head,
        body: bytes,
        *,
        max_output_tokens: int | None = None,
    ) -> Outgoing:
        """As `Adapter.chat`."""
        request = openai_chat.read_request(body, head)
        written = anthropic_messages.write_request(request, target_model, max_output_tokens=max_output_tokens)
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream" if head.stream else "application/json",
            "user-agent": USER_AGENT,
            "anthropic-version": API_VERSION,
        }
        if credential is not None:
            headers["x-api-key"] = credential.api_key
        url = provider.base_url.rstrip("/").removesuffix("/v1") + "/v1/messages"
        return Outgoing(url, headers, written.body, written.dropped)

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> Finished:
        """As `Adapter.answer`; the time of the answer is that of its `date` header."""
        try:
            answer = anthropic_messages.read_answer(body, int(date_of(header(headers, "date")) or 0))
        except TollwayError as error:
            raise _fault(error) from error
        chars = answer.chars
        return Finished(openai_chat.write_answer(answer), answer.usage, chars)

    def stream(self, head: Head, model_name: str, *, created: int = 0) -> StreamRelay:
        """As `Adapter.stream`."""
        return AnthropicRelay(model_name=model_name, created=created, show_usage=head.include_usage)

    def error(self, status: int, headers: Mapping[str, str], body: bytes, *, now: float | None = None) -> ProviderFault:
        """As `Adapter.error`."""
        return fault_of(status, headers, body, now=now)
