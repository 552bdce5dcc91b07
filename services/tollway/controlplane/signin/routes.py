"""The paths below /auth: pages for browsers, back-channel logout for providers, and what the command line asks for."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

import msgspec
from aiohttp import web
from uuid_utils.compat import uuid7

from tollway.controlplane.call import ApiCode, ApiError, Principal
from tollway.controlplane.credentials.vault import VaultError
from tollway.controlplane.db.pool import OUTAGE
from tollway.controlplane.signin import csrf, pages
from tollway.controlplane.signin.fetch import ProviderUnavailable
from tollway.controlplane.signin.flow import SignInRefused
from tollway.controlplane.signin.form_body import bounded, read_form
from tollway.controlplane.signin.service import PENDING_SECONDS, SignIn, local_path
from tollway.controlplane.signin.sessions import LEAVING, ORIGIN, SESSIONS, check_csrf, session_of
from tollway.controlplane.signin.throttle import TooMany
from tollway.core.bearer import TokenRefused
from tollway.runtime import log

_log = log.get(__name__)
MAX_FORM_BYTES = 64 << 10
_STATUS = {ApiCode.NOT_FOUND: 404, ApiCode.PERMISSION_DENIED: 403, ApiCode.UNAUTHENTICATED: 401}
_NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
Authenticate = Callable[[web.Request], Awaitable[Principal]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _page(handler: Handler) -> Handler:
    """Whatever goes wrong is a page that says what to do."""

    @wraps(handler)
    async def shown(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except TooMany as error:
            return pages.problem(error.message, 429, {"Retry-After": str(error.seconds)})
        except ApiError as error:
            return pages.problem(error.message, _STATUS.get(error.code, 400 if error.code is ApiCode.INVALID else 503))
        except SignInRefused as error:
            return pages.problem(str(error), 401)
        except (ProviderUnavailable, VaultError) as error:
            _log.warning("a sign-in could not go on", reason=str(error))
            return pages.problem(str(error), 503, {"Retry-After": "5"})
        except OUTAGE as error:
            _log.warning("a sign-in could not go on", reason=type(error).__name__)
            return pages.problem("the database does not answer; try again", 503, {"Retry-After": "1"})

    return shown


class SignInRoutes:
    """The handlers of one process."""

    def __init__(self, signin: SignIn, authenticate: Authenticate) -> None:
        self._signin = signin
        self._authenticate = authenticate
        prefix = "__Host-" if signin.origin.secure else ""
        self._pending = f"{prefix}tollway_signin"
        self._form = f"{prefix}tollway_form"

    def add_to(self, app: web.Application) -> None:
        """Adds the paths, and the headers of every page of the application."""
        app[SESSIONS] = self._signin.sessions
        app[ORIGIN] = self._signin.origin
        app[LEAVING] = []
        app.on_response_prepare.append(self._signin.origin.prepare)
        app.router.add_get("/auth/login", _page(self._login))
        app.router.add_get("/auth/start/{issuer}", _page(self._start))
        app.router.add_get("/auth/callback/{issuer}", _page(self._callback))
        app.router.add_get("/auth/local", _page(self._local_form))
        app.router.add_post("/auth/local", _page(self._local))
        app.router.add_post("/auth/logout", _page(self._logout))
        app.router.add_get("/auth/signed-out", _page(self._signed_out))
        app.router.add_post("/auth/backchannel/{issuer}", self._back_channel)
        app.router.add_get("/auth/whoami", self._whoami)
        app.router.add_get("/auth/cli", self._cli)
        app.router.add_get("/auth/style.css", self._style)

    def _base(self, request: web.Request) -> str:
        return self._signin.origin.of(request)

    def _give(self, response: web.StreamResponse, name: str, value: str) -> None:
        response.set_cookie(
            name,
            value,
            path="/",
            secure=self._signin.origin.secure,
            httponly=True,
            samesite="Lax",
            max_age=PENDING_SECONDS,
        )

    def _take(self, response: web.StreamResponse, name: str) -> None:
        response.del_cookie(name, path="/", secure=self._signin.origin.secure, httponly=True, samesite="Lax")

    async def _login(self, request: web.Request) -> web.StreamResponse:
        trusted = await self._signin.issuers.trusted()
        return pages.choose(trusted.by_name, local_path(request.query.get("return_to", "/")))

    async def _start(self, request: web.Request) -> web.StreamResponse:
        url, kept = await self._signin.begin(
            request.match_info["issuer"], request.query.get("return_to", "/"), self._base(request)
        )
        response = web.Response(status=303, headers={"Location": url, **_NO_STORE})
        self._give(response, self._pending, kept)
        return response

    async def _callback(self, request: web.Request) -> web.StreamResponse:
        if any(len(request.query.getall(name, [])) > 1 for name in ("code", "state", "iss", "error")):
            raise SignInRefused("the identity provider's answer says the same thing twice")
        sessions = self._signin.sessions
        entered = await self._signin.finish(
            request.match_info["issuer"],
            request.query,
            request.cookies.get(self._pending, ""),
            base=self._base(request),
            source=request.remote or "",
            before=sessions.value_of(request),
            request_id=str(uuid7()),
        )
        return self._entered(entered.cookie, entered.return_to)

    def _entered(self, cookie: str, return_to: str) -> web.StreamResponse:
        response = web.Response(status=303, headers={"Location": return_to, **_NO_STORE})
        self._take(response, self._pending)
        self._take(response, self._form)
        self._signin.sessions.give(response, cookie)
        return response

    async def _local_form(self, request: web.Request) -> web.StreamResponse:
        return self._form_page(local_path(request.query.get("return_to", "/")))

    def _form_page(self, return_to: str, problem: str = "", *, status: int = 200) -> web.StreamResponse:
        bound = secrets.token_urlsafe(32)
        response = pages.local(csrf.token_for(bound, "local"), return_to, problem, status=status)
        self._give(response, self._form, bound)
        return response

    async def _local(self, request: web.Request) -> web.StreamResponse:
        """The token is taken from our own form alone: another site must not sign somebody in either."""
        bounded(request, MAX_FORM_BYTES)
        if self._signin.origin.foreign(request):
            raise ApiError(ApiCode.PERMISSION_DENIED, "the call comes from another site")
        bound = request.cookies.get(self._form, "")
        if not bound:
            return self._form_page("/", "The form was open for too long. Please try again.", status=403)
        form = await read_form(request)
        await csrf.check(request, csrf.token_for(bound, "local"))
        token, back = form.get("token", ""), form.get("return_to", "/")
        return_to = local_path(back if isinstance(back, str) else "/")
        cookie = await self._signin.enter_local(
            token.strip() if isinstance(token, str) else "",
            source=request.remote or "",
            before=self._signin.sessions.value_of(request),
            request_id=str(uuid7()),
        )
        if cookie is None:
            return self._form_page(return_to, "This is not the administrator's token.", status=401)
        return self._entered(cookie, return_to)

    async def _logout(self, request: web.Request) -> web.StreamResponse:
        session = await session_of(request)
        if session is None:
            return pages.signed_out()
        bounded(request, MAX_FORM_BYTES)
        form = await read_form(request)
        await check_csrf(request, session)
        for tell in request.app[LEAVING]:
            tell(request, session)
        url = await self._signin.leave(
            self._signin.sessions.value_of(request),
            session.principal,
            base=self._base(request),
            everywhere=form.get("everywhere") == "true",
            at_provider=form.get("provider") == "true",
            source=request.remote or "",
            request_id=str(uuid7()),
        )
        response = pages.signed_out() if url is None else pages.onward(url)
        self._signin.sessions.take(response)
        return response

    async def _signed_out(self, request: web.Request) -> web.StreamResponse:
        del request
        return pages.signed_out()

    async def _back_channel(self, request: web.Request) -> web.StreamResponse:
        """OpenID Connect Back-Channel Logout 1.0, 2.5 to 2.8."""
        try:
            bounded(request, MAX_FORM_BYTES)
            token = (await read_form(request)).get("logout_token", "")
            ended = await self._signin.back_channel(
                request.match_info["issuer"], token if isinstance(token, str) else ""
            )
        except (TokenRefused, SignInRefused) as refused:
            _log.warning("a logout token was refused", source=request.remote, reason=str(refused))
            return _json({"error": "invalid_request", "error_description": str(refused)}, 400)
        except ApiError as error:
            status = 400 if error.code is ApiCode.INVALID else _STATUS.get(error.code, 503)
            return _json({"error": "invalid_request", "error_description": error.message}, status)
        except ProviderUnavailable as error:
            return _json({"error": "temporarily_unavailable", "error_description": str(error)}, 503)
        except OUTAGE as error:
            _log.warning("a back-channel logout could not be done", reason=type(error).__name__)
            return _json({"error": "temporarily_unavailable", "error_description": "try again"}, 503)
        _log.info("back-channel logout", issuer=request.match_info["issuer"], sessions=ended)
        return _json({}, 200)

    async def _whoami(self, request: web.Request) -> web.StreamResponse:
        """Who calls, by token or by cookie; to a page of ours also its CSRF token."""
        session = None if "Authorization" in request.headers else await session_of(request)
        principal = session.principal if session is not None else await self._authenticate(request)
        said: dict[str, Any] = {
            "name": principal.name,
            "kind": principal.kind,
            "email": principal.email,
            "groups": list(principal.groups),
            "roles": [_role(grant) for grant in principal.grants],
        }
        if session is not None:
            expires = session.expires_at.isoformat().replace("+00:00", "Z")
            said["session"] = {
                "issuer": session.issuer_name,
                "expires_at": expires,
                "csrf_token": session.csrf_token,
            }
        return _json(said, 200)

    async def _cli(self, request: web.Request) -> web.StreamResponse:
        """The issuers that the command line can sign in with, and where it goes for that."""
        del request
        found = []
        for row in (await self._signin.issuers.trusted()).by_name.values():
            if not row.cli_client_id:
                continue
            try:
                metadata = await self._signin.issuers.provider(row).metadata()
            except ProviderUnavailable as error:
                _log.warning("an issuer cannot be offered", issuer=row.name, reason=str(error))
                continue
            names = ("authorization_endpoint", "token_endpoint", "device_authorization_endpoint", "revocation_endpoint")
            found.append(
                {
                    "name": row.name,
                    "issuer": row.issuer,
                    "client_id": row.cli_client_id,
                    "scopes": row.scopes,
                    **{name: str(metadata.get(name) or "") for name in names},
                }
            )
        return _json({"issuers": found}, 200)

    async def _style(self, request: web.Request) -> web.StreamResponse:
        del request
        return pages.style()


def _role(grant: Any) -> dict[str, str]:
    return {
        "role": grant.role,
        "business_unit": str(grant.unit) if grant.unit is not None else "",
        "project": str(grant.project) if grant.project is not None else "",
    }


def _json(value: Any, status: int) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(value), content_type="application/json", headers=_NO_STORE
    )
