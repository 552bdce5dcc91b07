"""The navigation: which pages there are, and who sees which."""

from __future__ import annotations

from dataclasses import dataclass

from tollway.controlplane.call import Principal


@dataclass(frozen=True)
class Entry:
    """A page in the navigation."""

    path: str
    title: str
    current: bool


@dataclass(frozen=True)
class Group:
    """Pages that belong together."""

    title: str
    entries: list[Entry]


_GROUPS: tuple[tuple[str, tuple[tuple[str, str, tuple[str, ...]], ...]], ...] = (
    (
        "Work",
        (
            ("/", "Overview", ()),
            ("/keys", "Keys", ("keys.read",)),
            ("/models", "Models", ("models.read",)),
            ("/playground", "Playground", ("models.read",)),
            ("/approvals", "Requests", ("approvals.read",)),
        ),
    ),
    (
        "Organisation",
        (
            ("/units", "Business units", ("business_units.read",)),
            ("/projects", "Projects", ("projects.read",)),
            ("/budgets", "Budgets", ("budgets.read",)),
            ("/request-log", "Request log", ("requestlog.read",)),
        ),
    ),
    (
        "Platform",
        (
            ("/providers", "Providers", ("providers.read",)),
            ("/users", "Users and roles", ("users.read", "roles.read")),
            ("/policies", "Policies", ("policies.read",)),
            ("/audit", "Audit log", ("audit.read",)),
        ),
    ),
)


def menu(principal: Principal, path: str) -> list[Group]:
    """The pages that somebody may see; one permission of those named is enough."""
    groups = []
    for title, pages in _GROUPS:
        entries = [
            Entry(where, name, path == where or (where != "/" and path.startswith(f"{where}/")))
            for where, name, needed in pages
            if not needed or any(principal.anywhere(permission) for permission in needed)
        ]
        if entries:
            groups.append(Group(title, entries))
    return groups
