"""The platform itself: the health of providers, and the audit log."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from aiohttp import web

from tollway.controlplane.call import ApiError
from tollway.controlplane.portal import forms
from tollway.controlplane.portal.visit import BESIDE, Visit

PAGE = 50
AUDIT_FILTERS = ("actor", "action", "resource", "request_id")


async def providers(visit: Visit, problem: ApiError | None = None) -> web.Response:
    """Providers with their credentials, the last checks, and how requests went since an hour and since yesterday."""
    found = await visit.call("ProviderService/ListProviders", {"page_size": PAGE, "page_token": visit.asked("page")})
    hour = visit.now.replace(minute=0, second=0, microsecond=0)
    lately, day, status = await visit.several(
        visit.usage("provider", hour - timedelta(hours=1)),
        visit.usage("provider", hour.replace(hour=0) - timedelta(days=1)),
        ("SystemService/GetStatus", {}),
    )
    return visit.page(
        "providers.html",
        providers=list(found.providers),
        following=found.next_page_token,
        hour={row.group: row for row in lately.rows} if lately is not None else {},
        day={row.group: row for row in day.rows} if day is not None else {},
        system=status,
        problem=problem,
    )


async def check(visit: Visit) -> web.Response:
    """Asks a provider whether it takes its keys."""
    try:
        await visit.call("ProviderService/CheckProvider", {"provider": visit.named("provider")})
    except ApiError as error:
        if error.code in BESIDE:
            return await providers(visit, error)
        raise
    return visit.go("/providers", done="checked")


async def audit(visit: Visit) -> web.Response:
    """Who changed what, newest first."""
    asked: dict[str, Any] = {name: visit.asked(name) for name in AUDIT_FILTERS}
    found, head = await visit.several(
        ("AuditService/ListAuditEvents", {**asked, "page_size": PAGE, "page_token": visit.asked("page")}),
        ("AuditService/GetAuditHead", {}),
    )
    if found is None:
        found = await visit.call("AuditService/ListAuditEvents", {"page_size": PAGE})
    return visit.page(
        "audit.html",
        events=list(found.events),
        following=found.next_page_token,
        head=head,
        typed=asked,
        verified=None,
    )


async def verify(visit: Visit) -> web.Response:
    """Recomputes the last day of the chain, at most 5,000 entries."""
    begin = visit.now - timedelta(days=1)
    verified, found, head = await visit.several(
        ("AuditService/VerifyAudit", {"from": forms.stamp(begin)}),
        ("AuditService/ListAuditEvents", {"page_size": PAGE}),
        ("AuditService/GetAuditHead", {}),
    )
    return visit.page(
        "audit.html",
        events=list(found.events) if found is not None else [],
        following=found.next_page_token if found is not None else "",
        head=head,
        typed=dict.fromkeys(AUDIT_FILTERS, ""),
        verified=verified,
    )
