"""Notices of data planes as firings. Pure but for the look at whom they concern.

What a notice brings comes from another process: kinds that are not known are left out, texts are cut and cleaned.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from tollway.controlplane.alerts import budgets, postgres
from tollway.controlplane.alerts.crossings import exhausted
from tollway.controlplane.alerts.model import AlertKind, Concern, Firing, Severity
from tollway.controlplane.alerts.sources import KEEP
from tollway.controlplane.db.statements import Database
from tollway.core.money import format_dollars
from tollway.core.notices import Notice, NoticeKind

MAX_NAME = 200
MAX_DETAIL = 500
MAX_NOTICES = 1_000
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
_KINDS = {
    NoticeKind.BUDGET_REFUSED: (AlertKind.BUDGET_EXHAUSTED, Severity.CRITICAL, DAY_MS),
    NoticeKind.CREDENTIAL_FAILED: (AlertKind.CREDENTIAL_FAILED, Severity.CRITICAL, DAY_MS),
    NoticeKind.SPOOL_PRESSURE: (AlertKind.SPOOL_PRESSURE, Severity.WARNING, DAY_MS),
    NoticeKind.BOUND_EXCEEDED: (AlertKind.BOUND_EXCEEDED, Severity.CRITICAL, DAY_MS),
    NoticeKind.COUNTERS_AWAY: (AlertKind.COUNTERS_AWAY, Severity.CRITICAL, HOUR_MS),
    NoticeKind.COUNTERS_REBUILT: (AlertKind.COUNTERS_REBUILT, Severity.WARNING, HOUR_MS),
    NoticeKind.UNATTRIBUTED: (AlertKind.UNATTRIBUTED, Severity.CRITICAL, HOUR_MS),
}
"""Kind of alert, severity, and the window in which it fires once for each subject."""


def clean(text: str, length: int = MAX_NAME) -> str:
    """Text as it can be stored and shown: no control characters, not long."""
    return "".join(char if char.isprintable() else "�" for char in text[:length])


def summary(notice: Notice, name: str) -> str:
    """A notice in a sentence."""
    who = f"{notice.scope.replace('_', ' ')} {name}".strip() or "the installation"
    amount = f"{format_dollars(notice.amount_nano)} US dollars"
    match notice.kind:
        case NoticeKind.CREDENTIAL_FAILED:
            return f"the provider {notice.provider} refuses our credential {notice.credential or '(none)'}"
        case NoticeKind.SPOOL_PRESSURE:
            return f"{notice.code} % full: {notice.detail or notice.subject}"
        case NoticeKind.BOUND_EXCEEDED:
            return f"a request of {who} cost more than the bound that it was reserved with, by {amount}"
        case NoticeKind.COUNTERS_AWAY:
            return f"the counters of budgets and limits of {who} do not answer: hard budgets refuse what is not held"
        case NoticeKind.COUNTERS_REBUILT:
            return f"the counters of budgets and limits of {who} were lost and are rebuilt from the ledger"
        case NoticeKind.UNATTRIBUTED:
            return f"{amount} of {who} were spent without a row in the ledger that accounts for them"
    return f"the budget of {who} is used up: requests are refused"


async def firing(db: Database, notice: Notice) -> Firing | None:
    """The alert that a notice makes; None for a kind that is not known."""
    try:
        kind = NoticeKind(notice.kind)
    except ValueError:
        return None
    scope, subject = clean(notice.scope), clean(notice.subject)
    if kind is NoticeKind.BUDGET_REFUSED and (found := await budgets.load(db, scope=scope, subject=subject, limit=1)):
        return exhausted(found[0].watched(), notice.at_ms)
    alert, severity, window = _KINDS[kind]
    concern = await postgres.concern(db, scope, subject) or Concern()
    name = getattr(concern, scope, "") or subject
    start = notice.at_ms - notice.at_ms % window
    parts = (alert, scope, name, clean(notice.provider), clean(notice.credential), clean(notice.code), str(start))
    details = {
        "provider": clean(notice.provider),
        "credential": clean(notice.credential),
        "code": clean(notice.code),
        "detail": clean(notice.detail, MAX_DETAIL),
        "amount": format_dollars(notice.amount_nano) if notice.amount_nano else "",
    }
    return Firing(
        kind=alert,
        severity=Severity.CRITICAL if notice.code == "90" else severity,
        crossing="|".join(parts),
        summary=clean(summary(notice, name), MAX_DETAIL),
        scope=scope,
        subject=name,
        concern=concern,
        details={name: value for name, value in details.items() if value},
        occurrences=max(notice.count, 1),
        forget_ms=start + int(KEEP.total_seconds() * 1000),
    )


async def firings(db: Database, notices: Sequence[Notice], replica: str, lost: int, now_ms: int) -> list[Firing]:
    """The alerts that a report makes. A time that lies far off is the receiver's."""
    made = []
    for notice in notices[:MAX_NOTICES]:
        timely = now_ms - DAY_MS <= notice.at_ms <= now_ms + HOUR_MS
        told = notice if timely else _at(notice, now_ms)
        if (found := await firing(db, told)) is not None:
            made.append(found)
    if lost > 0:
        day = datetime.fromtimestamp(now_ms / 1000, UTC)
        text = f"{lost} notices of {clean(replica)} were lost: too many different ones between two reports"
        made.append(
            Firing(
                kind=AlertKind.NOTICES_LOST,
                severity=Severity.WARNING,
                crossing=f"{AlertKind.NOTICES_LOST}|{day:%Y-%m-%d}",
                summary=text,
                occurrences=lost,
                forget_ms=now_ms + int(KEEP.total_seconds() * 1000),
            )
        )
    return made


def _at(notice: Notice, at_ms: int) -> Notice:
    return Notice(**{name: getattr(notice, name) for name in notice.__struct_fields__ if name != "at_ms"}, at_ms=at_ms)
