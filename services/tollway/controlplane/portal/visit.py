"""One request of a person who has signed in: who it is, what they may see, and the way to the methods of the API.

Everything goes through the dispatcher, as REST and gRPC do; no feature is called from here.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from aiohttp import web
from jinja2 import Environment

from tollway.controlplane.api.dispatcher import CallContext, Dispatcher
from tollway.controlplane.api.rest import REQUEST_ID, STATUS
from tollway.controlplane.call import ApiCode, ApiError, Principal
from tollway.controlplane.portal.forms import stamp
from tollway.controlplane.portal.menu import menu
from tollway.controlplane.portal.once import digest_of, key_of
from tollway.controlplane.portal.places import Held, Standing
from tollway.controlplane.portal.reports import Reports
from tollway.runtime.clock import Clock
from tollway.wire.codec import ContractViolation
from tollway.wire.contract import METHODS
from tollway.wire.json_codec import fill

USAGE = "UsageService/QueryUsage"
HEADERS = {"Cache-Control": "no-store", "Vary": "HX-Request"}
"""Of every page."""
BESIDE = frozenset(
    {
        ApiCode.INVALID,
        ApiCode.ALREADY_EXISTS,
        ApiCode.FAILED_PRECONDITION,
        ApiCode.ETAG_MISMATCH,
        ApiCode.NOT_FOUND,
        ApiCode.PERMISSION_DENIED,
    }
)
"""What goes wrong with a form and is shown there, with what was typed."""
_TITLES = {
    ApiCode.INVALID: "This request cannot be used",
    ApiCode.PERMISSION_DENIED: "You may not do this",
    ApiCode.NOT_FOUND: "Not found",
    ApiCode.ALREADY_EXISTS: "It exists already",
    ApiCode.FAILED_PRECONDITION: "This cannot be done now",
    ApiCode.ETAG_MISMATCH: "Somebody else changed this in the meantime",
    ApiCode.ANSWER_GONE: "This was done already",
    ApiCode.UNAVAILABLE: "Tollway cannot answer now",
}


class SignedIn(Protocol):
    """What a page knows of a session."""

    @property
    def id(self) -> Any:
        """Its number."""

    @property
    def principal(self) -> Principal:
        """Who it is."""

    @property
    def csrf_token(self) -> str:
        """What forms of this session carry."""

    @property
    def issuer_name(self) -> str:
        """Who vouches for the person; empty for the local administrator."""


@dataclass(frozen=True)
class Services:
    """What pages need of the process. `gateway` is where clients find the data plane, empty when it is not set."""

    dispatcher: Dispatcher
    templates: Environment
    reports: Reports
    clock: Clock
    gateway: str


@dataclass
class Visit:
    """The request with its session; `form` is what was sent, empty for pages that are only looked at."""

    request: web.Request
    session: SignedIn
    services: Services
    form: Mapping[str, str] = field(default_factory=dict)
    changes: int = 0
    """How many calls that change something were made for the form."""

    @property
    def principal(self) -> Principal:
        """Who it is."""
        return self.session.principal

    @property
    def now(self) -> datetime:
        """The present time."""
        return datetime.fromtimestamp(self.services.clock.now_ms() / 1000, UTC)

    def asked(self, name: str, default: str = "") -> str:
        """A value of the address, cut to a sensible length."""
        return self.request.query.get(name, default).strip()[:500]

    def named(self, name: str) -> str:
        """What the path names."""
        return self.request.match_info[name]

    def may(self, permission: str) -> bool:
        """Whether there is anything on which the person has a permission."""
        return self.principal.anywhere(permission)

    def usage(self, by: str, begin: datetime, *, limit: int | None = None, **only: Any) -> tuple[str, dict[str, Any]]:
        """What `several` takes to ask for usage from a moment until the end of today; with a limit, of the dearest.

        Today's end costs nothing, as nothing lies after now; now would be in the middle of an hour, of which every row
        would have to be read. Let `begin` be a midnight, or at least a full hour, for the same reason.
        """
        midnight = self.now.replace(hour=0, minute=0, second=0, microsecond=0)
        span = {"from": stamp(begin), "to": stamp(midnight + timedelta(days=1))}
        return USAGE, {"by": by, **span, **only} | ({} if limit is None else {"limit": limit})

    @property
    def part(self) -> bool:
        """Whether a page asks for a part of itself, and not a browser for a page."""
        return is_part(self.request)

    def etag(self, present: str, field: str = "etag") -> str:
        """The etag that a form of the page carries. `present` is what it is now, `field` one that this form alone has.

        A form that is shown again keeps the etag that it was sent with, beside what was typed: with the present one the
        next try would overwrite what somebody else has changed meanwhile, and nobody has seen.
        """
        return self.form.get("etag", "") if field in self.form else present

    async def call(self, method: str, fields: Mapping[str, Any] | None = None, *, reason: str = "") -> Any:
        """The answer of a method ("KeyService/CreateKey"). Empty texts and None are left out. Raises ApiError.

        `reason` is why, for the audit log; without one, what the form says in its field `why`.
        """
        reason = reason or self.form.get("why", "").strip()
        if method == USAGE:
            return await self.services.reports.get(
                self.principal, fields or {}, lambda: self._ask(method, fields, reason)
            )
        return await self._ask(method, fields, reason)

    async def _ask(self, method: str, fields: Mapping[str, Any] | None, reason: str) -> Any:
        contract = METHODS[f"tollway.control.v1.{method}"]
        message = contract.request()
        context = CallContext(
            request_id=self.request[REQUEST_ID],
            source=self.request.remote or "",
            reason=reason.replace("\0", "")[:500],
            agent=self.request.headers.get("User-Agent", ""),
            transport="portal",
        )
        if not contract.read_only and (digest := digest_of(self.session.id, self.request.path, self.form)):
            self.changes += 1
            context = replace(context, idempotency_key=key_of(digest, self.changes), stands_for=digest)
        try:
            fill(message, {name: value for name, value in (fields or {}).items() if value not in ("", None)})
            return await self.services.dispatcher.invoke(self.principal, contract, message, context)
        except ContractViolation as violation:
            raise ApiError(ApiCode.INVALID, violation.message, field=violation.field) from None

    async def standing(self) -> Standing:
        """The person with their roles, to ask what they may do at one place."""
        if self.principal.permissions is None:
            return Standing(self.principal)
        caller = await self.call("UserService/GetCaller")
        return Standing(self.principal, [Held(one.role, one.business_unit, one.project) for one in caller.roles])

    async def maybe(self, method: str, fields: Mapping[str, Any] | None = None) -> Any:
        """The answer of a method, or None where the person may not ask or there is nothing."""
        contract = METHODS[f"tollway.control.v1.{method}"]
        if not self.may(contract.permission):
            return None
        try:
            return await self.call(method, fields)
        except ApiError as error:
            if error.code in (ApiCode.PERMISSION_DENIED, ApiCode.NOT_FOUND):
                return None
            raise

    async def several(self, *asked: tuple[str, Mapping[str, Any]]) -> list[Any]:
        """The answers of several methods at once, None for those that `maybe` would not give."""
        return list(await asyncio.gather(*(self.maybe(method, fields) for method, fields in asked)))

    def page(self, template: str, *, status: int = 200, problem: ApiError | None = None, **values: Any) -> web.Response:
        """A page. `problem` is shown beside its field, or on top where the page has no such field."""
        if problem is not None:
            status = STATUS[problem.code]
        known = {
            "csrf": self.session.csrf_token,
            "principal": self.principal,
            "local": not self.session.issuer_name,
            "menu": menu(self.principal, self.request.path),
            "gateway": self.services.gateway,
            "problem": problem,
            "why": self.form.get("why", "")[:500],
            "once": secrets.token_urlsafe(12),
            "may": self.may,
            "part": self.part,
            "notice": NOTICES.get(self.asked("done"), ""),
        }
        text = self.services.templates.get_template(template).render(known | values)
        return web.Response(status=status, text=text, content_type="text/html", headers=HEADERS)

    def go(self, path: str, *, done: str = "") -> web.Response:
        """To another page, after a form. `done` names what the page then says."""
        location = f"{path}{'&' if '?' in path else '?'}done={done}" if done else path
        return web.Response(status=303, headers={"Location": location, "Cache-Control": "no-store"})

    def problem(self, error: ApiError) -> web.Response:
        """What went wrong, as a page of its own."""
        return self.page("problem.html", problem=error, title=title_of(error))


def is_part(request: web.Request) -> bool:
    """Whether a page asks for a part of itself, to be put into a place of it; a boosted link asks for a whole page."""
    return "HX-Request" in request.headers and "HX-Boosted" not in request.headers


def title_of(error: ApiError) -> str:
    """An error in a few words."""
    return _TITLES.get(error.code, "This did not work")


NOTICES = {
    "created": "Created.",
    "saved": "Saved.",
    "revoked": "Revoked.",
    "removed": "Removed.",
    "asked": "Your request was sent.",
    "decided": "Your decision is recorded.",
    "commented": "Your comment is added.",
    "cancelled": "The request is cancelled.",
    "ended": "The grace period is over.",
    "checked": "The provider was asked.",
}
"""What a page says after a form. The address names one of these and never brings words of its own."""
