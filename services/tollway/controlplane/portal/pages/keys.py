"""Virtual keys: made with a secret that is shown once, rotated with grace, revoked, and what they used."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tollway.controlplane.call import ApiError
from tollway.controlplane.portal import forms
from tollway.controlplane.portal.visit import BESIDE, Visit

PAGE = 50
CHOICES = 200
"""How many projects a form offers; any other can be typed."""
GRACES = ((0, "none"), (3600, "1 hour"), (86_400, "1 day"), (604_800, "7 days"), (2_592_000, "30 days"))
STATUS = {1: "active", 2: "expired", 3: "revoked"}


async def keys(visit: Visit) -> web.Response:
    """The keys that the person may see."""
    revoked = visit.asked("revoked") == "1"
    asked = {
        "page_size": PAGE,
        "page_token": visit.asked("page"),
        "project": visit.asked("project"),
        "include_revoked": revoked,
    }
    found = await visit.call("KeyService/ListKeys", asked)
    return visit.page(
        "keys.html",
        keys=list(found.keys),
        following=found.next_page_token,
        project=visit.asked("project"),
        revoked=revoked,
        statuses=STATUS,
    )


async def projects_to_choose(visit: Visit) -> list[str]:
    """Names of projects for a form."""
    found = await visit.maybe("ProjectService/ListProjects", {"page_size": CHOICES})
    return [] if found is None else [project.name for project in found.projects]


async def new(visit: Visit, problem: ApiError | None = None) -> web.Response:
    """The form for a key."""
    projects = await projects_to_choose(visit)
    project = visit.asked("project") or (projects[0] if len(projects) == 1 else "")
    typed = {"project": project, "name": "", "models": "", "days": "90", **visit.form}
    return visit.page("key_new.html", typed=typed, projects=projects, problem=problem)


async def create(visit: Visit) -> web.Response:
    """Makes a key and shows its secret, this once."""
    try:
        fields = forms.picked(visit.form, "project", "name")
        fields["models"] = forms.listed(visit.form.get("models", ""))
        fields["expires_at"] = forms.days_from(visit.form, "days", visit.now)
        if visit.principal.kind != "bootstrap":
            fields["user"] = visit.principal.name
        made = await visit.call("KeyService/CreateKey", fields)
    except ApiError as error:
        if error.code in BESIDE:
            return await new(visit, error)
        raise
    return _secret(visit, made, "Your new key")


def _secret(visit: Visit, made: Any, title: str) -> web.Response:
    return visit.page("key_secret.html", key=made.key, secret=made.secret, title=title)


async def one(visit: Visit, problem: ApiError | None = None) -> web.Response:
    """One key: what it may, and the forms for its end and its next secret."""
    key = await visit.call("KeyService/GetKey", {"key": visit.named("key")})
    budget = await visit.maybe("BudgetService/GetBudget", {"subject": f"key:{key.id}"})
    changes = (await visit.standing()).may("keys.rotate", project=key.project, owner=key.user)
    return visit.page(
        "key.html",
        key=key,
        state=STATUS.get(key.status, "unknown"),
        graces=GRACES,
        changes=changes,
        etag=visit.etag(key.etag),
        budget=budget,
        problem=problem,
    )


async def rotate(visit: Visit) -> web.Response:
    """A new secret; the present one stays valid for the grace."""
    try:
        grace = forms.whole(visit.form, "grace_seconds", high=7_776_000)
        fields = {"key": visit.named("key"), "grace_seconds": grace, "etag": visit.form.get("etag", "")}
        made = await visit.call("KeyService/RotateKey", fields)
    except ApiError as error:
        if error.code in BESIDE:
            return await one(visit, error)
        raise
    return _secret(visit, made, "The new secret of your key")


async def act(visit: Visit) -> web.Response:
    """Revokes a key, or ends the grace of its rotation."""
    ends = visit.named("action") == "end-grace"
    method = "KeyService/EndKeyGrace" if ends else "KeyService/RevokeKey"
    try:
        await visit.call(method, {"key": visit.named("key"), "etag": visit.form.get("etag", "")})
    except ApiError as error:
        if error.code in BESIDE:
            return await one(visit, error)
        raise
    return visit.go(f"/keys/{visit.named('key')}", done="ended" if ends else "revoked")
