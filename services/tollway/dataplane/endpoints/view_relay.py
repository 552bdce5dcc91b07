"""Relays a stream whose events reach the client as they are, or nearly: a view of the dialect watches them pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tollway.core.dialects import sse
from tollway.core.dialects.ports import ErrorEvent
from tollway.core.errors import TollwayError
from tollway.core.usage import Usage
from tollway.dataplane.endpoints.faults import fault_of_answer
from tollway.dataplane.providers.faults import cut_short
from tollway.dataplane.providers.port import ProviderFault

Fail = Callable[[str, str, str, str | None], bytes]


class View(Protocol):
    """What a dialect sees of one stream, event by event; the fields are those of a StreamRelay."""

    @property
    def started(self) -> bool:
        """Content has been seen."""

    @property
    def done(self) -> bool:
        """The terminal event has been seen."""

    @property
    def failure(self) -> TollwayError | None:
        """ErrorEvent for an error event of the provider, TollwayError(provider_error) for garbage."""

    @property
    def output_chars(self) -> int:
        """Characters delivered."""

    @property
    def output_events(self) -> int:
        """How many events brought some of them."""

    @property
    def usage(self) -> Usage | None:
        """Token counts as last told."""


class Seeing(View, Protocol):
    """A View that changes nothing."""

    def see(self, block: bytes) -> bool:
        """Whether the client is shown this raw event. Never raises: see `failure` after."""


def seen(view: Seeing) -> Callable[[bytes], bytes]:
    """Passes on the raw events that the view lets through."""
    return lambda block: block if view.see(block) else b""


class ViewRelay:
    """A StreamRelay over a View.

    `pass_on` gives the bytes for the client for one raw event, its blank line included, and never raises; `fail` writes
    the dialect's error event; `finished` is called once, when the end has been seen.
    """

    __slots__ = ("_fail", "_finished", "_framer", "_pass_on", "_view", "fault")

    def __init__(
        self, view: View, pass_on: Callable[[bytes], bytes], fail: Fail, finished: Callable[[], None] | None = None
    ) -> None:
        self._view = view
        self._pass_on = pass_on
        self._fail = fail
        self._finished = finished
        self._framer = sse.Framer()
        self.fault: ProviderFault | None = None

    @property
    def started(self) -> bool:
        """As `StreamRelay.started`."""
        return self._view.started

    @property
    def done(self) -> bool:
        """As `StreamRelay.done`."""
        return self._view.done

    @property
    def usage(self) -> Usage | None:
        """As `StreamRelay.usage`."""
        return self._view.usage

    @property
    def output_chars(self) -> int:
        """As `StreamRelay.output_chars`."""
        return self._view.output_chars

    @property
    def output_events(self) -> int:
        """As `StreamRelay.output_events`."""
        return self._view.output_events

    def feed(self, data: bytes) -> bytes:
        """As `StreamRelay.feed`. What follows the end is not passed on."""
        if self.fault is not None:
            raise self.fault
        if self._view.done:
            return b""
        try:
            blocks = self._framer.feed(data)
        except TollwayError as error:
            self.fault = fault_of_answer(error)
            raise self.fault from error
        return self._pass(blocks)

    def end(self) -> bytes:
        """As `StreamRelay.end`. A last event without its blank line counts."""
        if self.fault is not None:
            raise self.fault
        if self._view.done:
            return b""
        rest = self._framer.rest()
        out = self._pass([rest.rstrip(b"\r\n") + b"\n\n"]) if rest.strip() else b""
        failure = self._view.failure
        if isinstance(failure, ErrorEvent):
            raise fault_of_answer(failure)
        if not self.done:
            raise cut_short()
        return out

    def fail(self, message: str, error_type: str, code: str, param: str | None = None) -> bytes:
        """As `StreamRelay.fail`."""
        return self._fail(message, error_type, code, param)

    def _pass(self, blocks: list[bytes]) -> bytes:
        """What the client is shown of the events. Raises the fault unless content comes before it."""
        view = self._view
        shown: list[bytes] = []
        for block in blocks:
            shown.append(self._pass_on(block))
            if view.failure is not None:
                break
            if view.done:
                if self._finished is not None:
                    self._finished()
                break
        out = b"".join(shown)
        if view.failure is not None:
            self.fault = fault_of_answer(view.failure)
            if not (out and view.started):
                raise self.fault
        return out
