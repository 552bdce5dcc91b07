"""Whether two who take part in a request could be one person: by a service account that one of them has tokens of.

Whoever may issue a service account's tokens can be that account. So nobody decides a request of an account that they
could be, no account decides for one that could be it, and the two are never two approvers.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tollway.controlplane.access.permissions import FULL, Role
from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.resources import from_ms
from tollway.controlplane.workflows import holders
from tollway.controlplane.workflows.people import BOOTSTRAP, is_machine
from tollway.controlplane.workflows.rows import HomeRow, RoleRow
from tollway.core.approvals.model import Vote

ISSUE = "service_accounts.issue"


class _Hand(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who takes part; `home` is set for a service account."""

    name: str
    home: HomeRow | None
    roles: list[RoleRow]

    def may_be(self, account: HomeRow) -> bool:
        """Whether they may issue tokens of a service account."""
        if self.name == BOOTSTRAP:
            return True
        return any(
            ISSUE in FULL[Role(held.role)] and held.grant.covers(account.unit_id, account.project_id)
            for held in self.roles
        )


async def _hand(call: Call, name: str) -> _Hand:
    home = await holders.home_of(call.db, name) if is_machine(name) else None
    return _Hand(name=name, home=home, roles=await holders.roles_named(call.db, name, from_ms(call.clock.now_ms())))


async def refuse_one_person(call: Call, requester: str, votes: Sequence[Vote]) -> None:
    """Raises ApiError (permission denied) when the last of the votes could be somebody else's of the request."""
    last = votes[-1]
    mine = dict.fromkeys((last.actor, last.on_behalf_of))
    others = dict.fromkeys([requester, *(name for vote in votes[:-1] for name in (vote.actor, vote.on_behalf_of))])
    if not any(is_machine(name) for name in (*mine, *others)):
        return
    hands = {name: await _hand(call, name) for name in (*mine, *others)}
    for me in mine:
        for other in others:
            for account, person in ((hands[me], hands[other]), (hands[other], hands[me])):
                if account.home is not None and person.may_be(account.home):
                    raise ApiError(
                        ApiCode.PERMISSION_DENIED,
                        f"{person.name} may issue tokens of {account.name}, so the two do not decide together; "
                        "somebody else has to",
                    )
