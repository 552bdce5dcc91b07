"""Budgets: what may be spent and what was, and the form that sets one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from tollway.controlplane.call import ApiCode, ApiError
from tollway.controlplane.portal import forms
from tollway.controlplane.portal.rendering import amount
from tollway.controlplane.portal.visit import BESIDE, Visit
from tollway.controlplane.resources import ABSENT

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
    budget, nobody = None, not subject
    try:
        budget = await visit.maybe("BudgetService/GetBudget", {"subject": subject}) if subject else None
    except ApiError as error:
        if error.code is not ApiCode.INVALID:
            raise
        problem, nobody = problem or error, True
    if problem is not None and problem.code is ApiCode.PERMISSION_DENIED and visit.may("budgets.update"):
        # Their form comes back to whoever has one: it may be the subject alone that is wrong.
        problem, nobody = ApiError(problem.code, problem.message, field="subject"), True
    changes = nobody or (await visit.standing()).may_set_budget(subject)
    present = budget.etag if budget is not None else ""
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
    return visit.page(
        "budget.html",
        budget=budget,
        changes=changes,
        typed=typed,
        periods=PERIODS,
        etag=visit.etag(present, "limit"),
        increase_etag=visit.etag(present, "amount"),
        problem=problem,
    )


async def save(visit: Visit) -> web.Response:
    """Sets a budget, unless somebody else has changed it in the meantime.

    Without an etag a budget is made: one that is there already is shown instead, and not replaced unseen.
    """
    fields = forms.picked(visit.form, "subject", "limit", "period", "mode", "etag")
    try:
        if fields["subject"] and not fields["etag"]:
            found = await visit.maybe("BudgetService/GetBudget", {"subject": fields["subject"]})
            if found is None:
                fields["etag"] = ABSENT
            elif _differs(found, fields):
                opened = replace(visit, form={name: visit.form.get(name, "") for name in ("subject", "why")})
                message = f"there is a budget of {fields['subject']} already; nothing was saved, below is what it is"
                return await edit(opened, ApiError(ApiCode.ALREADY_EXISTS, message))
        await visit.call("BudgetService/SetBudget", fields | {"update_mask": "limit,period,mode"})
    except ApiError as error:
        if error.code in BESIDE:
            return await edit(visit, error)
        raise
    return visit.go("/budgets", done="saved")


def _differs(budget: Any, fields: Mapping[str, str]) -> bool:
    """Whether a budget is another than is asked for: the second try of a form finds its own."""
    limit = fields["limit"]
    same = limit.replace(".", "", 1).isdecimal() and amount(budget.limit) == amount(limit)
    return not same or (budget.period, budget.mode) != (fields["period"], fields["mode"])


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
