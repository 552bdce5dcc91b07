"""Projects and business units: members, keys, budgets, what was spent, and what the month will cost."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from aiohttp import web

from tollway.controlplane.call import ApiError
from tollway.controlplane.portal import charts, forms
from tollway.controlplane.portal.pages.overview import month_forecast
from tollway.controlplane.portal.rendering import amount, money
from tollway.controlplane.portal.visit import BESIDE, Visit

PAGE = 50
MEMBERS = 100
CHARTED, LISTED = 20, 100
"""How many projects of a unit its chart and its table show, the dearest first."""


async def projects(visit: Visit) -> web.Response:
    """The projects that the person may see, with what they cost this month."""
    asked = {"page_size": PAGE, "page_token": visit.asked("page"), "business_unit": visit.asked("business_unit")}
    month = visit.now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    found = await visit.call("ProjectService/ListProjects", asked)
    listed = [one.id for one in found.projects]
    usage = await visit.maybe(*visit.usage("project", month, projects=listed)) if listed else None
    costs = {row.group: row for row in usage.rows} if usage is not None else {}
    return visit.page(
        "projects.html",
        projects=list(found.projects),
        following=found.next_page_token,
        costs=costs,
        unit=visit.asked("business_unit"),
    )


async def project(visit: Visit, problem: ApiError | None = None) -> web.Response:
    """One project; what it used comes to stand there by calls of its own."""
    found = await visit.call("ProjectService/GetProject", {"project": visit.named("project")})
    days, _ = forms.period(visit.asked("days"), visit.now, default=30)
    keys, members, budget, limits = await visit.several(
        ("KeyService/ListKeys", {"project": found.name, "page_size": PAGE}),
        ("RoleService/ListRoles", {"project": found.name, "page_size": MEMBERS}),
        ("BudgetService/GetBudget", {"subject": f"project:{found.name}"}),
        ("LimitService/GetLimits", {"subject": f"project:{found.name}"}),
    )
    standing = await visit.standing()
    place = {"unit": found.business_unit, "project": found.name}
    typed = {
        "description": found.description,
        "models": ", ".join(found.models),
        "user": "",
        "role": "developer",
        **visit.form,
    }
    return visit.page(
        "project.html",
        project=found,
        days=days,
        keys=list(keys.keys) if keys is not None else None,
        members=list(members.roles) if members is not None else None,
        more_members=members is not None and bool(members.next_page_token),
        budget=budget,
        limits=list(limits.limits) if limits is not None else [],
        may_here=lambda permission, owner=None: standing.may(permission, owner=owner, **place),
        sets_models=standing.may("projects.update", unit=found.business_unit),
        sets_budget=standing.may_set_budget(f"project:{found.name}", found.business_unit),
        roles=standing.roles_to_give(**place),
        typed=typed,
        etag=visit.etag(found.etag, "description"),
        problem=problem,
    )


async def save(visit: Visit) -> web.Response:
    """Changes what is another than it was, unless somebody else has changed the project in the meantime.

    What was left as it is is not sent: who may not change it can still change the rest.
    """
    name = visit.named("project")
    try:
        found = await visit.call("ProjectService/GetProject", {"project": name})
        wanted: dict[str, Any] = {}
        description = visit.form.get("description", found.description).replace("\r\n", "\n")
        if description != found.description:
            wanted["description"] = description
        if "models" in visit.form and (models := forms.listed(visit.form["models"])) != list(found.models):
            wanted["models"] = models
        if wanted or visit.form.get("etag", "") != found.etag:
            mask = ",".join(wanted) or "description"
            fields = {"project": name, "description": found.description, "etag": visit.form.get("etag", ""), **wanted}
            await visit.call("ProjectService/UpdateProject", fields | {"update_mask": mask})
    except ApiError as error:
        if error.code in BESIDE:
            return await project(visit, error)
        raise
    return visit.go(f"/projects/{name}", done="saved")


async def members(visit: Visit) -> web.Response:
    """Gives a role in the project, or takes one."""
    name = visit.named("project")
    try:
        if visit.form.get("revoke"):
            await visit.call("RoleService/RevokeRole", {"binding": visit.form["revoke"]})
            return visit.go(f"/projects/{name}", done="removed")
        await visit.call("RoleService/GrantRole", {"project": name, **forms.picked(visit.form, "user", "role")})
    except ApiError as error:
        if error.code in BESIDE:
            return await project(visit, error)
        raise
    return visit.go(f"/projects/{name}", done="created")


async def units(visit: Visit) -> web.Response:
    """The units that the person may see, with what they cost this month."""
    month = visit.now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    found = await visit.call(
        "BusinessUnitService/ListBusinessUnits", {"page_size": PAGE, "page_token": visit.asked("page")}
    )
    usage = await visit.maybe(*visit.usage("business_unit", month))
    costs = {row.group: row for row in usage.rows} if usage is not None else {}
    return visit.page("units.html", units=list(found.business_units), following=found.next_page_token, costs=costs)


async def unit(visit: Visit) -> web.Response:
    """One unit; what it cost comes to stand there by a call of its own."""
    found = await visit.call("BusinessUnitService/GetBusinessUnit", {"business_unit": visit.named("unit")})
    budget = await visit.maybe("BudgetService/GetBudget", {"subject": f"business_unit:{found.name}"})
    changes = (await visit.standing()).may_set_budget(f"business_unit:{found.name}")
    return visit.page("unit.html", unit=found, budget=budget, changes=changes)


async def unit_costs(visit: Visit) -> web.Response:
    """The unit's total of the month, day by day and by project, and what the month will have cost."""
    unit = await visit.call("BusinessUnitService/GetBusinessUnit", {"business_unit": visit.named("unit")})
    midnight = visit.now.replace(hour=0, minute=0, second=0, microsecond=0)
    month = midnight.replace(day=1)
    # The forecast looks at the last 7 days, which can begin before the month.
    daily, costs = await visit.several(
        visit.usage("day", min(month, midnight - timedelta(days=6)), business_unit=unit.name),
        visit.usage("project", month, limit=LISTED, business_unit=unit.name),
    )
    rows = list(costs.rows) if costs is not None else []
    spent, coming = month_forecast(visit, daily) if daily is not None else (Decimal(0), Decimal(0))
    points = [(row.group, amount(row.cost), money(row.cost)) for row in rows[:CHARTED]]
    return visit.page(
        "unit_costs.html",
        name=unit.name,
        spent=spent,
        coming=coming,
        requests=costs.total.requests if costs is not None else 0,
        errors=costs.total.errors if costs is not None else 0,
        rows=rows,
        count=costs.groups if costs is not None else 0,
        daily=_month(visit, daily, spent, coming),
        chart=charts.bars("Cost by project this month", points),
    )


def _month(visit: Visit, daily: Any, spent: Decimal, coming: Decimal) -> charts.Chart:
    """The cost of every day of the month, and of those that have not come what each is expected to cost."""
    first, last = charts.month(visit.now)
    costs = {row.group: amount(row.cost) for row in daily.rows} if daily is not None else {}
    today, shown = visit.now.date(), charts.days(first, last)
    left = (last - today).days
    ends = visit.now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=left + 1)
    each = (coming - spent) / (Decimal((ends - visit.now).total_seconds()) / 86_400)
    points = [(day, costs.get(day, Decimal(0)), money(costs.get(day, 0))) for day in shown[: len(shown) - left]]
    points += [(day, each, money(each)) for day in shown[len(shown) - left :]]
    return charts.bars("Cost by day this month", points, expected=left)
