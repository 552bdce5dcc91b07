"""Tells the alert channels what happens to requests: the same signed webhooks and e-mails, in the same transaction.

A receiver can decide by calling the API with the id that it is told, so that an organisation's own workflow can.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from tollway.controlplane.alerts import postgres as alerts
from tollway.controlplane.alerts.model import AlertKind, Concern, Firing, Severity
from tollway.controlplane.db.statements import Database
from tollway.controlplane.identity.model import ORGANISATION
from tollway.controlplane.workflows import postgres
from tollway.controlplane.workflows.rows import ApprovalRow, milliseconds
from tollway.core.approvals.model import Approvers, Case, State

KEEP = timedelta(days=400)
MAX_DETAIL = 500
MAX_ADDRESSES = 50
"""How many people get one mail."""


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
    fired = await alerts.fire(db, firing, now)
    if fired is not None and (addresses := await _addresses(db, row, case, by, now)):
        await alerts.address_people(db, fired, addresses)


async def _addresses(db: Database, row: ApprovalRow, case: Case, by: str, now: datetime) -> list[str]:
    """Where mail goes: to who may decide now and who stands in for them; of what has ended, to who asked."""
    if case.state is not State.PENDING:
        named = [Approvers(people=(row.requester,))]
    else:
        named = _deciding(case)
    return await postgres.addresses(
        db,
        people=[person for approvers in named for person in approvers.people],
        roles=[approvers.role for approvers in named if approvers.role],
        unit=row.unit_id,
        project=row.project_id,
        # Nobody is told what they did themselves, nor asked to decide about themselves.
        but=[by] if case.state is not State.PENDING else [by, row.requester],
        now=now,
        limit=MAX_ADDRESSES,
    )


def _clean(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)[:MAX_DETAIL]


def _deciding(case: Case) -> list[Approvers]:
    named = [case.steps[case.step].approvers]
    return [*named, case.timing.escalate_to] if case.escalated else named


def _who(case: Case) -> str:
    named = _deciding(case)
    people = [person for approvers in named for person in approvers.people]
    roles = [f"role {approvers.role}" for approvers in named if approvers.role]
    return _clean(", ".join(dict.fromkeys([*people, *roles])))
