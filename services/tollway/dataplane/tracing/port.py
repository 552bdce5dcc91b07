"""What the pipeline tells of a request that is traced. Where nothing is traced there is no tracer: None, and no call.

Owns the contract alone. No body, no key, no header's value but the trace's own goes into a span.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tollway.core.ledger import AttemptRow
from tollway.core.operations import Operation


@dataclass(slots=True)
class SpanCounts:
    """What became of spans, since the start. Those of a full queue were never offered to the collector."""

    exported: int = 0
    queue_full: int = 0
    failed: int = 0


class Ended(NamedTuple):
    """How a request ended. `model` is what it was routed as, "" where it did not come so far; `error_code` None: well.

    `status` 499: the client left. `attempts` counts the calls that were made for it. `cache` is one of `Cached`.
    """

    status: int
    error_code: str | None
    model: str
    project: str
    stream: bool
    attempts: int
    cache: str = ""


class CallSpan(Protocol):
    """One upstream call."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What the provider is told of the trace."""

    def content(self, data: bytes, seconds: float | None) -> None:
        """The answer's first bytes are here; of a stream also `seconds` after the call. Only the model is read."""

    def end(self, row: AttemptRow) -> None:
        """The call is over and booked so."""


class RequestSpan(Protocol):
    """One client request."""

    def call(self, provider_kind: str, provider: str, model: str) -> CallSpan:
        """An upstream call begins: to a provider of this kind and name, for its own `model`."""

    def end(self, ended: Ended) -> None:
        """The request is over."""


class Tracer(Protocol):
    """Where spans go. One for each process."""

    @property
    def counts(self) -> SpanCounts:
        """What became of the spans so far."""

    def request(self, path: str, operation: Operation, request_id: str, headers: Mapping[str, str]) -> RequestSpan:
        """A request begins; it goes on the trace that its headers name (W3C `traceparent`), or begins one."""

    async def close(self) -> None:
        """Sends what is left, within seconds."""
