"""Who calls: the principal behind an identity that an issuer vouches for, or behind a service account's token.

Roles are read anew for every call, so that one that is removed is gone at the next. The caller's connection must be in
a transaction that can write: users are made, bound and noted as seen.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from tollway.controlplane.access import identities, postgres, tokens
from tollway.controlplane.access.model import Identity
from tollway.controlplane.access.permissions import FULL, PLATFORM, Role, base, grant
from tollway.controlplane.access.rows import Held, UserRow
from tollway.controlplane.audit import service as audit
from tollway.controlplane.call import ApiCode, ApiError, AuditRecord, Call, Grant, Principal
from tollway.controlplane.credentials.vault import Vault
from tollway.controlplane.db.statements import Database
from tollway.controlplane.db.versions import publish
from tollway.runtime import log
from tollway.runtime.clock import SystemClock

_log = log.get(__name__)
SIGN_IN = "users.sign_in"
"""The action of what a sign-in changes, in the audit log."""
SEEN = timedelta(minutes=5)
"""How old a note of the last call may be before it is written again."""
MAX_GROUPS = 1_000
MAX_GROUP = 200
MAX_NAME = 200
MAX_EMAIL = 254
MAX_SUBJECT = 500


def _effective(held: Sequence[Held]) -> tuple[frozenset[str], tuple[Grant, ...]]:
    """What holds on the whole platform, and the grants with their scopes."""
    platform = set(base(Role(one.role) for one in held))
    grants = []
    for one in held:
        role = Role(one.role)
        platform |= PLATFORM[role]
        if one.unit_id is None and one.project_id is None:
            platform |= FULL[role]
        grants.append(grant(role, one.unit_id, one.project_id))
    return frozenset(platform), tuple(grants)


def _clean(text: str, limit: int) -> str:
    return text.replace("\0", "").strip()[:limit]


def _groups(groups: Sequence[str]) -> list[str]:
    """Groups as they are kept; one that is too long for a name is left out, and so gives nothing."""
    fitting = (group for group in groups if 0 < len(group) <= MAX_GROUP and "\0" not in group)
    return sorted(dict.fromkeys(fitting))[:MAX_GROUPS]


async def principal_of(
    db: Database,
    identity: Identity,
    now: datetime,
    *,
    vault: Vault | None = None,
    source: str = "",
    news: bool = True,
    binds: bool = True,
) -> Principal:
    """The principal behind an identity. Raises ApiError (permission_denied) for one that is refused.

    A first sign-in binds the user who was named by the verified e-mail address, or makes one without any role. Groups
    are those of `identity`, but for those that the issuer did not name any more when it spoke of them later. With a
    `vault`, what changes is in the audit log; `source` is the address that it came from. `news` False: the issuer said
    this before, so that groups are not audited once more, as they would be at every call when two tokens differ; who is
    bound or made always is. `binds` False: nobody is bound or made, as the issuer did not just vouch for them.
    """
    if not identity.issuer or not identity.subject or len(identity.subject) > MAX_SUBJECT or "\0" in identity.subject:
        raise ApiError(ApiCode.PERMISSION_DENIED, "the token names no subject that can sign in")
    changes: list[AuditRecord] = []
    known = await postgres.user_by_identity(db, identity.issuer, identity.subject)
    if known is None and not binds:
        raise ApiError(ApiCode.PERMISSION_DENIED, "this sign-in belongs to no user any more; sign in again")
    row = known if known is not None else await _first_time(db, identity, now, changes)
    _refuse_disabled(row)
    if identity.issued is not None and await postgres.tokens_void(db, row.id, identity.issued):
        raise ApiError(ApiCode.UNAUTHENTICATED, "earlier tokens and sign-ins of this user are void; sign in again")
    groups, kept = _believed(row, identity)
    display_name = _clean(identity.name, MAX_NAME) or row.display_name
    stale = row.last_seen_at is None or now - row.last_seen_at >= SEEN
    said = min(identity.issued, now) if identity.issued is not None else None  # an issuer's clock may be ahead
    newer = news and identity.groups_told and (said is None or row.groups_said_at is None or row.groups_said_at < said)
    if stale or newer or (kept, display_name) != (row.groups, row.display_name):
        told = identity.groups_told
        await postgres.see_user(db, row.id, kept, display_name, at=now, said_at=said, told=told)
    if news and kept != row.groups:
        changes.append(AuditRecord(f"user:{row.name}", {"groups": row.groups}, {"groups": kept}))
    principal = await _principal(db, row, groups, now)
    pushed: set[UUID] = set()
    longer = bool(kept) and stale and identities.believed_longer(row.last_seen_at, now)
    if known is None or longer or (kept != row.groups and await _other_roles(db, row, kept, now)):
        pushed = await identities.of_users(db, {row.id})
    await _record(db, principal, changes, vault, source)
    if pushed:
        await publish(db, catalog=False, keys=pushed)
    return principal


def _believed(row: UserRow, identity: Identity) -> tuple[list[str], list[str]]:
    """The groups that hold for this call, and those that are kept of the user.

    What the issuer said before it spoke of the groups last takes none of them away, and brings none back.
    """
    groups = _groups(identity.groups)
    if identity.issued is None or row.groups_said_at is None or row.groups_said_at <= identity.issued:
        return groups, groups
    return [group for group in groups if group in row.groups], row.groups


async def _other_roles(db: Database, row: UserRow, groups: Sequence[str], now: datetime) -> bool:
    """Whether a user has other roles by these groups than by those that are known."""
    issuer = row.issuer or ""
    before = await postgres.roles_of_user(db, row.id, row.groups, issuer, now)
    after = await postgres.roles_of_user(db, row.id, groups, issuer, now)
    return set(before) != set(after)


async def groups_withdrawn(
    db: Database, issuer: str, subject: str, now: datetime, *, vault: Vault, source: str
) -> None:
    """The issuer vouches for somebody no more: what it said of their groups is forgotten, on the data planes too.

    Nothing that it said until now brings them back, only what it says later.
    """
    row = await postgres.user_by_identity(db, issuer, subject)
    if row is None:
        return
    principal = await _principal(db, row, (), now)
    await postgres.forget_groups(db, row.id, now)
    # Pushed in any case: another call may have written groups since the row was read.
    pushed = await identities.of_users(db, {row.id})
    lost = AuditRecord(f"user:{row.name}", {"groups": row.groups}, {"groups": []})
    await _record(db, principal, [lost] if row.groups else [], vault, source)
    if pushed:
        await publish(db, catalog=False, keys=pushed)


def _refuse_disabled(row: UserRow) -> None:
    if row.disabled_at is not None:
        raise ApiError(ApiCode.PERMISSION_DENIED, "this user is disabled; a platform administrator can enable it")


async def _principal(db: Database, row: UserRow, groups: Sequence[str], now: datetime) -> Principal:
    held = await postgres.roles_of_user(db, row.id, groups, row.issuer or "", now)
    permissions, grants = _effective(held)
    return Principal(
        name=row.name,
        permissions=permissions,
        kind="user",
        user_id=row.id,
        email=row.email,
        groups=tuple(groups),
        grants=grants,
    )


async def _first_time(db: Database, identity: Identity, now: datetime, changes: list[AuditRecord]) -> UserRow:
    """Binds the user whom the address names, or makes one. Of two first sign-ins at once one makes, the other finds."""
    email = identity.email.strip().lower() if identity.email_verified else ""
    if len(email) > MAX_EMAIL or "\0" in email or "@" not in email:
        email = ""
    named = await postgres.user(db, email, "_for_update") if email else None
    new = named is not None and named.issuer is None
    if named is not None and new:
        if not await postgres.bindable(db, named.id, identity.issuer, identity.subject, identity.issued):
            message = "this sign-in was unbound from the user of its e-mail address, and is not bound to it again"
            raise ApiError(ApiCode.PERMISSION_DENIED, message)
        await postgres.bind_user(db, named.id, identity.issuer, identity.subject, now)
    else:
        name = _clean(identity.name, MAX_NAME)
        new = await postgres.insert_user(
            db, email, name, now, issuer=identity.issuer, subject=identity.subject
        ) is not None  # fmt: skip
    found = await postgres.user_by_identity(db, identity.issuer, identity.subject)
    if found is None:
        message = "this e-mail address belongs to another sign-in; a platform administrator can unbind that user"
        raise ApiError(ApiCode.PERMISSION_DENIED, message)
    if new:
        bound = {"issuer": identity.issuer, "subject": identity.subject}
        changes.append(AuditRecord(f"user:{found.name}", None, bound))
    return found


async def _record(
    db: Database, principal: Principal, changes: list[AuditRecord], vault: Vault | None, source: str
) -> None:
    """Writes what a sign-in changed into the audit log, whose seals need the vault; without it, into the log alone."""
    if not changes:
        return
    _log.info("a sign-in changed a user", user=principal.name, changes=[list(one.after or ()) for one in changes])
    if vault is not None:
        call = Call(
            principal=principal, db=db, clock=SystemClock(), permission=SIGN_IN, source=source, sealing=vault,
            audits=changes,
        )  # fmt: skip
        await audit.write(call)


async def account_of(db: Database, token: str, now: datetime | None = None) -> Principal | None:
    """The principal behind a service account's token; None when it is none, or not in force.

    `now` None: the database's time. Digests are compared in constant time; a presented digest is not a token.
    """
    presented = tokens.parse(token)
    if presented is None:
        return None
    found = await postgres.presented(db, presented.public_id, now)
    if found is None or not hmac.compare_digest(found.digest, presented.digest):
        return None
    if found.stale:
        await postgres.use_token(db, found.id, now)
    permissions, grants = _effective(await postgres.roles_of_account(db, found.account, now))
    return Principal(
        name=f"service_account:{found.name}",
        permissions=permissions,
        kind="service_account",
        service_account_id=found.account,
        grants=grants,
    )
