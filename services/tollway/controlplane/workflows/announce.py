"""Tells the alert channels what happens to requests: the same signed webhooks and e-mails, in the same transaction.

A receiver can decide by calling the API with the id that it is told, so that an organisation's own workflow can.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from tollway.controlplane.alerts import postgres as alerts
from tollway.controlplane.alerts.model import AlertKind, Concern, Firing, Severity
from tollway.controlplane.db.statements import Database
from tollway.controlplane.identity.model import ORGANISATION
from tollway.controlplane.workflows.rows import ApprovalRow, milliseconds
from tollway.core.approvals.model import Approvers, Case, State

KEEP = timedelta(days=400)
MAX_DETAIL = 500


async def announce(db: Database, row: ApprovalRow, case: Case, event: str, by: str, now: datetime) -> None:
    """Fires `event` (requested, approved, reminded, ...) of a request that now stands as `case` says."""
    waiting = case.state is State.PENDING
    what = row.kind.value.replace("_", " ")
    summary = f"{row.requester} asks for {what}: {event}" + (f" by {by}" if by else "")
    details = {
        "event": event,
        "approval": str(row.id),
        "request": row.kind.value,
        "requester": row.requester,
        "state": case.state.value,
        "by": by,
        "reason": _clean(row.reason),
        "subject": row.terms.subject or row.terms.project,
        "amount": row.terms.amount,
        "approvers": _who(case) if waiting else "",
        "rule": row.rule,
    }
    firing = Firing(
        kind=AlertKind.APPROVAL_WAITING if waiting else AlertKind.APPROVAL_ENDED,
        severity=Severity.INFO,
        crossing=f"approval|{row.id}|{event}|{milliseconds(now)}|{len(case.votes)}",
        summary=_clean(summary),
        scope="project" if row.project_id else "business_unit" if row.unit_id else "",
        subject=row.project or row.business_unit,
        concern=Concern(organisation=ORGANISATION, business_unit=row.business_unit, project=row.project),
        details={name: value for name, value in details.items() if value},
        forget_ms=milliseconds(now + KEEP),
    )
    await alerts.fire(db, firing, now)


def _clean(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)[:MAX_DETAIL]


def _who(case: Case) -> str:
    named: list[Approvers] = [case.steps[case.step].approvers]
    if case.escalated:
        named.append(case.timing.escalate_to)
    people = [person for approvers in named for person in approvers.people]
    roles = [f"role {approvers.role}" for approvers in named if approvers.role]
    return _clean(", ".join(dict.fromkeys([*people, *roles])))
