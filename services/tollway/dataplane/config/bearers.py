"""Tokens of identity providers in place of virtual keys: from a JWT and `x-tollway-project` to a principal.

Nothing is fetched: issuers with their keys are in the catalog, users in the key directory, both pushed. A verified
token is remembered by the SHA-256 of all of it until it expires; whose it is, is asked of the directory at every
request, so that a user who is disabled, signed out or loses a role is refused as soon as a revoked key is.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Iterable
from typing import Any, NamedTuple, Protocol

import msgspec

from tollway.core import ids
from tollway.core.bearer import (
    LEEWAY_SECONDS,
    TYPES,
    TokenRefused,
    algorithm_of,
    check_times,
    choose_key,
    header_of,
    issuer_named,
    seconds,
    session_digest,
    session_of,
    signed_claims,
    subject_of,
)
from tollway.core.catalog import DirectoryEntry, Project, ProjectGrant, TokenIssuer
from tollway.core.claims import Said, said_of
from tollway.core.errors import Code, TollwayError
from tollway.dataplane.config.holder import CatalogHolder, Routes
from tollway.dataplane.config.principal import Principal
from tollway.runtime.clock import Clock

PROJECT_HEADER = "x-tollway-project"
MAX_LIFETIME_SECONDS = 3600
MAX_VERIFIED = 10_000
MAX_GROUPS = 200_000
"""Of the tokens that are remembered, all together: some 20 MiB."""
MAX_PRINCIPALS = 10_000
SHOWN_PROJECTS = 20
RETRY_AFTER_SECONDS = 1.0
_SIGNED_OUT = "This user has signed out. Get a new token from your identity provider."


class Entries(Protocol):
    """The directory, as far as tokens need it."""

    def at_once(self, lookup: str) -> DirectoryEntry | None:
        """The entry, if it is known and fresh enough to be used without a look at the store."""

    async def find(self, lookup: str) -> DirectoryEntry | None:
        """The entry; None when there is none. Raises TollwayError when that cannot be known."""


class Verified(NamedTuple):
    """What a token says, once its signature, issuer, audience and form were checked. Times are in Unix seconds.

    `session` is the digest of the provider's session, empty where the token names none. `said` is of its groups: where
    it has the claim that would name a group, what the group gives ends with this token, not when it was last seen.
    """

    lookup: str
    session: str
    said: Said
    tags: dict[str, str]
    issued: float
    expires: float


class Bearers:
    """The tokens that one process knows. All state is of one event loop."""

    def __init__(self, entries: Entries, holder: CatalogHolder, clock: Clock) -> None:
        self._entries = entries
        self._holder = holder
        self._clock = clock
        self._verified: OrderedDict[bytes, Verified] = OrderedDict()
        self._principals: dict[tuple[str, str, tuple[str, ...]], tuple[DirectoryEntry, Principal]] = {}
        self._keys: dict[tuple[str, str | None, str], Any] = {}
        self._issuers: dict[str, TokenIssuer] = {}
        self._pepper = b""
        self._groups = 0
        """How many groups the verified tokens name, all together."""
        holder.on_swap(self._swapped)

    def _swapped(self, routes: Routes) -> None:
        """What was verified holds while issuers, keys and the names of entries are the same."""
        self._principals.clear()
        if (routes.catalog.issuers, routes.catalog.index_pepper) != (self._issuers, self._pepper):
            self._issuers = routes.catalog.issuers
            self._pepper = routes.catalog.index_pepper
            self._verified.clear()
            self._groups = 0
            self._keys.clear()

    def takes(self, presented: str) -> bool:
        """Whether a credential is looked at as a token: some issuer's are taken, and it has the form of one.

        A token begins with a JSON object in base64url, so with "ey"; a key with two dots hardly does.
        """
        return bool(self._issuers) and presented.startswith("ey") and presented.count(".") == 2

    def authenticate(self, token: str, project: str | None) -> Principal | Awaitable[Principal]:
        """The principal of a token for a project (name or id; None: not named). Raises TollwayError."""
        routes = self._holder.routes
        if routes is None:
            raise _unavailable("There is no configuration yet.")
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        verified = self._verified.get(digest)
        now = self._clock.now_ms() / 1000
        if verified is None:
            verified = self._verify(token, now)
            self._remember(digest, verified)
        elif verified.expires + LEEWAY_SECONDS <= now:
            self._groups -= len(self._verified.pop(digest).said.groups)
            raise _expired()
        else:
            self._verified.move_to_end(digest)
        entry = self._entries.at_once(verified.lookup)
        if entry is None:
            return self._when_found(verified, project)
        return self._principal(verified, entry, project)

    def _remember(self, digest: bytes, verified: Verified) -> None:
        self._verified[digest] = verified
        self._groups += len(verified.said.groups)
        while len(self._verified) > MAX_VERIFIED or self._groups > MAX_GROUPS:
            _, oldest = self._verified.popitem(last=False)
            self._groups -= len(oldest.said.groups)

    async def _when_found(self, verified: Verified, project: str | None) -> Principal:
        entry = await self._entries.find(verified.lookup)
        if entry is None or entry.grants is None:
            raise TollwayError(
                Code.PROJECT_NOT_ALLOWED,
                "This user is not known here. Sign in to the portal once, then ask for a project there.",
            )
        return self._principal(verified, entry, project)

    # -- the token ----------------------------------------------------------------------------------------------------

    def _verify(self, token: str, now: float) -> Verified:
        try:
            return self._checked(token, now)
        except TokenRefused as refused:
            if str(refused) == "it has expired":
                raise _expired() from None
            raise TollwayError(Code.INVALID_API_KEY, f"The token is not valid: {refused}.") from None

    def _checked(self, token: str, now: float) -> Verified:
        issuer = self._issuers.get(issuer_named(token))
        if issuer is None:
            raise TokenRefused("its issuer is not known here")
        header = header_of(token)
        algorithm = algorithm_of(header, issuer.algorithms, TYPES)
        if not issuer.keys:
            raise _unavailable(f"The keys of the identity provider '{issuer.name}' are not here yet.")
        key = self._key(issuer, header.get("kid"), algorithm)
        claims = signed_claims(token, key, algorithm, issuer=issuer.issuer, audiences=issuer.audiences)
        check_times(claims, now)
        if "events" in claims:
            raise TokenRefused("it is no token for calls")
        issued, expires = seconds(claims, "iat"), seconds(claims, "exp")
        if expires - issued > MAX_LIFETIME_SECONDS:
            raise TokenRefused("it is good for more than 1 hour, which is the longest that is taken here")
        session = session_digest(session_of(claims))
        floor = issuer.sessions_not_before_ms
        if session in issuer.ended or (session and floor is not None and issued * 1000 < floor):
            raise TollwayError(Code.KEY_REVOKED, _SIGNED_OUT)
        lookup = ids.identity_lookup(self._pepper, issuer.issuer, subject_of(claims))
        said = said_of(claims, issuer.groups_claim, issuer.claims)
        return Verified(lookup, session, said, issuer.tags, issued, expires)

    def _key(self, issuer: TokenIssuer, kid: str | None, algorithm: str) -> Any:
        """The key of a header, read once: that takes longer than to verify with it."""
        place = (issuer.issuer, kid, algorithm)
        key = self._keys.get(place)
        if key is None:
            key = choose_key(issuer.keys, kid, algorithm)
            if key is None:
                raise TokenRefused("its key is not one of its issuer's")
            self._keys[place] = key  # as many as the issuers publish, by algorithm
        return key

    # -- whose it is --------------------------------------------------------------------------------------------------

    def _principal(self, verified: Verified, entry: DirectoryEntry, project: str | None) -> Principal:
        now_ms = self._clock.now_ms()
        if (why := _void(verified, entry)) is not None:
            raise TollwayError(Code.KEY_REVOKED, why)
        denied = _denied(verified.said, entry)
        place = (verified.lookup, project or "", denied)
        known = self._principals.get(place)
        if known is not None and known[0] is entry:
            not_after = known[1].not_after_ms
            if not_after is None or now_ms < not_after:
                return known[1]
        routes = self._holder.routes
        assert routes is not None
        grants = [grant for grant in entry.grants or () if not grant.group or grant.group not in denied]
        chosen, ends = self._choose(routes, grants, project, now_ms)
        own = msgspec.structs.replace(entry, project=chosen.id, tags=verified.tags)
        principal = Principal(own, chosen, routes, ends)
        if len(self._principals) >= MAX_PRINCIPALS:
            self._principals.clear()
        self._principals[place] = (entry, principal)
        return principal

    def _choose(
        self, routes: Routes, given: Iterable[ProjectGrant], named: str | None, now_ms: int
    ) -> tuple[Project, int | None]:
        """The project of a request among those that are granted, and until when it is. Raises TollwayError."""
        grants = [g for g in given if g.not_after_ms is None or now_ms < g.not_after_ms]
        granted = {project.id: project for project in routes.catalog.projects.values() if _covered(grants, project)}
        if not granted:
            raise TollwayError(
                Code.PROJECT_NOT_ALLOWED,
                "No project is granted to this user. Ask for one in the portal, or have a role given.",
            )
        if named:
            found = granted.get(named) or next((p for p in granted.values() if p.name == named), None)
            if found is None:
                message = f"The project '{named[:100]}' is not granted to this user. {_listed(granted.values())}"
                raise TollwayError(Code.PROJECT_NOT_ALLOWED, message, param=PROJECT_HEADER)
        elif len(granted) > 1:
            message = f"Several projects are granted: name one in the header '{PROJECT_HEADER}'."
            raise TollwayError(Code.INVALID_REQUEST, f"{message} {_listed(granted.values())}", param=PROJECT_HEADER)
        else:
            found = next(iter(granted.values()))
        ends = [grant.not_after_ms for grant in grants if grant.covers(found)]
        # Without a name the choice may change when another grant ends.
        if not named:
            return found, min((g.not_after_ms for g in grants if g.not_after_ms is not None), default=None)
        return found, None if None in ends else max(end for end in ends if end is not None)


def _void(verified: Verified, entry: DirectoryEntry) -> str | None:
    """Why a token is void that has not expired: its user is disabled, or it was issued before something, or None."""
    if entry.revoked:
        return "This user is disabled. Ask a platform administrator."
    issued = verified.issued * 1000
    if entry.not_before_ms is not None and issued < entry.not_before_ms:
        return "This user's earlier tokens have been revoked. Get a new one from your identity provider."
    if verified.session:
        return _SIGNED_OUT if verified.session in entry.ended else None
    floor = entry.sessionless_not_before_ms
    return _SIGNED_OUT if floor is not None and issued < floor else None


def _denied(said: Said, entry: DirectoryEntry) -> tuple[str, ...]:
    """The groups that give something and that a token denies."""
    return tuple(grant.group for grant in entry.grants or () if grant.group and said.denies(grant.group))


def _covered(grants: Iterable[ProjectGrant], project: Project) -> bool:
    return any(grant.covers(project) for grant in grants)


def _listed(projects: Iterable[Project]) -> str:
    names = sorted(project.name for project in projects)
    more = f" and {len(names) - SHOWN_PROJECTS} more" if len(names) > SHOWN_PROJECTS else ""
    return f"Granted: {', '.join(names[:SHOWN_PROJECTS])}{more}."


def _expired() -> TollwayError:
    return TollwayError(Code.KEY_EXPIRED, "This token has expired. Get a new one from your identity provider.")


def _unavailable(message: str) -> TollwayError:
    return TollwayError(Code.DIRECTORY_UNAVAILABLE, f"{message} Please retry.", retry_after_seconds=RETRY_AFTER_SECONDS)
