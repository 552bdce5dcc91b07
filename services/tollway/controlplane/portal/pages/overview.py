"""The first page: what was spent and used, by whom and with what."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from aiohttp import web

from tollway.controlplane.portal import charts, forms
from tollway.controlplane.portal.rendering import amount, money, number
from tollway.controlplane.portal.visit import Visit

SHOWN, MOST = 10, 200
"""How many groups a table of the dearest has, on the first page and on its own."""
WAITING = 20
COUNTS = ("requests", "errors", "input_tokens", "output_tokens")
TITLES = {
    "day": "Cost and requests by day",
    "model": "Models by cost",
    "project": "Projects by cost",
    "key": "Keys by cost",
    "business_unit": "Business units by cost",
    "provider": "Providers by cost",
    "user": "Users by cost",
}


def by_day(title: str, usage: Any, days: list[str], *, requests: bool = False) -> charts.Chart:
    """A bar for every day of a period, from usage by day."""
    rows = {row.group: row for row in usage.rows} if usage is not None else {}
    points = []
    for day in days:
        row = rows.get(day)
        value = Decimal(0) if row is None else Decimal(row.requests) if requests else amount(row.cost)
        points.append((day, value, number(value) if requests else money(value)))
    return charts.bars(title, points)


def month_forecast(visit: Visit, usage: Any) -> tuple[Decimal, Decimal]:
    """Cost of the month so far, and at its end if it goes on as in the last 7 days; from usage by day."""
    now = visit.now
    spent = lately = Decimal(0)
    month = now.strftime("%Y-%m")
    recent = (now - timedelta(days=6)).date().isoformat()
    for row in usage.rows:
        if row.group.startswith(month):
            spent += amount(row.cost)
        if row.group >= recent:
            lately += amount(row.cost)
    begin = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=6)
    elapsed = Decimal((now - begin).total_seconds()) / 86_400
    return spent, charts.forecast(spent, lately, elapsed, now)


async def overview(visit: Visit) -> web.Response:
    """What waits for the person, and the places where the reports come to stand, each by a call of its own."""
    days, _ = forms.period(visit.asked("days"), visit.now, default=30)
    waiting = await visit.maybe("ApprovalService/ListApprovals", {"decidable": True, "page_size": WAITING})
    return visit.page(
        "overview.html",
        days=days,
        usable=visit.may("usage.read"),
        reports=("model", "project", "key"),
        titles=TITLES,
        waiting=len(waiting.approvals) if waiting is not None else 0,
        most=WAITING,
    )


async def usage(visit: Visit) -> web.Response:
    """One report: by day as charts, by anything else as a table; as a page, or as the part of one."""
    by, project, key = visit.named("by"), visit.asked("project"), visit.asked("key")
    days, begin = forms.period(visit.asked("days"), visit.now, default=30)
    only: dict[str, Any] = {name: value for name, value in (("project", project), ("key", key)) if value}
    known: dict[str, Any] = {"days": days, "by": by, "project": project, "titles": TITLES}
    if by != "day":
        everything = visit.asked("all") == "1"
        found = await visit.call(*visit.usage(by, begin, limit=MOST if everything else SHOWN, **only))
        return visit.page("usage.html", rows=list(found.rows), count=found.groups, everything=everything, **known)
    # The forecast needs the month, which can begin before the period.
    month = visit.now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    found = await visit.call(*visit.usage("day", min(begin, month), **only))
    shown = charts.days(begin.date(), visit.now.date())
    spent, coming = month_forecast(visit, found)
    within = [row for row in found.rows if row.group >= shown[0]]
    return visit.page(
        "usage_days.html",
        spent=spent,
        coming=coming,
        cost=sum((amount(row.cost) for row in within), Decimal(0)),
        counts={name: sum(getattr(row, name) for row in within) for name in COUNTS},
        spend=by_day("Cost by day", found, shown),
        requests=by_day("Requests by day", found, shown, requests=True),
        **known,
    )


async def account(visit: Visit) -> web.Response:
    """Who one is here, and what one may do."""
    caller = await visit.call("UserService/GetCaller")
    return visit.page("account.html", caller=caller)
