"""The rows of the ledger: one for each client request, one for each upstream call it caused.

Cost lives in attempts. Identifiers are UUIDv7 in text and ours alone. Times are Unix milliseconds. These values are
written to a process's journal, shipped, and inserted: the same fields all the way.
"""

from __future__ import annotations

import msgspec

from tollway.core.usage import Usage


class Outcome:
    """How a call ended; plain strings, so that a row of a newer version can still be stored."""

    OK = "ok"
    ERROR = "error"
    CLIENT_CLOSED = "client_closed"
    CANCELLED = "cancelled"
    """Another call of the same request answered first."""
    LOST = "lost"
    """The process died; what is known comes from its journal."""


class Cached:
    """What the response cache did for a request; plain strings, for the same reason."""

    NO = ""
    """Nothing: it was off."""
    MISS = "miss"
    HIT = "hit"
    """A kept answer was given: no call, no cost."""
    SHARED = "shared"
    """The answer of a call that another request made at the same time was given: no call of its own, no cost."""


class AttemptRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One upstream call. `cost_nano` is nano-dollars; None of `price_version` means that no price was known."""

    id: str
    number: int
    provider: str
    provider_kind: str
    target_model: str
    credential: str = ""
    started_ms: int
    ended_ms: int = 0
    first_byte_ms: int | None = None
    status: int | None = None
    outcome: str = Outcome.OK
    error_code: str | None = None
    usage: Usage = Usage()
    cost_nano: int = 0
    price_version: str | None = None
    estimated: bool = False
    provider_request_id: str | None = None


class RequestRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One client request with its attempts.

    `client_request_id` is the caller's own `x-request-id`, if any; `user` is who the key belongs to, if anybody.
    `cache` is one of `Cached`.
    """

    id: str
    organisation: str
    business_unit: str
    project: str
    key_id: str
    key_public_id: str
    endpoint: str
    model: str
    stream: bool = False
    started_ms: int
    ended_ms: int = 0
    status: int | None = None
    outcome: str = Outcome.OK
    error_code: str | None = None
    client_request_id: str | None = None
    tags: dict[str, str] = {}
    user: str = ""
    cache: str = Cached.NO
    attempts: tuple[AttemptRow, ...] = ()
