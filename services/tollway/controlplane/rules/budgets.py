"""Use cases of budgets.

Changes lock the budget first, so that of two administrators who read the same etag exactly one succeeds. A budget keeps
its id while it is changed, and with it what was counted; one that is made after a removal is another one.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.resources import (
    ABSENT,
    changed_fields,
    check_etag,
    from_ms,
    not_found,
    page_limit,
    page_start,
    page_token,
)
from tollway.controlplane.rules import checks, postgres
from tollway.controlplane.rules.model import (
    Budget,
    GetBudgetRequest,
    IncreaseBudgetRequest,
    ListBudgetsRequest,
    ListBudgetsResponse,
    RemoveBudgetRequest,
    RemoveBudgetResponse,
    RevokeIncreaseRequest,
    Scope,
    SetBudgetRequest,
    Subject,
)
from tollway.controlplane.rules.rows import BudgetRow, IncreaseRow, Terms, audit_form
from tollway.controlplane.rules.state import states
from tollway.controlplane.rules.subjects import BUDGET_SCOPES, FIELD, publish, resolve
from tollway.core.rules import Mode, Period

_TERMS = frozenset({"limit", "period", "timezone", "fiscal_start", "mode", "carry_over", "alerts"})


def _now(call: Call) -> datetime:
    return from_ms(call.clock.now_ms())


async def _subject(call: Call, reference: str, *, change: bool = False) -> Subject:
    subject = await resolve(call.db, reference, change=change)
    if subject.scope is Scope.MODEL:
        raise ApiError(ApiCode.INVALID, "subject: a model has no budget; it can have limits", field=FIELD)
    return subject


def _missing(subject: Subject) -> ApiError:
    return not_found("budget of", subject.reference, FIELD)


def _check_etag(etag: str, row: BudgetRow) -> None:
    check_etag(etag, row.id, row.revision, f"the budget of {row.reference!r}")


async def _held(call: Call, reference: str, etag: str) -> tuple[Subject, BudgetRow, list[IncreaseRow]]:
    """The budget of a subject, locked, with its increases."""
    subject = await _subject(call, reference, change=True)
    row = await postgres.budget(call.db, subject, "_for_update")
    if row is None:
        raise _missing(subject)
    _check_etag(etag, row)
    increases = await postgres.increases(call.db, [row.id], _now(call))
    return subject, row, increases[row.id]


async def _views(call: Call, rows: list[BudgetRow]) -> list[Budget]:
    increases = await postgres.increases(call.db, [row.id for row in rows], _now(call))
    found = await states(call.db, rows, increases, call.clock.now_ms())
    return [row.view(increases[row.id], found[row.id]) for row in rows]


async def _changed(call: Call, subject: Subject, before: BudgetRow | None, increases: list[IncreaseRow]) -> Budget:
    """Audits and publishes what was done to a budget; returns its present form."""
    row = await postgres.budget(call.db, subject)
    assert row is not None
    now_has = (await postgres.increases(call.db, [row.id], _now(call)))[row.id]
    was = None if before is None else audit_form(before, increases)
    call.audit(f"budget:{subject.reference}", was, audit_form(row, now_has))
    await publish(call, subject)
    return (await _views(call, [row]))[0]


async def set_budget(call: Call, request: SetBudgetRequest) -> Budget:
    """Makes the budget of a subject, or changes what is given of it."""
    subject = await _subject(call, request.subject, change=True)
    row = await postgres.budget(call.db, subject, "_for_update")
    if row is None:
        if request.etag not in ("", ABSENT):
            raise ApiError(ApiCode.ETAG_MISMATCH, f"{subject.reference!r} has no budget any more", field="etag")
        terms = _terms(request, None, _TERMS)
        checks.fits(terms, [], "limit")
        if await postgres.insert_budget(call.db, subject, terms, _now(call)):
            return await _changed(call, subject, None, [])
        # Somebody else made one at this moment: theirs is changed, as if this call had come a little later.
        row = await postgres.budget(call.db, subject, "_for_update")
        if row is None:
            raise ApiError(ApiCode.UNAVAILABLE, "another change was in the way; try again")
    _check_etag(request.etag, row)
    terms = _terms(request, row.terms(), changed_fields(call.update_mask, request, _TERMS))
    if terms == row.terms():
        return (await _views(call, [row]))[0]
    increases = (await postgres.increases(call.db, [row.id], _now(call)))[row.id]
    checks.fits(terms, increases, "limit")
    await postgres.update_budget(call.db, row.id, terms, _now(call))
    return await _changed(call, subject, row, increases)


def _terms(request: SetBudgetRequest, present: Terms | None, fields: frozenset[str]) -> Terms:
    """The terms that a request asks for; what it does not name is as in `present`, of a new budget the default."""
    default = Terms(limit_nano=0)
    base = present or default
    if not request.limit and ("limit" in fields or present is None):
        raise checks.invalid("limit", 'is required, an amount of US dollars such as "25.00"')
    return Terms(
        limit_nano=checks.amount(request.limit, "limit") if "limit" in fields else base.limit_nano,
        period=Period(request.period or default.period) if "period" in fields else base.period,
        timezone=checks.timezone(request.timezone or default.timezone) if "timezone" in fields else base.timezone,
        fiscal_start=checks.fiscal_start(request.fiscal_start or default.fiscal_start)
        if "fiscal_start" in fields
        else base.fiscal_start,
        mode=Mode(request.mode or default.mode) if "mode" in fields else base.mode,
        carry_over=request.carry_over if "carry_over" in fields else base.carry_over,
        alerts=checks.alerts(request.alerts) if "alerts" in fields else base.alerts,
    )


async def get_budget(call: Call, request: GetBudgetRequest) -> Budget:
    """The budget of a subject with its present state."""
    subject = await _subject(call, request.subject)
    row = await postgres.budget(call.db, subject)
    if row is None:
        raise _missing(subject)
    return (await _views(call, [row]))[0]


async def list_budgets(call: Call, request: ListBudgetsRequest) -> ListBudgetsResponse:
    """Budgets by subject, of one scope or all, a page at a time."""
    scopes = (Scope(request.scope),) if request.scope else BUDGET_SCOPES
    limit = page_limit(request.page_size)
    rows = await postgres.budgets(call.db, scopes, page_start("budgets", request.page_token), limit + 1, call.reach)
    following = page_token("budgets", rows[limit - 1].listed) if len(rows) > limit else ""
    return ListBudgetsResponse(budgets=await _views(call, rows[:limit]), next_page_token=following)


async def remove_budget(call: Call, request: RemoveBudgetRequest) -> RemoveBudgetResponse:
    """Removes the budget of a subject for good, with its increases."""
    subject, row, increases = await _held(call, request.subject, request.etag)
    await _remove(call, subject, row, increases)
    return RemoveBudgetResponse()


async def remove_by_id(call: Call, budget_id: UUID, reference: str) -> None:
    """Removes a budget whose subject, `reference`, may be gone already."""
    row = await postgres.budget_by_id(call.db, budget_id)
    increases = await postgres.increases(call.db, [row.id], _now(call))
    await _remove(call, Subject(row.scope, row.subject, reference.partition(":")[2]), row, increases[row.id])


async def _remove(call: Call, subject: Subject, row: BudgetRow, increases: list[IncreaseRow]) -> None:
    await postgres.remove_budget(call.db, row.id, _now(call))
    call.audit(f"budget:{subject.reference}", audit_form(row, increases), None)
    await publish(call, subject)


async def increase_budget(call: Call, request: IncreaseBudgetRequest) -> Budget:
    """Adds to the limit for a time."""
    subject, row, increases = await _held(call, request.subject, request.etag)
    now = _now(call)
    nano = checks.increase_amount(request.amount)
    starts_at, ends_at = checks.span(request.starts_at, request.ends_at, now)
    if len(increases) >= checks.MAX_INCREASES:
        raise ApiError(
            ApiCode.FAILED_PRECONDITION,
            f"the budget of {subject.reference!r} has {checks.MAX_INCREASES} increases already; revoke one first",
        )
    await postgres.insert_increase(call.db, row.id, nano, starts_at, ends_at, request.reason, call.principal.name, now)
    checks.fits(row, (await postgres.increases(call.db, [row.id], now))[row.id], "amount")
    await postgres.touch_budget(call.db, row.id, now)
    return await _changed(call, subject, row, increases)


async def revoke_increase(call: Call, request: RevokeIncreaseRequest) -> Budget:
    """Ends an increase before its time; what was spent of it stays spent."""
    subject, row, increases = await _held(call, request.subject, request.etag)
    ids: set[UUID] = {increase.id for increase in increases if str(increase.id) == request.increase}
    if not ids:
        raise not_found("increase in force or to come", request.increase, "increase")
    now = _now(call)
    await postgres.revoke_increase(call.db, ids.pop(), now)
    await postgres.touch_budget(call.db, row.id, now)
    return await _changed(call, subject, row, increases)
