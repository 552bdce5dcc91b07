"""Budgets: what may be spent and what was, and the form that sets one."""

from __future__ import annotations

from aiohttp import web

from tollway.controlplane.call import ApiError
from tollway.controlplane.portal import forms
from tollway.controlplane.portal.visit import BESIDE, Visit

PAGE = 50
SCOPES = ("organisation", "business_unit", "project", "key", "user")
PERIODS = ("day", "week", "month", "quarter", "year", "none")


async def budgets(visit: Visit) -> web.Response:
    """The budgets that the person may see."""
    scope = visit.asked("scope") if visit.asked("scope") in SCOPES else ""
    asked = {"page_size": PAGE, "page_token": visit.asked("page"), "scope": scope}
    found = await visit.call("BudgetService/ListBudgets", asked)
    standing = await visit.standing()
    return visit.page(
        "budgets.html",
        budgets=list(found.budgets),
        following=found.next_page_token,
        scope=scope,
        scopes=SCOPES,
        may_set=standing.may_set_budget,
    )


async def edit(visit: Visit, problem: ApiError | None = None) -> web.Response:
    """The form of one budget, which need not exist yet."""
    subject = visit.form.get("subject") or visit.asked("subject")
    budget = await visit.maybe("BudgetService/GetBudget", {"subject": subject}) if subject else None
    changes = not subject or (await visit.standing()).may_set_budget(subject)
    typed = {
        "subject": subject,
        "limit": budget.limit if budget is not None else "",
        "period": budget.period if budget is not None else "month",
        "mode": budget.mode if budget is not None else "hard",
        "amount": "",
        "ends_at": "",
        "reason": "",
        **visit.form,
    }
    return visit.page("budget.html", budget=budget, changes=changes, typed=typed, periods=PERIODS, problem=problem)


async def save(visit: Visit) -> web.Response:
    """Sets a budget, unless somebody else has changed it in the meantime."""
    try:
        fields = forms.picked(visit.form, "subject", "limit", "period", "mode", "etag")
        fields["update_mask"] = "limit,period,mode"
        await visit.call("BudgetService/SetBudget", fields)
    except ApiError as error:
        if error.code in BESIDE:
            return await edit(visit, error)
        raise
    return visit.go("/budgets", done="saved")


async def increase(visit: Visit) -> web.Response:
    """Adds to a budget until a day."""
    try:
        fields = forms.picked(visit.form, "subject", "amount", "reason", "etag")
        fields["ends_at"] = forms.end_of_day(visit.form, "ends_at")
        await visit.call("BudgetService/IncreaseBudget", fields, reason=fields["reason"])
    except ApiError as error:
        if error.code in BESIDE:
            return await edit(visit, error)
        raise
    return visit.go("/budgets", done="saved")
