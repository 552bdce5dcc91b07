"""Users, service accounts, and the roles that they hold."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tollway.controlplane.call import ApiError
from tollway.controlplane.portal import forms
from tollway.controlplane.portal.visit import BESIDE, Visit

PAGE = 50
ROLES = ("developer", "project_owner", "unit_manager", "auditor", "platform_admin", "service_account")
HOLDERS = ("user", "group", "service_account")


async def users(visit: Visit, problem: ApiError | None = None) -> web.Response:
    """Who has signed in or was named."""
    asked = {"page_size": PAGE, "page_token": visit.asked("page")}
    if not visit.may("users.read"):
        return await roles(visit, problem)
    found = await visit.call("UserService/ListUsers", asked)
    return visit.page(
        "users.html",
        users=list(found.users),
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
    asked: dict[str, Any] = {"page_size": PAGE, "page_token": visit.asked("page"), "user": visit.asked("user")}
    found = await visit.call("RoleService/ListRoles", asked)
    typed = {"holder": "user", "name": "", "role": "developer", "business_unit": "", "project": "", **visit.form}
    return visit.page(
        "roles.html",
        bindings=list(found.roles),
        following=found.next_page_token,
        roles=ROLES,
        holders=HOLDERS,
        user=asked["user"],
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


async def accounts(visit: Visit, problem: ApiError | None = None, secret: str = "") -> web.Response:
    """Service accounts, the machines that call the API."""
    asked = {"page_size": PAGE, "page_token": visit.asked("page")}
    found = await visit.call("ServiceAccountService/ListServiceAccounts", asked)
    return visit.page(
        "accounts.html",
        accounts=list(found.service_accounts),
        following=found.next_page_token,
        typed={"name": "", "description": "", "business_unit": "", "project": "", **visit.form},
        secret=secret,
        problem=problem,
    )


async def change_account(visit: Visit) -> web.Response:
    """Makes a service account, or gives one a token that is shown this once."""
    try:
        if issued := visit.form.get("issue", ""):
            made = await visit.call("ServiceAccountService/CreateServiceAccountToken", {"service_account": issued})
            return await accounts(visit, secret=made.secret)
        fields = forms.picked(visit.form, "name", "description", "business_unit", "project")
        await visit.call("ServiceAccountService/CreateServiceAccount", fields)
    except ApiError as error:
        if error.code in BESIDE:
            return await accounts(visit, error)
        raise
    return visit.go("/service-accounts", done="created")
