"""What conditions see of a request. It is kept with the request, so that a policy can be tried on it later.

Amounts are US dollars as floating-point numbers: exact enough to be compared, and never used for anything else.
"""

from __future__ import annotations

from datetime import UTC, timedelta

from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.identity import postgres as identity
from tollway.controlplane.resources import from_ms
from tollway.controlplane.rules import budgets, limits
from tollway.controlplane.rules.model import GetBudgetRequest, GetLimitsRequest, Limit
from tollway.controlplane.workflows import postgres
from tollway.controlplane.workflows.model import ApprovalTerms, Facts, Place
from tollway.controlplane.workflows.people import Caller
from tollway.core.approvals.model import Kind
from tollway.core.money import NANO_PER_DOLLAR

MONTH = timedelta(days=30)


async def gather(call: Call, caller: Caller, kind: Kind, terms: ApprovalTerms, place: Place, waiting: int) -> Facts:
    """The facts of a new request; `waiting` is how many requests of the caller wait. Raises ApiError."""
    now = from_ms(call.clock.now_ms())
    project = None if place.project_id is None else await identity.project(call.db, str(place.project_id))
    month = await postgres.granted_since(call.db, place.target, now - MONTH)
    days = (terms.until - now) / timedelta(days=1) if terms.until is not None else 0.0
    found: Facts = {
        "kind": kind.value,
        "now": now.astimezone(UTC).isoformat(),
        "requester.name": caller.name,
        "requester.email": call.principal.email,
        "requester.kind": call.principal.kind,
        "requester.user_id": str(call.principal.user_id or ""),
        "requester.groups": list(call.principal.groups),
        "requester.roles": sorted(
            {grant.role for grant in caller.grants if grant.covers(place.unit_id, place.project_id)}
        ),
        "requester.open": float(waiting),
        "subject": terms.subject,
        "project.name": place.project or terms.project,
        "project.business_unit": place.business_unit,
        "project.models": [] if project is None else project.models,
        "budgeted": bool(terms.amount),
        "permanent": kind is Kind.CREDIT and terms.until is None,
        "days": days,
        "granted.month": month / NANO_PER_DOLLAR,
        "models": terms.models,
        "role": terms.role,
        "measure": terms.measure,
        "window": terms.window,
        "model": terms.model,
        "limit": float(terms.limit or 0),
        "limit_now": 0.0,
    }
    if terms.amount or kind is not Kind.PROJECT:
        # A project without an amount has no budget, which is no small one: a condition on it cannot tell.
        found["amount"] = float(terms.amount or 0)
    if kind is Kind.CREDIT:
        found |= await _increased(call, place)
    else:
        found |= await _around(call, place)
    if kind is Kind.LIMIT:
        found["limit_now"] = float(await _limit(call, terms, place))
    return found


async def _increased(call: Call, place: Place) -> Facts:
    """The budget that credit is asked for."""
    found = await _budget(call, place.target)
    if found is None:
        what = "there is no budget to add to: nothing limits what may be spent there"
        raise ApiError(ApiCode.FAILED_PRECONDITION, what, field="terms.subject")
    return found


async def _around(call: Call, place: Place) -> Facts:
    """The budget of the project that a request is about, or else of the unit.

    Where there is no such place nothing is said, and where it has no budget nothing but that: a number would be false.
    """
    if place.project_id is not None:
        subject = f"project:{place.project_id}"
    elif place.unit_id is not None:
        subject = f"business_unit:{place.unit_id}"
    else:
        return {}
    return await _budget(call, subject) or {"budget.exists": False}


async def _budget(call: Call, subject: str) -> Facts | None:
    """The state of a budget; None: there is none."""
    try:
        budget = await budgets.get_budget(call, GetBudgetRequest(subject=subject))
    except ApiError as error:
        if error.code is ApiCode.NOT_FOUND:
            return None
        raise
    limit, used = float(budget.limit_now), float(budget.used)
    return {
        "budget.exists": True,
        "budget.limit": limit,
        "budget.used": used,
        "budget.remaining": float(budget.remaining),
        "budget.share": used / limit if limit else 1.0,
    }


def same_limit(limit: Limit, terms: ApprovalTerms) -> bool:
    """Whether a limit is the one that a request is about."""
    return (limit.measure, limit.window, limit.model) == (terms.measure, terms.window, terms.model or "*")


async def _limit(call: Call, terms: ApprovalTerms, place: Place) -> int:
    """The amount of the limit that is to be raised."""
    held = await limits.get_limits(call, GetLimitsRequest(subject=place.target))
    present = next((limit.amount for limit in held.limits if same_limit(limit, terms)), None)
    if present is None:
        what = "there is no such limit to raise; see `tollway limits show`"
        raise ApiError(ApiCode.FAILED_PRECONDITION, what, field="terms.measure")
    if terms.limit is None or terms.limit <= present:
        raise ApiError(ApiCode.INVALID, f"terms.limit must be more than it is now, {present}", field="terms.limit")
    return present
