"""The ledger itself: whether its sums are what its rows say, and how long rows are kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tollway.sdk.codec import timestamp
from tollway.sdk.paging import typed
from tollway.sdk.transport import Transport


@dataclass(frozen=True, kw_only=True)
class LedgerFigure:
    """A sum that differs: what is kept, and what the rows add up to."""

    name: str = ""
    kept: str = "0"
    counted: str = "0"


@dataclass(frozen=True, kw_only=True)
class LedgerDifference:
    """A group of one hour or day (`rollup`) whose sums differ."""

    rollup: str = ""
    begins: datetime | None = None
    organisation: str = ""
    business_unit: str = ""
    project: str = ""
    key: str = ""
    user: str = ""
    model: str = ""
    provider: str = ""
    figures: list[LedgerFigure] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class LedgerFinding:
    """What a check found; a `problem` means that the ledger is wrong."""

    check: str = ""
    count: int = 0
    examples: list[str] = field(default_factory=list)
    problem: bool = False


@dataclass(frozen=True, kw_only=True)
class LedgerPiece:
    """What was compared of [`begins`, `ends`); `different` counts all differences, the list has the first 100."""

    begins: datetime
    ends: datetime
    compared: int = 0
    different: int = 0
    differences: list[LedgerDifference] = field(default_factory=list)
    findings: list[LedgerFinding] = field(default_factory=list)
    clean: bool = False


@dataclass(frozen=True, kw_only=True)
class LedgerRetained:
    """The partitions that went, or would go; `horizon` is the first day that can still have rows."""

    partitions: list[str] = field(default_factory=list)
    horizon: str = ""


class Ledger:
    """`/api/v1/ledger`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def verify(self, *, start: datetime, end: datetime) -> Iterator[LedgerPiece]:
        """Compares the roll-ups with the rows from `start` until before `end`, piece by piece."""
        reached = start
        while reached < end:
            query: dict[str, Any] = {"from": timestamp(reached), "to": timestamp(end)}
            piece = typed(LedgerPiece, self._transport.call("GET", "/api/v1/ledger:verify", query=query))
            yield piece
            if piece.ends <= reached:
                return
            reached = piece.ends

    def retain(self, *, days: int = 0, dry_run: bool = False) -> LedgerRetained:
        """Drops the partitions of which every day is older; `days` 0: what the server is set to."""
        body = {"days": days, "dry_run": dry_run}
        return typed(LedgerRetained, self._transport.call("POST", "/api/v1/ledger:retain", body=body))
