"""Who somebody is in a request, which roles they hold where it applies, and for whom they may act."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from tollway.controlplane.access.permissions import Role
from tollway.controlplane.call import Call, Grant, Principal
from tollway.controlplane.resources import from_ms
from tollway.controlplane.workflows import holders, postgres
from tollway.controlplane.workflows.postgres import Seen
from tollway.controlplane.workflows.rows import ApprovalRow, milliseconds
from tollway.core.approvals import approvers
from tollway.core.approvals.model import Case, Delegation, Kind, Person, State

ADMINISTRATOR = "platform_admin"
_READERS = frozenset({ADMINISTRATOR, "auditor", "unit_manager", "project_owner"})
DECIDING = tuple(role.value for role in Role if role not in (Role.SERVICE_ACCOUNT, Role.AUDITOR))
"""Roles that a policy can ask; who audits changes nothing."""
BOOTSTRAP = "administrator"
MAX_DELEGATIONS = 100
_GIVEN_UP: frozenset[Kind] = frozenset({Kind.PLATFORM_ACCESS, Kind.CREDIT, Kind.LIMIT})
"""What whoever asked may give back by themselves: it was theirs, and nobody else stands on it."""
_TAKES: Mapping[Kind, str] = {
    Kind.PLATFORM_ACCESS: "roles.revoke",
    Kind.PROJECT: "projects.archive",
    Kind.MODEL_ACCESS: "projects.update",
    Kind.CREDIT: "budgets.update",
    Kind.LIMIT: "limits.update",
}
"""The permission with which one could take the same away without any request."""


def identity_of(principal: Principal) -> str:
    """The name by which requests, votes, policies and delegations know a caller."""
    return principal.name


def is_machine(name: str) -> bool:
    """Whether a name is a service account's."""
    return name.startswith("service_account:")


class Absent(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whose rights the caller may use, with all their roles."""

    name: str
    starts_ms: int
    ends_ms: int
    grants: tuple[Grant, ...]


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The caller of one call, with the rights that others have lent."""

    name: str
    principal: Principal
    absent: tuple[Absent, ...]

    @property
    def grants(self) -> tuple[Grant, ...]:
        """The caller's own roles."""
        return self.principal.grants

    @property
    def all_powerful(self) -> bool:
        """Whether it is the bootstrap administrator."""
        return self.principal.permissions is None

    def person(self, row: ApprovalRow) -> Person:
        """The caller as an approver of a request."""
        roles = self._held(row) & frozenset(DECIDING)
        return Person(name=self.name, roles=roles, machine=self.principal.kind == "service_account")

    def _held(self, row: ApprovalRow) -> frozenset[str]:
        held = _roles(self.grants, row)
        return held | {ADMINISTRATOR} if self.all_powerful else held

    def delegations(self, row: ApprovalRow) -> list[Delegation]:
        """The rights of others that the caller may use for a request."""
        return [
            Delegation(
                delegator=Person(name=one.name, roles=_deciding(one.grants, row), machine=is_machine(one.name)),
                delegate=self.name,
                starts_ms=one.starts_ms,
                ends_ms=one.ends_ms,
            )
            for one in self.absent
        ]

    def may_decide(self, row: ApprovalRow, case: Case, now_ms: int) -> bool:
        """Whether a vote of the caller would count now."""
        if not self.principal.may("approvals.decide") or case.state is not State.PENDING or now_ms >= case.expires_ms:
            return False
        return approvers.right_of(case, self.person(row), self.delegations(row), now_ms) is not None

    def may_see(self, row: ApprovalRow, case: Case) -> bool:
        """Whether the caller made the request, is or was asked to decide it, or reads it by role."""
        if self.name == row.requester or self._held(row) & _READERS:
            return True
        named = [step.approvers for step in row.steps] + [row.timing.escalate_to]
        people = [self.person(row), *(delegation.delegator for delegation in self.delegations(row))]
        return any(vote.actor == self.name for vote in case.votes) or any(
            person.name in among.people or among.role in person.roles for among in named for person in people
        )

    def may_revoke(self, row: ApprovalRow, case: Case, now_ms: int) -> bool:
        """Whether the caller may take back what was given.

        Who asked, where it was theirs alone; who could take it away without the request; who approved it and still
        could.
        """
        if self.name == row.requester and row.kind in _GIVEN_UP:
            return True
        if self.principal.may(_TAKES[row.kind], unit=row.unit_id, project=row.project_id):
            return True
        person, lent = self.person(row), self.delegations(row)
        return any(
            vote.actor == self.name and approvers.still_entitled(case, vote, person, lent, now_ms)
            for vote in case.votes
        )

    def seen(self) -> Seen:
        """What lists show the caller."""
        grants = [*self.grants, *(grant for one in self.absent for grant in one.grants)]
        reading = [grant for grant in grants if grant.role in _READERS]
        # The others show what asks them: see the statement.
        asked = [grant for grant in grants if grant.role in DECIDING and grant.role not in _READERS]
        return Seen(
            everything=self.all_powerful or any(grant.unit is None and grant.project is None for grant in reading),
            me=self.name,
            names=[self.name, *(one.name for one in self.absent)],
            units=[grant.unit for grant in reading if grant.unit is not None],
            projects=[grant.project for grant in reading if grant.project is not None],
            roles=[grant.role for grant in asked],
            role_units=[grant.unit for grant in asked],
            role_projects=[grant.project for grant in asked],
        )


def _roles(grants: Sequence[Grant], row: ApprovalRow) -> frozenset[str]:
    return frozenset(grant.role for grant in grants if grant.covers(row.unit_id, row.project_id))


def _deciding(grants: Sequence[Grant], row: ApprovalRow) -> frozenset[str]:
    return _roles(grants, row) & frozenset(DECIDING)


async def caller_of(call: Call, row: ApprovalRow | None = None) -> Caller:
    """The caller with what others have lent them; for one request, with what can matter for it."""
    principal, now = call.principal, from_ms(call.clock.now_ms())
    name = identity_of(principal)
    named = [] if row is None else [*(step.approvers for step in row.steps), row.timing.escalate_to]
    people = None if row is None else [person for among in named for person in among.people]
    roles_asked = DECIDING if row is None else [among.role for among in named if among.role]
    rows = await postgres.delegations_to(call.db, name, now, MAX_DELEGATIONS, people=people, roles=roles_asked)
    users = {row.user_id for row in rows if row.user_id is not None}
    roles = await holders.roles_of(call.db, users, now) if users else []
    held: dict[UUID | None, list[Grant]] = {}
    for role in roles:
        held.setdefault(role.user_id, []).append(role.grant)
    return Caller(
        name=name,
        principal=principal,
        absent=tuple(
            Absent(
                name=row.delegator,
                starts_ms=milliseconds(row.starts_at),
                ends_ms=milliseconds(row.ends_at),
                grants=tuple(held.get(row.user_id, [])) if row.user_id is not None else (),
            )
            for row in rows
        ),
    )
