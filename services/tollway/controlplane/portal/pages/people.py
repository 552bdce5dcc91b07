"""Users, and the roles that they and others hold. Service accounts have pages of their own."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tollway.controlplane.call import ApiError
from tollway.controlplane.portal import forms
from tollway.controlplane.portal.visit import BESIDE, Visit

PAGE = 50
HOLDERS = ("user", "group", "service_account")


async def users(visit: Visit, problem: ApiError | None = None) -> web.Response:
    """Who has signed in or was named."""
    search = visit.asked("search")[:254]
    asked = {"page_size": PAGE, "page_token": visit.asked("page"), "search": search}
    if not visit.may("users.read"):
        return await roles(visit, problem)
    found = await visit.call("UserService/ListUsers", asked)
    return visit.page(
        "users.html",
        users=list(found.users),
        search=search,
        following=found.next_page_token,
        typed={"email": "", "display_name": "", **visit.form},
        problem=problem,
    )


async def create_user(visit: Visit) -> web.Response:
    """Names a user by e-mail before the first sign-in."""
    try:
        await visit.call("UserService/CreateUser", forms.picked(visit.form, "email", "display_name"))
    except ApiError as error:
        if error.code in BESIDE:
            return await users(visit, error)
        raise
    return visit.go("/users", done="created")


async def act(visit: Visit) -> web.Response:
    """Disables or enables a user."""
    method = "EnableUser" if visit.named("action") == "enable" else "DisableUser"
    try:
        asked = {"user": visit.named("user"), "etag": visit.form.get("etag", "")}
        await visit.call(f"UserService/{method}", asked)
    except ApiError as error:
        if error.code in BESIDE:
            return await users(visit, error)
        raise
    return visit.go("/users", done="saved")


async def roles(visit: Visit, problem: ApiError | None = None) -> web.Response:
    """Who holds which role where."""
    only = {name: visit.asked(name) for name in ("user", "project")}
    asked: dict[str, Any] = {"page_size": PAGE, "page_token": visit.asked("page"), **only}
    found = await visit.call("RoleService/ListRoles", asked)
    standing = await visit.standing()
    bindings = list(found.roles)
    typed = {"holder": "user", "name": "", "role": "developer", "business_unit": "", "project": "", **visit.form}
    return visit.page(
        "roles.html",
        bindings=bindings,
        takes={
            one.id
            for one in bindings
            if one.role in standing.roles_to_give(unit=None if one.project else one.business_unit, project=one.project)
        },
        following=found.next_page_token,
        roles=standing.roles_anywhere(),
        holders=HOLDERS,
        only=only,
        typed=typed,
        problem=problem,
    )


async def grant(visit: Visit) -> web.Response:
    """Gives a role, or takes one."""
    try:
        if visit.form.get("revoke"):
            await visit.call("RoleService/RevokeRole", {"binding": visit.form["revoke"]})
            return visit.go("/roles", done="removed")
        fields = forms.picked(visit.form, "role", "business_unit", "project")
        holder = visit.form.get("holder", "user")
        if holder not in HOLDERS or not visit.form.get("name", "").strip():
            raise forms.invalid("name", "is missing: an e-mail address, a group or a service account")
        fields[holder] = visit.form["name"].strip()
        await visit.call("RoleService/GrantRole", fields)
    except ApiError as error:
        if error.code in BESIDE:
            return await roles(visit, error)
        raise
    return visit.go("/roles", done="created")
