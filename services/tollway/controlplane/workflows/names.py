"""The names by which policies and delegations know people and machines: one form of each, and whose they are.

Their one form is `model.plain_name`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tollway.controlplane.call import Call
from tollway.controlplane.rules.checks import invalid
from tollway.controlplane.workflows import holders
from tollway.controlplane.workflows.people import BOOTSTRAP, is_machine

_ADDRESS = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")
EXAMPLE = "a name as the audit log has it, for example ana@example.com"


def is_address(name: str) -> bool:
    """Whether a name has the form of an e-mail address."""
    return _ADDRESS.fullmatch(name) is not None


async def unknown(call: Call, names: Iterable[str]) -> list[str]:
    """Those of these people that no user has. The bootstrap administrator is somebody."""
    people = dict.fromkeys(name for name in names if not is_machine(name) and name != BOOTSTRAP)
    known = await holders.known(call.db, set(people)) if people else set()
    return [name for name in people if name not in known]


async def refuse_strangers(call: Call, named: Iterable[tuple[str, str]]) -> None:
    """Raises ApiError for approvers, given as (field, name), who cannot be meant.

    People may be named by their address before they first sign in. A service account must be there: whoever makes one
    of that name later would be an approver; and any other name must be a user's, or nobody could ever decide.
    """
    named = list(named)
    strangers = set(await unknown(call, (name for _field, name in named)))
    for field, name in named:
        if is_machine(name) and not await holders.live_machine(call.db, name):
            raise invalid(field, f"name {name!r}, and there is no such service account; create it first")
        if name in strangers and not is_address(name):
            raise invalid(field, f"name {name!r}, and nobody has that name; give an e-mail address")
