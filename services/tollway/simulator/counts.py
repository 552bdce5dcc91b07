"""What the simulator was asked for and what it served: exact sums, and the last requests one by one.

At any time received = completed + aborted + failed + open, and every sum is of requests received since the last reset.
A request is received when its whole body has arrived. `completed`: the last byte was written. `aborted`: the client
left before that. `failed`: a fault, or a request that was refused.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

MAX_NAMES = 10_000
OTHER = "(other)"
"""Under this name models are summed once there are too many."""


class Record(msgspec.Struct, kw_only=True):
    """One request. Times are Unix milliseconds; tokens are those of the whole answer but for `delivered_tokens`."""

    id: str
    attempt: str | None
    """The header `x-tollway-attempt`, else `x-client-request-id`."""
    endpoint: str
    received_ms: int
    model: str = ""
    stream: bool = False
    status: int = 0
    outcome: str = "open"
    """open, completed, aborted or failed."""
    fault: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    delivered_tokens: int = 0
    """Tokens in what was written to the connection; hidden reasoning is never delivered."""
    usage_sent: bool = False
    """Whether the client was told the usage."""
    ended_ms: int | None = None


class Sums(msgspec.Struct):
    """Sums over requests. Prompt and completion tokens are those of completed requests."""

    received: int = 0
    completed: int = 0
    aborted: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    delivered_tokens: int = 0
    """Of all requests, whatever became of them."""

    def end(self, record: Record) -> None:
        """Adds an ended request."""
        self.delivered_tokens += record.delivered_tokens
        match record.outcome:
            case "completed":
                self.completed += 1
                self.prompt_tokens += record.prompt_tokens
                self.cached_tokens += record.cached_tokens
                self.completion_tokens += record.completion_tokens
            case "aborted":
                self.aborted += 1
            case _:
                self.failed += 1


class Counts:
    """The sums and records since the last reset."""

    def __init__(self, max_records: int) -> None:
        self._max_records = max_records
        self._open: dict[str, Record] = {}
        self.reset()

    def reset(self) -> None:
        """Starts anew. Requests that are open stay open and are not counted again when they end."""
        self._stale = set(self._open)
        self.incomplete = 0
        """Requests whose body never arrived."""
        self._total = Sums()
        self._by_endpoint: dict[str, Sums] = {}
        self._by_model: dict[str, Sums] = {}
        self._records: deque[Record] = deque(maxlen=self._max_records)

    def begin(self, record: Record) -> None:
        """A request was received. Its model is known once it is read: see `read`."""
        self._open[record.id] = record
        self._total.received += 1
        self._endpoint(record).received += 1

    def read(self, record: Record, model: str) -> None:
        """The model of a request is known."""
        record.model = model
        if record.id not in self._stale:
            self._model(model).received += 1

    def end(self, record: Record, outcome: str, now_ms: int) -> None:
        """A request came to its end; only the first call counts."""
        if self._open.pop(record.id, None) is None:
            return
        record.outcome, record.ended_ms = outcome, now_ms
        if record.id in self._stale:
            self._stale.discard(record.id)
            return
        self._records.append(record)
        self._total.end(record)
        self._endpoint(record).end(record)
        if record.model:
            self._model(record.model).end(record)

    def _endpoint(self, record: Record) -> Sums:
        return self._by_endpoint.setdefault(record.endpoint, Sums())

    def _model(self, model: str) -> Sums:
        found = self._by_model.get(model)
        if found is None:
            name = model if len(self._by_model) < MAX_NAMES else OTHER
            found = self._by_model.setdefault(name, Sums())
        return found

    def shown(self) -> dict[str, Any]:
        """The sums, in all, by endpoint and by model."""
        return {
            **msgspec.structs.asdict(self._total),
            "open": len(self._open) - len(self._stale),
            "open_requests": len(self._open),
            "incomplete": self.incomplete,
            "by_endpoint": {name: msgspec.structs.asdict(sums) for name, sums in self._by_endpoint.items()},
            "by_model": {name: msgspec.structs.asdict(sums) for name, sums in self._by_model.items()},
        }

    def records(self, limit: int, model: str = "", attempt: str = "") -> list[Record]:
        """The last requests, newest last, those still open at the end; of one model or attempt where given."""
        fresh = [record for record in self._open.values() if record.id not in self._stale]
        found = [
            record
            for record in (*self._records, *fresh)
            if (not model or record.model == model) and (not attempt or record.attempt == attempt)
        ]
        return found[-limit:] if limit else []
