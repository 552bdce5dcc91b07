"""What the person may do at one place, so that a page shows the forms that would be taken and no others. Pure.

It decides nothing: the dispatcher does. Places are known by name here, as the API has them; where it is not known in
which unit a project lies, a role in any unit counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tollway.controlplane.call import Principal

ALL_ROLES = ("developer", "project_owner", "unit_manager", "auditor", "platform_admin", "service_account")
LEVELS: Mapping[str, frozenset[str]] = {
    "developer": frozenset({"platform", "business_unit", "project"}),
    "project_owner": frozenset({"project"}),
    "unit_manager": frozenset({"business_unit"}),
    "auditor": frozenset({"platform", "business_unit", "project"}),
    "platform_admin": frozenset({"platform"}),
    "service_account": frozenset({"platform", "business_unit", "project"}),
}
"""Where each role can be given."""
TELLING: Mapping[str, str] = {
    "developer": "keys.create",
    "project_owner": "service_accounts.create",
    "unit_manager": "projects.create",
    "auditor": "audit.read",
    "platform_admin": "configuration.apply",
    "service_account": "keys.create",
}
"""The permission by which whoever may give roles is told to have all that a role gives: nobody gives more."""


ANY = "*"
"""In place of a project's name: some project of a unit."""


@dataclass(frozen=True)
class Held:
    """A role of the person, and where by name; both empty: on the platform."""

    role: str
    unit: str = ""
    project: str = ""

    def covers(self, unit: str | None, project: str) -> bool:
        """Whether the role holds there. `unit` None: it is not known."""
        if self.project:
            return self.project == project
        return not self.unit or self.unit == unit or (unit is None and bool(project))


@dataclass(frozen=True)
class Standing:
    """The person with their roles."""

    principal: Principal
    held: Sequence[Held] = ()

    def may(self, permission: str, *, unit: str | None = None, project: str = "", owner: str | None = None) -> bool:
        """Whether the person has a permission on the platform (nothing given), in a unit, or in a project.

        `owner` is whom the thing there belongs to, if anybody.
        """
        principal = self.principal
        if principal.permissions is None or permission in principal.permissions:
            return True
        mine = bool(owner) and owner == principal.name
        grants = {grant.role: grant for grant in principal.grants}
        return any(
            (permission in grants[one.role].permissions or (mine and permission in grants[one.role].own))
            and one.covers(unit, project)
            for one in self.held
            if one.role in grants
        )

    def may_set_budget(self, subject: str, unit: str | None = None) -> bool:
        """Whether the person may set the budget of a subject; `unit` is the one of a project. Nobody sets their own."""
        kind, _, name = subject.partition(":")
        if kind == "key":
            return self.may("budgets.update", project=name.partition("/")[0])
        if kind == "project":
            above = [one for one in self.held if not one.project]
            return Standing(self.principal, above).may("budgets.update", unit=unit, project=name)  # not the project's
        return self.may("budgets.update")

    def roles_to_give(self, *, unit: str | None = None, project: str = "") -> list[str]:
        """The roles that the person may give or take in a unit or a project."""
        level = "project" if project else "business_unit" if unit else "platform"
        if not self.may("roles.grant", unit=unit, project=project):
            return []
        return [
            role for role in ALL_ROLES if level in LEVELS[role] and self.may(TELLING[role], unit=unit, project=project)
        ]

    def roles_anywhere(self) -> list[str]:
        """The roles that the person may give somewhere."""
        if self.may("roles.grant"):
            return list(ALL_ROLES)
        places = [(one.unit, one.project) for one in self.held if one.unit or one.project]
        found = {role for unit, project in places for role in self.roles_to_give(unit=unit, project=project)}
        found |= {
            role
            for unit, project in places
            if unit and not project
            for role in self.roles_to_give(unit=unit, project=ANY)
        }
        return [role for role in ALL_ROLES if role in found]
