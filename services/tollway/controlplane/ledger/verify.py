"""Recomputes the roll-ups from the rows and compares, in pieces that the database answers quickly. Reads only.

A piece is at most a day, and of fewer hours where a day has very many requests; whoever wants more asks again from
where the piece ended. What follows the sums by day (by week, and by day over all projects) is compared with them by
whole weeks: once for each week that a period touches, with the last piece that lies in it. Where retention has dropped
the rows, sums are all that there is: those by hour, day and week are compared with each other, a week in a piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.ledger.partitions import default_rows
from tollway.controlplane.ledger.periods import DAY, HOUR, LAST, WEEK, Span, clip, day_of, hour_of, id_days, week_of
from tollway.controlplane.ledger.retention import kept_from
from tollway.controlplane.ledger.rows import COLUMNS

_sql = Statements(__package__ or "")
MAX_DIFFERENCES = 100
PIECE_REQUESTS = 500_000
"""Requests in one piece, at most, unless one hour has more."""
CLOCK_DAYS = timedelta(days=40)
"""How far ids and times of a row may disagree and still be found: a clock that was wrong must not look like a loss."""
FIGURES = (
    "requests",
    "cached_requests",
    "errors",
    "unpriced",
    "cost_nano",
    "estimated_nano",
    *(name for name in COLUMNS),
)
_PROBLEMS = ("attempts_without_request", "adjustments_without_original")
_INFORMATION = ("requests_without_attempt",)


class Figure(msgspec.Struct, frozen=True):
    """A sum that differs: what the roll-up has, and what the rows add up to."""

    name: str
    kept: str
    counted: str


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A group of one hour, day or week whose sums differ. `provider` is empty for what is counted by request.

    `rollup` is "hour", "day", "week", or "total" for a day's sums over all projects, keys and users.
    """

    rollup: str
    begins: datetime
    organisation: str
    business_unit: str
    project: str
    key: str
    user: str
    model: str
    provider: str
    figures: list[Figure]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found, with the first ids; a `problem` means that the ledger is wrong."""

    check: str
    count: int
    examples: list[str]
    problem: bool


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """What was compared of [`begins`, `ends`), and what was found. `different` counts all, the list is bounded."""

    begins: datetime
    ends: datetime
    compared: int
    different: int
    differences: list[Difference]
    findings: list[Finding]

    @property
    def clean(self) -> bool:
        """No difference and no problem."""
        return not self.different and not any(found.problem and found.count for found in self.findings)


class _Compared(msgspec.Struct):
    begins: datetime
    organisation: str
    business_unit: str
    project: str
    key_id: str
    user_name: str
    model: str
    provider: str
    kept: list[str]
    counted: list[str]
    differs: bool
    compared: int
    different: int


class _Followed(_Compared):
    rollup: str


class _Busy(msgspec.Struct):
    begins: datetime
    requests: int


class _Found(msgspec.Struct):
    id: str
    found: int


class _Count(msgspec.Struct):
    rows: int


class _Day(msgspec.Struct):
    begins: datetime | None


class _Recount(msgspec.Struct):
    done: datetime


async def verify(db: Database, begin: datetime, end: datetime) -> Piece:
    """The first piece of [`begin`, `end`), which is widened to whole hours, and where no rows are kept to whole weeks.

    `db` shall be in a transaction whose snapshot holds (REPEATABLE READ), so that nothing comes in between.
    """
    await _sql.run(db, "report_memory")
    kept = await kept_from(db)
    if begin < kept and (old := await _sums_alone(db, clip(begin, min(end, kept)))) is not None:
        return old
    span = clip(max(begin, kept), end)
    begins = hour_of(span.begin)
    last = min(hour_of(span.end + HOUR - timedelta(microseconds=1)), day_of(begins) + DAY, LAST)
    if begins >= last:
        return Piece(begins=begins, ends=max(begins, span.end), compared=0, different=0, differences=[], findings=[])
    piece = Span(begins, await _until(db, Span(begins, last)))
    first_day, last_day = (piece.begin - CLOCK_DAYS).date(), (piece.end + CLOCK_DAYS).date()
    recount = await _sql.one(db, "recount_from", _Recount)
    hours = await _sql.all(
        db, "compare_hours", _Compared, begins=piece.begin, ends=piece.end, first_day=first_day, last_day=last_day,
        counted_until=LAST if recount is None else recount.done, limit=MAX_DIFFERENCES,
    )  # fmt: skip
    whole = day_of(piece.begin)
    days = await _sql.all(db, "compare_days", _Compared, begins=whole, ends=whole + DAY, limit=MAX_DIFFERENCES)
    weeks = await _weeks(db, piece.end, span.end)
    different = [_difference("hour", row) for row in hours if row.differs]
    different += [_difference("day", row) for row in days if row.differs]
    different += [_difference(row.rollup, row) for row in weeks if row.differs]
    return Piece(
        begins=piece.begin,
        ends=piece.end,
        compared=sum(rows[0].compared for rows in (hours, days, weeks) if rows),
        different=sum(rows[0].different for rows in (hours, days, weeks) if rows),
        differences=different[:MAX_DIFFERENCES],
        findings=await _findings(db, piece),
    )


async def _sums_alone(db: Database, span: Span) -> Piece | None:
    """The next week of a period whose rows retention has dropped: its sums, beside each other. None: there are none."""
    found = await _sql.one(db, "next_day", _Day, since=day_of(span.begin), until=span.end)
    if found is None or found.begins is None:
        return None
    week = week_of(found.begins)
    days = [week + number * DAY for number in range(7)]
    sums: list[Sequence[_Compared]] = [
        await _sql.all(db, "compare_days", _Compared, begins=day, ends=day + DAY, limit=MAX_DIFFERENCES) for day in days
    ]
    weeks = await _sql.all(db, "compare_weeks", _Followed, begins=week, ends=week + WEEK, limit=MAX_DIFFERENCES)
    different = [_difference("day", row) for rows in sums for row in rows if row.differs]
    different += [_difference(row.rollup, row) for row in weeks if row.differs]
    sums.append(weeks)
    return Piece(
        begins=max(span.begin, week),
        ends=min(span.end, week + WEEK),
        compared=sum(rows[0].compared for rows in sums if rows),
        different=sum(rows[0].different for rows in sums if rows),
        differences=different[:MAX_DIFFERENCES],
        findings=[],
    )


async def _weeks(db: Database, reached: datetime, end: datetime) -> Sequence[_Followed]:
    """The week that ends where a piece does, or that the last piece of a period lies in; nothing in between."""
    week = week_of(reached - HOUR)
    if reached < end and reached < week + WEEK:
        return ()
    return await _sql.all(db, "compare_weeks", _Followed, begins=week, ends=week + WEEK, limit=MAX_DIFFERENCES)


async def _until(db: Database, span: Span) -> datetime:
    """The end of a piece that is not too large; at least an hour."""
    requests = 0
    for hour in await _sql.all(db, "requests_by_hour", _Busy, begins=span.begin, ends=span.end):
        requests += hour.requests
        if requests > PIECE_REQUESTS and hour.begins > span.begin:
            return hour.begins
    return span.end


def _difference(rollup: str, row: _Compared) -> Difference:
    pairs = zip(FIGURES, row.kept, row.counted, strict=True)
    return Difference(
        rollup=rollup,
        begins=row.begins,
        organisation=row.organisation,
        business_unit=row.business_unit,
        project=row.project,
        key=row.key_id,
        user=row.user_name,
        model=row.model,
        provider=row.provider,
        figures=[Figure(name, kept, counted) for name, kept, counted in pairs if kept != counted],
    )


async def _findings(db: Database, piece: Span) -> list[Finding]:
    first_day, last_day = id_days(piece)
    findings = []
    for check in (*_PROBLEMS, *_INFORMATION):
        found = await _sql.all(
            db, check, _Found, begins=piece.begin, ends=piece.end, first_day=first_day, last_day=last_day
        )
        if found:
            examples = [row.id for row in found]
            findings.append(Finding(check=check, count=found[0].found, examples=examples, problem=check in _PROBLEMS))
    quarantined = await _sql.one(db, "quarantined_rows", _Count)
    for check, count in (
        ("default_partition", await default_rows(db)),
        ("quarantine", quarantined.rows if quarantined is not None else 0),
    ):
        if count:
            findings.append(Finding(check=check, count=count, examples=[], problem=False))
    return findings
