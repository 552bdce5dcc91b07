"""What a project asks of its keys: that they expire in time, and that there are not too many of them.

A key that is older than what is asked of it goes on as it is until somebody changes its expiry, its user or its secret.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.identity.model import ProjectRow
from tollway.controlplane.keys import postgres

BRIEF = timedelta(minutes=15)
"""A key that lives no longer than this is not counted, so that a try in the portal takes nobody's place."""


def counts(created_at: datetime, expires_at: datetime | None) -> bool:
    """Whether a key is one of those of which a project may have so many."""
    return expires_at is None or expires_at - created_at > BRIEF


def _latest(project: ProjectRow, now: datetime) -> datetime | None:
    days = project.key_lifetime_days
    return None if days is None else now + timedelta(days=days)


def check_end(project: ProjectRow, expires_at: datetime | None, now: datetime) -> None:
    """Raises ApiError for an expiry that the project does not allow."""
    latest = _latest(project, now)
    if latest is None or (expires_at is not None and expires_at <= latest):
        return
    message = (
        f"expires_at must be at most {project.key_lifetime_days} days from now, by {latest:%Y-%m-%dT%H:%M:%SZ}: "
        f"the project {project.name!r} lets no key live longer"
    )
    raise ApiError(ApiCode.INVALID, message, field="expires_at")


def check_rotation(project: ProjectRow, expires_at: datetime | None, now: datetime) -> None:
    """Raises ApiError for a key that would live on for longer than the project allows."""
    latest = _latest(project, now)
    if latest is None or (expires_at is not None and expires_at <= latest):
        return
    message = (
        f"the project {project.name!r} lets no key live longer than {project.key_lifetime_days} days; update the "
        "key's expires_at first"
    )
    raise ApiError(ApiCode.FAILED_PRECONDITION, message, field="expires_at")


async def check_number(call: Call, project: ProjectRow, user: str, now: datetime, *, moved: bool = False) -> None:
    """Raises ApiError when the project has all the keys that it may have, or `user` has. `moved`: the key is there.

    Neither a key that another took the place of counts, while both work, nor one that is brief. Until the transaction
    ends nobody else counts.
    """
    if project.max_keys is None and (project.max_keys_per_user is None or not user):
        return
    await postgres.lock_number(call.db, project.id)
    found = await postgres.active(call.db, project.id, user, now, BRIEF)
    if project.max_keys is not None and not moved and found.all >= project.max_keys:
        raise _too_many(f"the project {project.name!r} may have {project.max_keys} active keys, and has {found.all}")
    if project.max_keys_per_user is not None and user and found.of_user >= project.max_keys_per_user:
        raise _too_many(
            f"{user} may have {project.max_keys_per_user} active keys of the project {project.name!r}, and has "
            f"{found.of_user}"
        )


def _too_many(what: str) -> ApiError:
    return ApiError(ApiCode.FAILED_PRECONDITION, f"{what}; revoke one that is not needed")
