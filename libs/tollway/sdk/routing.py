"""How a model's targets are tried again, left alone and raced, and what a provider allows a credential.

Field names, units and meanings are those of `proto/tollway/control/v1/catalog.proto`; None is the server's default.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Retries:
    """Further tries after the first (2; 0: none), and the most that they may be as a share of requests (0.1)."""

    attempts: int | None = None
    budget: float | None = None


@dataclass(frozen=True, kw_only=True)
class Breaker:
    """Whether a target that keeps failing is left alone for a while (it is)."""

    enabled: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Hedge:
    """A second call to another target when the first is slower than this share of calls (0.95) and so many seconds."""

    percentile: float | None = None
    least_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Quota:
    """What a provider allows one credential; None: not bounded here."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None


@dataclass(frozen=True, kw_only=True)
class CredentialCheck:
    """What a provider said of a key. `outcome` is accepted, refused, unproven, unreachable, blocked or unchecked.

    `status` is the HTTP status, 0: no answer. In the answer to an apply, `credential` is "<provider>/<credential>".
    """

    credential: str = ""
    outcome: str = ""
    status: int = 0
    detail: str = ""
    checked_at: datetime | None = None
