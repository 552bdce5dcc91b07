"""Service accounts, the machines that call the API, and their tokens, each of which is shown once."""

from __future__ import annotations

from aiohttp import web

from tollway.controlplane.call import ApiError
from tollway.controlplane.portal import forms
from tollway.controlplane.portal.places import Standing
from tollway.controlplane.portal.visit import BESIDE, Visit

PAGE = 50
ACTIONS = {
    "disable": ("DisableServiceAccount", "service_accounts.disable", "saved"),
    "enable": ("EnableServiceAccount", "service_accounts.enable", "saved"),
    "archive": ("ArchiveServiceAccount", "service_accounts.archive", "removed"),
    "revoke": ("RevokeServiceAccountToken", "service_accounts.revoke", "revoked"),
    "issue": ("CreateServiceAccountToken", "service_accounts.issue", ""),
}
"""What can be done with an account: the method, its permission, and what the page then says."""
CHANGES = (
    ("issue", "New token", "New token", False),
    ("enable", "Enable", "Enable", False),
    ("disable", "Disable", "Disable", True),
    ("archive", "Archive", "Archive for good", True),
)
"""The forms of an account: the action, what opens it, its button, and whether it takes something away.

Each is a form of its own: in one with several buttons, the Enter key in a field would press the first.
"""


async def accounts(visit: Visit, problem: ApiError | None = None, secret: str = "") -> web.Response:
    """The service accounts that the person may see, with what they may do with each."""
    asked = {"page_size": PAGE, "page_token": visit.asked("page")}
    found = await visit.call("ServiceAccountService/ListServiceAccounts", asked)
    standing = await visit.standing()
    return visit.page(
        "accounts.html",
        accounts=[(one, _allowed(standing, one.business_unit, one.project)) for one in found.service_accounts],
        changes=CHANGES,
        following=found.next_page_token,
        typed={"name": "", "description": "", "business_unit": "", "project": "", **visit.form},
        secret=secret,
        problem=problem,
    )


def _allowed(standing: Standing, unit: str, project: str) -> frozenset[str]:
    """The actions that the person may take with an account there. The unit of a project is not known."""
    where = None if project else unit
    return frozenset(
        action for action, (_, needed, _) in ACTIONS.items() if standing.may(needed, unit=where, project=project)
    )


async def create(visit: Visit) -> web.Response:
    """Makes a service account."""
    try:
        fields = forms.picked(visit.form, "name", "description", "business_unit", "project")
        await visit.call("ServiceAccountService/CreateServiceAccount", fields)
    except ApiError as error:
        if error.code in BESIDE:
            return await accounts(visit, error)
        raise
    return visit.go("/service-accounts", done="created")


async def act(visit: Visit) -> web.Response:
    """Disables, enables or archives an account, ends one of its tokens, or gives it one that is shown this once."""
    method, _, done = ACTIONS[visit.named("action")]
    fields = {"service_account": visit.named("account")}
    if visit.named("action") == "revoke":
        fields["token"] = visit.form.get("token", "")
    elif visit.named("action") != "issue":
        fields["etag"] = visit.form.get("etag", "")
    try:
        made = await visit.call(f"ServiceAccountService/{method}", fields)
    except ApiError as error:
        if error.code in BESIDE:
            return await accounts(visit, error)
        raise
    if not done:
        return await accounts(visit, secret=made.secret)
    return visit.go("/service-accounts", done=done)
