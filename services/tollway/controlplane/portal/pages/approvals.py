"""Requests of people: the forms to ask, the inbox of those who decide, and what became of each."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tollway.controlplane.call import ApiError
from tollway.controlplane.portal import forms
from tollway.controlplane.portal.pages.keys import projects_to_choose
from tollway.controlplane.portal.visit import BESIDE, Visit

PAGE = 30
KINDS = {
    "platform_access": ("Access", "A role on the platform, in a business unit or in a project"),
    "project": ("New project", "A project of your own, with models and a monthly budget"),
    "model_access": ("Models", "Further models for a project"),
    "credit": ("Credit", "More budget, for good or until a day"),
    "limit": ("Rate limit", "A higher limit of requests, tokens or calls at the same time"),
}
ROLES = ("developer", "project_owner", "unit_manager", "auditor", "platform_admin")
VIEWS = {"inbox": "To decide", "mine": "My requests", "all": "All that I may see"}


async def listing(visit: Visit) -> web.Response:
    """The requests that wait for the person, those of the person, or all."""
    view = visit.asked("view")
    asked: dict[str, Any] = {"page_size": PAGE, "page_token": visit.asked("page")}
    if view not in VIEWS:
        inbox = await visit.call("ApprovalService/ListApprovals", {"page_size": 1, "decidable": True})
        view = "inbox" if inbox.approvals else "mine"
    if view == "inbox":
        asked["decidable"] = True
    elif view == "mine":
        asked["requester"] = visit.principal.name
    elif visit.asked("state"):
        asked["state"] = visit.asked("state")
    found = await visit.call("ApprovalService/ListApprovals", asked)
    return visit.page(
        "approvals.html",
        approvals=list(found.approvals),
        following=found.next_page_token,
        view=view,
        views=VIEWS,
        kinds=KINDS,
    )


async def new(visit: Visit, problem: ApiError | None = None) -> web.Response:
    """The form for a kind of request, or the choice of one."""
    kind = visit.form.get("kind") or visit.asked("kind")
    if kind not in KINDS:
        return visit.page("approval_kinds.html", kinds=KINDS)
    names = [
        "role",
        "subject",
        "project",
        "business_unit",
        "amount",
        "until",
        "models",
        "description",
        "measure",
        "model",
        "limit",
    ]
    typed = {f"terms.{name}": visit.asked(name) for name in names}
    typed |= {"terms.window": visit.asked("window", "minute"), "reason": "", **visit.form}
    return visit.page(
        "approval_new.html",
        kind=kind,
        title=KINDS[kind][0],
        typed=typed,
        roles=ROLES,
        projects=await projects_to_choose(visit),
        problem=problem,
    )


async def create(visit: Visit) -> web.Response:
    """Sends a request; the page that follows says what the policy decided."""
    form = visit.form
    if form.get("kind") not in KINDS:
        return await new(visit)
    try:
        terms: dict[str, Any] = {
            name.removeprefix("terms."): value.strip()
            for name, value in form.items()
            if name.startswith("terms.") and value.strip()
        }
        terms["models"] = forms.listed(terms.get("models", ""))
        terms["until"] = forms.end_of_day(form, "terms.until")
        terms["limit"] = forms.whole(form, "terms.limit", low=1, high=10**12)
        fields = {"kind": form["kind"], "terms": terms, "reason": form.get("reason", "").strip()}
        made = await visit.call("ApprovalService/CreateApproval", fields)
    except ApiError as error:
        if error.code in BESIDE:
            return await new(visit, error)
        raise
    return visit.go(f"/approvals/{made.id}", done="asked")


async def one(visit: Visit, problem: ApiError | None = None) -> web.Response:
    """One request, with whatever the person may do about it."""
    found = await visit.call("ApprovalService/GetApproval", {"approval": visit.named("approval")})
    typed = {"reason": "", "text": "", **visit.form}
    mine = found.requester == visit.principal.name
    return visit.page(
        "approval.html",
        approval=found,
        kinds=KINDS,
        terms=_terms(found.terms),
        mine=mine,
        revocable=found.revocable and bool(found.granted),
        typed=typed,
        problem=problem,
    )


def _terms(terms: Any) -> list[tuple[str, Any]]:
    """What was asked for, field by field, without what is empty."""
    shown: list[tuple[str, Any]] = []
    for field, value in terms.ListFields():
        text = ", ".join(value) if field.name == "models" else value
        shown.append((field.name, text))
    return shown


_METHODS = {
    "decide": ("DecideApproval", ("verdict", "reason"), "decided"),
    "comment": ("CommentApproval", ("text",), "commented"),
    "cancel": ("CancelApproval", (), "cancelled"),
    "revoke": ("RevokeApproval", ("reason",), "revoked"),
}


async def act(visit: Visit) -> web.Response:
    """Decides, comments, cancels or revokes."""
    method, names, done = _METHODS[visit.named("action")]
    approval = visit.named("approval")
    try:
        await visit.call(f"ApprovalService/{method}", {"approval": approval, **forms.picked(visit.form, *names)})
    except ApiError as error:
        if error.code in BESIDE:
            return await one(visit, error)
        raise
    return visit.go(f"/approvals/{approval}", done=done)


async def delegations(visit: Visit, problem: ApiError | None = None) -> web.Response:
    """Who decides for whom during an absence."""
    found = await visit.call("DelegationService/ListDelegations")
    typed = {"delegate": "", "ends_at": "", "reason": "", **visit.form}
    return visit.page("delegations.html", delegations=list(found.delegations), typed=typed, problem=problem)


async def delegate(visit: Visit) -> web.Response:
    """Lets somebody decide in one's place, or ends that."""
    try:
        if visit.form.get("revoke"):
            await visit.call("DelegationService/RevokeDelegation", {"delegation": visit.form["revoke"]})
            return visit.go("/delegations", done="removed")
        fields = forms.picked(visit.form, "delegate", "reason") | {"ends_at": forms.end_of_day(visit.form, "ends_at")}
        await visit.call("DelegationService/CreateDelegation", fields, reason=fields["reason"])
    except ApiError as error:
        if error.code in BESIDE:
            return await delegations(visit, error)
        raise
    return visit.go("/delegations", done="created")
