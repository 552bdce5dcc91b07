"""The few pages of sign-in: plain HTML without scripts and inline styles. Whatever comes from outside is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from urllib.parse import quote

from aiohttp import web

from tollway.controlplane.signin.csrf import FIELD

STYLE = """\
:root { color-scheme: light dark; background: Canvas; color: CanvasText; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 26rem; margin: 12vh auto; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; }
ul { list-style: none; padding: 0; }
li a, button { display: block; box-sizing: border-box; width: 100%; padding: .6rem 1rem; margin: .5rem 0;
  font: inherit; text-align: center; text-decoration: none; border-radius: .4rem; border: 1px solid #1d4ed8;
  background: #1d4ed8; color: #fff; cursor: pointer; }
input { display: block; box-sizing: border-box; width: 100%; padding: .6rem; margin: .25rem 0 1rem; font: inherit; }
a:focus-visible, button:focus-visible, input:focus-visible { outline: 3px solid #f59e0b; outline-offset: 2px; }
.note { opacity: .8; }
"""
_NO_STORE = {"Cache-Control": "no-store"}


def page(
    title: str, body: str, *, status: int = 200, head: str = "", headers: dict[str, str] | None = None
) -> web.Response:
    """An HTML answer; `body` and `head` are markup."""
    text = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)} - Tollway</title><link rel="stylesheet" href="/auth/style.css">{head}</head>'
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>\n"
    )
    return web.Response(status=status, text=text, content_type="text/html", headers=_NO_STORE | (headers or {}))


def choose(issuers: Iterable[str], return_to: str) -> web.Response:
    """The ways to sign in."""
    suffix = f"?return_to={quote(return_to, safe='')}" if return_to != "/" else ""
    links = "".join(
        f'<li><a href="/auth/start/{escape(quote(name, safe=""))}{escape(suffix)}">Sign in with {escape(name)}</a></li>'
        for name in issuers
    )
    known = f"<ul>{links}</ul>" if links else "<p>No identity provider is configured.</p>"
    return page("Sign in", f'{known}<p class="note"><a href="/auth/local{escape(suffix)}">Local administrator</a></p>')


def local(token: str, return_to: str, problem: str = "", *, status: int = 200) -> web.Response:
    """The form for the administrator's token."""
    said = f'<p role="alert">{escape(problem)}</p>' if problem else ""
    form = (
        '<form method="post" action="/auth/local">'
        f'<input type="hidden" name="{FIELD}" value="{escape(token)}">'
        f'<input type="hidden" name="return_to" value="{escape(return_to)}">'
        '<label for="token">Administrator token</label>'
        '<input id="token" name="token" type="password" autocomplete="off" required autofocus>'
        "<button>Sign in</button></form>"
        '<p class="note">For the first steps and for emergencies. Every try is recorded.</p>'
    )
    return page("Local administrator", said + form, status=status)


def problem(message: str, status: int, headers: dict[str, str] | None = None) -> web.Response:
    """Something did not work."""
    body = f'<p role="alert">{escape(message)}.</p><p><a href="/auth/login">Sign in again</a></p>'
    return page("Sign-in did not work", body, status=status, headers=headers)


def onward(url: str) -> web.Response:
    """Goes to another site after a form: a redirect would be held back by the policy for forms."""
    link = escape(url)
    head = f'<meta http-equiv="refresh" content="0;url={link}">'
    return page("Signing out", f'<p><a href="{link}">Continue at the identity provider</a></p>', head=head)


def signed_out() -> web.Response:
    """The end of a session."""
    return page("Signed out", '<p>You are signed out here.</p><p><a href="/auth/login">Sign in</a></p>')


def style() -> web.Response:
    """The pages' one style sheet."""
    return web.Response(text=STYLE, content_type="text/css", headers={"Cache-Control": "max-age=3600"})
