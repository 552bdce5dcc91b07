"""The platform itself: the health of providers, the policies of requests, and the audit log."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from aiohttp import web

from tollway.controlplane.call import ApiError
from tollway.controlplane.portal import forms
from tollway.controlplane.portal.pages.approvals import KINDS
from tollway.controlplane.portal.visit import BESIDE, Visit
from tollway.wire.json_codec import loads, render

PAGE = 50
AUDIT_FILTERS = ("actor", "action", "resource", "request_id")
MAX_POLICY = 64_000


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


async def policies(visit: Visit) -> web.Response:
    """How requests of every kind are decided."""
    found = await visit.call("PolicyService/ListPolicies")
    return visit.page("policies.html", policies={policy.kind: policy for policy in found.policies}, kinds=KINDS)


async def policy(visit: Visit, problem: ApiError | None = None, trial: Any = None) -> web.Response:
    """The policy of one kind, as text that can be changed and tried."""
    kind = visit.named("kind")
    found = await visit.call("PolicyService/GetPolicy", {"kind": kind})
    shown = {name: value for name, value in render(found).items() if name in ("rules", "steps", "timing")}
    text = json.dumps(shown, indent=2, ensure_ascii=False)
    typed = {"policy": text, "note": "", **visit.form}
    return visit.page("policy.html", policy=found, kind=kind, kinds=KINDS, typed=typed, problem=problem, trial=trial)


def _policy(visit: Visit, *names: str) -> dict[str, Any]:
    text = visit.form.get("policy", "")
    if len(text) > MAX_POLICY:
        raise forms.invalid("policy", f"must have at most {MAX_POLICY:,} characters")
    found = loads(text.encode())
    if unknown := sorted(set(found) - {"rules", "steps", "timing"}):
        raise forms.invalid("policy", f"has {unknown[0]!r}: it can have rules, steps and timing")
    return {name: found[name] for name in names if name in found}


async def set_policy(visit: Visit) -> web.Response:
    """Tries a policy against past requests, or replaces the present one unless somebody else has."""
    kind = visit.named("kind")
    try:
        if visit.form.get("action") == "try":
            asked = {"kind": kind, **_policy(visit, "rules", "steps")}
            return await policy(visit, trial=await visit.call("PolicyService/DryRunPolicy", asked))
        fields = {
            "kind": kind,
            **_policy(visit, "rules", "steps", "timing"),
            "note": visit.form.get("note", "").strip(),
            "version": forms.whole(visit.form, "version"),
        }
        await visit.call("PolicyService/SetPolicy", fields)
    except ApiError as error:
        if error.code in BESIDE:
            return await policy(visit, error)
        raise
    return visit.go(f"/policies/{kind}", done="saved")


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
