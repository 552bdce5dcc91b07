"""The first page: what was spent and used, by whom and with what."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from aiohttp import web

from tollway.controlplane.portal import charts, forms
from tollway.controlplane.portal.rendering import amount, money, number
from tollway.controlplane.portal.visit import Visit

USAGE = "UsageService/QueryUsage"
SHOWN = 10
"""How many groups a table of the dearest has."""


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
    """Spend and usage of the period, what the month will cost, and the dearest models, projects and keys."""
    days, begin = forms.period(visit.asked("days"), visit.now, default=30)
    # The forecast needs the month, which can begin before the period.
    start = min(begin, visit.now.replace(day=1, hour=0, minute=0, second=0, microsecond=0))
    start = min(start, begin if days > 7 else start)
    since = {"from": forms.stamp(begin)}
    daily, models, projects, keys, waiting = await visit.several(
        (USAGE, {"by": "day", "from": forms.stamp(start)}),
        (USAGE, {"by": "model", **since}),
        (USAGE, {"by": "project", **since}),
        (USAGE, {"by": "key", **since}),
        ("ApprovalService/ListApprovals", {"decidable": True, "page_size": 20}),
    )
    shown = charts.days(begin.date(), visit.now.date())
    spent, coming = month_forecast(visit, daily) if daily is not None else (Decimal(0), Decimal(0))
    full = visit.principal.reach("usage.read")
    return visit.page(
        "overview.html",
        days=days,
        usable=daily is not None,
        total=models.total if models is not None else None,
        spend=by_day("Cost by day", daily, shown),
        requests=by_day("Requests by day", daily, shown, requests=True),
        spent=spent,
        coming=coming,
        tables=[
            (title, link, list(found.rows[:SHOWN]), len(found.rows))
            for title, link, found in (
                ("Models", "/models/", models),
                ("Projects", "/projects/", projects),
                ("Your keys" if full is not None and full.owner is not None else "Keys", "", keys),
            )
            if found is not None
        ],
        waiting=list(waiting.approvals) if waiting is not None else [],
    )


async def account(visit: Visit) -> web.Response:
    """Who one is here, and what one may do."""
    caller = await visit.call("UserService/GetCaller")
    return visit.page("account.html", caller=caller)
