"""The addresses of the portal, and what holds for all of them: session, CSRF, and pages for whatever goes wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from tollway.controlplane.api.dispatcher import Dispatcher
from tollway.controlplane.api.rest import STATUS
from tollway.controlplane.call import ApiCode, ApiError
from tollway.controlplane.portal import rendering
from tollway.controlplane.portal.pages import (
    accounts,
    approvals,
    budgets,
    keys,
    logs,
    models,
    overview,
    people,
    platform,
    playground,
    policies,
    projects,
)
from tollway.controlplane.portal.relay import Relay
from tollway.controlplane.portal.reports import Reports
from tollway.controlplane.portal.visit import HEADERS, Services, Visit, is_part, title_of
from tollway.controlplane.signin.form_body import bounded, read_form
from tollway.controlplane.signin.sessions import session_of, signed_in
from tollway.runtime import log
from tollway.runtime.clock import Clock

_log = log.get(__name__)
MAX_FORM_BYTES = 256 << 10
MAX_FIELDS = 1500
"""Of a form, as the application is told; the largest is that of a policy, with fewer than 1,000."""
ASSET_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
Page = Callable[[Visit], Awaitable[web.StreamResponse]]

LOOKED_AT: tuple[tuple[str, Page], ...] = (
    ("/", overview.overview),
    ("/usage/{by:day|model|project|key|business_unit|provider|user}", overview.usage),
    ("/account", overview.account),
    ("/keys", keys.keys),
    ("/keys/new", keys.new),
    ("/keys/{key}", keys.one),
    ("/models", models.models),
    ("/models/{model:.+}", models.model),
    ("/playground", playground.playground),
    ("/approvals", approvals.listing),
    ("/approvals/new", approvals.new),
    ("/approvals/{approval}", approvals.one),
    ("/delegations", approvals.delegations),
    ("/projects", projects.projects),
    ("/projects/{project}", projects.project),
    ("/units", projects.units),
    ("/units/{unit}", projects.unit),
    ("/units/{unit}/costs", projects.unit_costs),
    ("/budgets", budgets.budgets),
    ("/budgets/edit", budgets.edit),
    ("/request-log", logs.listing),
    ("/providers", platform.providers),
    ("/users", people.users),
    ("/roles", people.roles),
    ("/service-accounts", accounts.accounts),
    ("/policies", policies.policies),
    ("/policies/{kind}", policies.policy),
    ("/policies/{kind}/condition", policies.condition),
    ("/audit", platform.audit),
)
SENT: tuple[tuple[str, Page], ...] = (
    ("/keys", keys.create),
    ("/keys/{key}/rotate", keys.rotate),
    ("/keys/{key}/{action:revoke|end-grace}", keys.act),
    ("/playground", playground.send),
    ("/approvals", approvals.create),
    ("/approvals/{approval}/{action:decide|comment|cancel|revoke}", approvals.act),
    ("/delegations", approvals.delegate),
    ("/projects/{project}", projects.save),
    ("/projects/{project}/members", projects.members),
    ("/budgets", budgets.save),
    ("/budgets/increase", budgets.increase),
    ("/request-log/{request}", logs.read),
    ("/providers/{provider}/check", platform.check),
    ("/users", people.create_user),
    ("/users/{user}/{action:enable|disable}", people.act),
    ("/roles", people.grant),
    ("/service-accounts", accounts.create),
    ("/service-accounts/{account}/{action:issue|revoke|disable|enable|archive}", accounts.act),
    ("/policies/{kind}", policies.send),
    ("/audit/verify", platform.verify),
)


class Portal:
    """The pages of one process. `gateway` is the data plane's address for clients, empty when it is not set."""

    def __init__(self, dispatcher: Dispatcher, clock: Clock, gateway: str) -> None:
        self._services = Services(dispatcher, rendering.environment(), Reports(clock), clock, gateway)
        self._relay = Relay(gateway)

    async def close(self) -> None:
        """Closes what it has opened."""
        await self._relay.close()

    def add_to(self, app: web.Application) -> None:
        """Adds the addresses, inside the event loop. Sign-in must have been added, for its sessions and headers."""
        self._relay.open()
        app[playground.RELAY] = self._relay
        playground.add_keys(app, self._services)
        app.router.add_get("/assets/{version}/{name}", self._asset)
        for path, page in LOOKED_AT:
            app.router.add_get(path, self._guard(signed_in(self._answered(page))))
        for path, page in SENT:
            app.router.add_post(path, self._guard(signed_in(self._answered(page))))
        app.router.add_post("/playground/stream", self._guard(signed_in(self._streamed)))
        looked_at = {path for path, _ in LOOKED_AT}
        for path, _ in SENT:
            if path not in looked_at:
                app.router.add_get(path, _back(path, looked_at))
        app.router.add_get("/{missing:.*}", self._guard(self._missing))

    async def _asset(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in rendering.ASSETS:
            raise web.HTTPNotFound
        body, kind = rendering.CONTENTS[name], rendering.ASSETS[name]
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=ASSET_HEADERS)

    async def _missing(self, request: web.Request) -> web.StreamResponse:
        """Addresses without a page; whoever has signed in finds the menu there."""
        error = ApiError(ApiCode.NOT_FOUND, "there is no page at this address")
        if await session_of(request) is None:
            raise error
        return (await self._visit(request)).problem(error)

    async def _visit(self, request: web.Request) -> Visit:
        session = await session_of(request)
        assert session is not None, "signed_in has looked"
        form: dict[str, str] = {}
        if request.method == "POST":
            form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        return Visit(request, session, self._services, form)

    def _answered(self, page: Page) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            visit = await self._visit(request)
            try:
                return await page(visit)
            except ApiError as error:
                return visit.problem(error)

        return answer

    async def _streamed(self, request: web.Request) -> web.StreamResponse:
        return await playground.stream(await self._visit(request))

    def _guard(
        self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            """Forms are bounded before they are read; what goes wrong before a page knows its person is plain."""
            try:
                if request.method == "POST":
                    bounded(request, MAX_FORM_BYTES)
                    if await session_of(request) is not None:
                        await read_form(request)
                return await handler(request)
            except ApiError as error:
                return self._plain(request, error.message, title_of(error), STATUS[error.code])
            except web.HTTPException:
                raise
            except Exception:  # noqa: BLE001 - logged and answered; the server goes on
                _log.exception("a page failed by a defect", path=request.path)
                said = "This is a defect of Tollway; it was recorded."
                return self._plain(request, said, "Something went wrong", 500)

        return answer

    def _plain(self, request: web.Request, message: str, title: str, status: int) -> web.Response:
        template = self._services.templates.get_template("plain.html")
        text = template.render(message=message, title=title, part=is_part(request))
        return web.Response(status=status, text=text, content_type="text/html", headers=HEADERS)


def _back(path: str, looked_at: set[str]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Where a browser looks that loads anew what a form answered: the page of which the form is a part."""
    kept = path
    while kept not in looked_at:
        kept = kept.rpartition("/")[0]
    depth = kept.count("/")

    async def answer(request: web.Request) -> web.StreamResponse:
        location = "/".join(request.rel_url.raw_path.split("/")[: depth + 1])
        return web.Response(status=303, headers={"Location": location, "Cache-Control": "no-store"})

    return answer
