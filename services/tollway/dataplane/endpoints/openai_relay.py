"""Relays a stream of an OpenAI-shaped provider: its events reach the client as the bytes that they are.

Owns what has to be seen on the way: the commit point, errors, usage, the end. It changes nothing but hides the usage
chunk that only the gateway asked for.
"""

from __future__ import annotations

from tollway.core.dialects import sse
from tollway.core.dialects.openai_chat import DONE, Received, read_received, read_usage, write_error_event
from tollway.core.errors import TollwayError
from tollway.core.usage import Usage
from tollway.dataplane.providers.faults import cut_short, fault_in_stream, garbage
from tollway.dataplane.providers.port import ProviderFault
from tollway.dataplane.providers.told import NOTHING, read_told


class OpenAIRelay:
    """A StreamRelay without translation."""

    __slots__ = ("_framer", "_show_usage", "done", "fault", "output_chars", "output_events", "started", "usage")

    def __init__(self, *, show_usage: bool) -> None:
        """`show_usage`: the client asked for the usage chunk."""
        self._framer = sse.Framer()
        self._show_usage = show_usage
        self.started = False
        self.done = False
        self.usage: Usage | None = None
        self.output_chars = 0
        self.output_events = 0
        self.fault: ProviderFault | None = None

    def feed(self, data: bytes) -> bytes:
        """As `StreamRelay.feed`. What follows the end is not passed on."""
        if self.fault is not None:
            raise self.fault
        if self.done:
            return b""
        shown: list[bytes] = []
        payload = sse.lone_data(data) if self._framer.idle else None
        if payload is not None:  # by far the most common case: one chunk, whole
            try:
                return data if self._see_data(payload) else b""
            except ProviderFault as fault:
                self.fault = fault
                raise
        try:
            # Lazily, so that what came before a fault is in the list when the fault is raised.
            shown.extend(block for block in self._framer.feed(data) if self._see(block))
        except ProviderFault as fault:
            self._failed(fault, shown)
        except TollwayError as error:
            self._failed(garbage(error.message.rstrip(".")), shown)
        return b"".join(shown)

    def _failed(self, fault: ProviderFault, shown: list[bytes]) -> None:
        """Raise now, or, when content came first in the same bytes, after it has been passed on."""
        self.fault = fault
        if not (shown and self.started):
            raise fault

    def end(self) -> bytes:
        """As `StreamRelay.end`. A last `[DONE]` without its blank line is accepted."""
        if self.fault is not None:
            raise self.fault
        if self.done:
            return b""
        rest = self._framer.rest()
        event = sse.read_event(rest)
        if event.data is not None and event.data.strip() == b"[DONE]":
            self.done = True
            return DONE
        told = read_told(event.data or rest)
        raise cut_short() if told is NOTHING or not told.message else fault_in_stream(told)

    def fail(self, message: str, error_type: str, code: str, param: str | None = None) -> bytes:
        """As `StreamRelay.fail`."""
        return write_error_event(message, error_type, code, param)

    def _see(self, block: bytes) -> bool:
        """Whether the client is shown the event. Raises ProviderFault on an error event and on garbage."""
        if self.done:
            return False
        event = sse.read_event(block)
        data = event.data
        if event.junk:
            told = read_told(block)
            raise garbage("it is not an event stream") if told is NOTHING else fault_in_stream(told)
        return data is None or self._see_data(data, event.name)

    def _see_data(self, data: bytes, name: str = "") -> bool:
        """As `_see`, for the data of an event of this name."""
        try:
            chunk = read_received(data)
        except ValueError:
            if data.strip() == b"[DONE]":
                self.done = True
                return True
            if not data.strip():
                return True
            raise garbage("an event of the stream is not a chat completion chunk") from None
        if chunk.error or chunk.object == "error" or name == "error":
            raise fault_in_stream(read_told(data))
        return self._take(chunk)

    def _take(self, chunk: Received) -> bool:
        chars = chunk.chars()
        if chars:
            self.output_chars += chars
            self.output_events += 1
        if not self.started and chunk.bears():
            self.started = True
        if chunk.usage:
            self.usage = read_usage(chunk.usage) or self.usage
            return self._show_usage or bool(chunk.choices)
        return True
