"""What the evaluator looks at beside budgets: spend by the hour, the ledger's own state, the request log's losses.

Every query is bounded, and reads roll-ups or small tables. What is found becomes firings; whether they fire anew is
decided by their crossings.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta

import msgspec

from tollway.controlplane.alerts import anomaly, postgres
from tollway.controlplane.alerts.model import AlertKind, Concern, Firing, Severity
from tollway.controlplane.db.statements import Database, Statements
from tollway.core.money import format_dollars

_SQL = Statements(__package__ or "")
KEEP = timedelta(days=400)
"""How long an alert stays in the log after its crossing."""
MAX_PROJECTS = 1_000


class _HourSpend(msgspec.Struct, frozen=True):
    project: str
    begins: datetime
    nano: int


class _AuditCheck(msgspec.Struct, frozen=True):
    organisation: str
    found: int
    kind: str
    seq: int
    detail: str


class _Check(msgspec.Struct, frozen=True):
    id: int
    begins: datetime
    ends: datetime
    found: int


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _day(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _daily(kind: AlertKind, severity: Severity, day: datetime, summary: str, **details: str) -> Firing:
    """An alert on the installation that fires once a day (UTC)."""
    return Firing(
        kind=kind,
        severity=severity,
        crossing=f"{kind}|{day:%Y-%m-%d}",
        summary=summary,
        details=details,
        forget_ms=_milliseconds(day + KEEP),
    )


async def anomalies(db: Database, now: datetime) -> list[Firing]:
    """Projects whose spend in the hour under way, or in the one before, is unusual."""
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    looked_at = [hour, hour - timedelta(hours=1)]
    large = await _SQL.all(db, "hours_over", _HourSpend, hours=looked_at, floor=anomaly.FLOOR_NANO, limit=MAX_PROJECTS)
    if not large:
        return []
    days = range(1, anomaly.DAYS + 1)
    hours = [begins - timedelta(days=day) for begins in looked_at for day in days]
    found = await _SQL.all(db, "hours_of", _HourSpend, hours=hours, projects=[spend.project for spend in large])
    spent: dict[tuple[str, datetime], int] = defaultdict(int, {(row.project, row.begins): row.nano for row in found})
    firings = []
    for spend in large:
        before = [spent[spend.project, spend.begins - timedelta(days=day)] for day in days]
        if anomaly.is_anomaly(spend.nano, before):
            firings.append(_anomaly(spend, before, await postgres.concern(db, "project", spend.project)))
    return firings


def _anomaly(spend: _HourSpend, before: list[int], concern: Concern | None) -> Firing:
    name = concern.project if concern is not None else spend.project
    usual, begins = format_dollars(anomaly.usual(before)), spend.begins.astimezone(UTC)
    return Firing(
        kind=AlertKind.SPEND_ANOMALY,
        severity=Severity.WARNING,
        crossing=f"{AlertKind.SPEND_ANOMALY}|{spend.project}|{_milliseconds(spend.begins)}",
        summary=f"project {name} spent {format_dollars(spend.nano)} US dollars in the hour from "
        f"{begins:%Y-%m-%d %H:%M} UTC; usual at this hour are {usual}",
        scope="project",
        subject=name,
        concern=concern or Concern(),
        details={"spent": format_dollars(spend.nano), "usual": usual, "hour": f"{begins:%Y-%m-%dT%H:%MZ}"},
        forget_ms=_milliseconds(spend.begins + KEEP),
    )


async def ledger_state(db: Database, now: datetime) -> list[Firing]:
    """Rows in quarantine, rows in the default partitions, and differences that the ledger's checks found."""
    day = _day(now)
    firings = []
    if rows := await postgres.quarantined_since(db, day):
        text = f"{rows} ledger rows came into quarantine on {day:%Y-%m-%d} (UTC): they are kept, and not in any report"
        firings.append(_daily(AlertKind.QUARANTINED_ROWS, Severity.CRITICAL, day, text, rows=str(rows)))
    if rows := await postgres.unpartitioned(db):
        text = f"{rows} ledger rows are in the default partition: a clock is wrong, or partitions were not made"
        firings.append(_daily(AlertKind.UNPARTITIONED_ROWS, Severity.WARNING, day, text, rows=str(rows)))
    for check in await _SQL.all(db, "checks_with_differences", _Check, since=day):
        first = check.begins.astimezone(UTC)
        kind = AlertKind.LEDGER_DIFFERENCE
        firings.append(
            Firing(
                kind=kind,
                severity=Severity.CRITICAL,
                crossing=f"{kind}|{first:%Y-%m-%d}|{day:%Y-%m-%d}",
                summary=f"the roll-ups from {first:%Y-%m-%d %H:%M} UTC on differ from the ledger's rows in "
                f"{check.found} sums",
                details={"check": str(check.id), "differences": str(check.found)},
                forget_ms=_milliseconds(day + KEEP),
            )
        )
    return firings


async def request_log_state(db: Database, now: datetime) -> list[Firing]:
    """Bodies of the request log that were lost today."""
    day = _day(now)
    lost = await postgres.bodies_lost(db, day)
    dropped, refused = lost.dropped or 0, lost.refused or 0
    if not dropped + refused:
        return []
    text = f"the request log lost {dropped + refused} bodies on {day:%Y-%m-%d} (UTC); the ledger has every request"
    counts = {"dropped": str(dropped), "refused": str(refused)}
    return [_daily(AlertKind.BODIES_DROPPED, Severity.WARNING, day, text, **counts)]


async def audit_state(db: Database, now: datetime) -> list[Firing]:
    """Breaks of the audit log's chain that its checks found today; each fires once, and again when there are others."""
    firings = {}
    for check in await _SQL.all(db, "broken_audit", _AuditCheck, since=_day(now)):
        kind = AlertKind.AUDIT_BROKEN
        crossing = f"{kind}|{check.organisation}|{check.kind}|{check.seq}|{check.found}"
        firings[crossing] = Firing(
            kind=kind,
            severity=Severity.CRITICAL,
            crossing=crossing,
            summary=f"the audit log is not what was written, from entry {check.seq} on: {check.detail}",
            details={"problems": str(check.found), "kind": check.kind, "seq": str(check.seq)},
        )
    return list(firings.values())


ALL = (anomalies, ledger_state, request_log_state, audit_state)
