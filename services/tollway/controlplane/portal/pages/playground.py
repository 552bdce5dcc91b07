"""A model tried out in the browser, with a short-lived key made for it; the answer is streamed where scripts run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web

from tollway.controlplane.call import ApiError
from tollway.controlplane.portal import forms
from tollway.controlplane.portal.pages.keys import projects_to_choose
from tollway.controlplane.portal.relay import Answer, Relay
from tollway.controlplane.portal.sessionkeys import SECONDS, SessionKeys
from tollway.controlplane.portal.visit import BESIDE, HEADERS, Services, SignedIn, Visit
from tollway.controlplane.signin.sessions import LEAVING

OFFERED = 200
MAX_PROMPT = 32_000
MAX_PROJECT = 100
MAX_TOKENS = 4096
NEW_SECONDS = 5.0
"""How long a key counts as one of which data planes may not have heard."""
RELAY = web.AppKey("portal_relay", Relay)
KEYS = web.AppKey("portal_session_keys", SessionKeys)
_UNREADABLE = (ValueError, RecursionError)
"""What msgspec raises for an answer: its own errors, for words that are not UTF-8, and for what is nested too deep."""


def add_keys(app: web.Application, services: Services) -> None:
    """Makes the place of the sessions' keys, which lives as long as the application."""
    keys = app[KEYS] = SessionKeys(services.clock)

    async def start(_: web.Application) -> None:
        keys.start()

    async def close(_: web.Application) -> None:
        await keys.close()

    def leaving(request: web.Request, session: SignedIn) -> None:
        keys.leave(Visit(request, session, services))

    app.on_startup.append(start)
    app.on_cleanup.append(close)
    app[LEAVING].append(leaving)


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None


class _Problem(msgspec.Struct):
    message: str


class _Refusal(msgspec.Struct):
    error: _Problem


def _wanted(visit: Visit, *, stream: bool) -> dict[str, Any]:
    """The request of what was typed. Raises ApiError."""
    form = visit.form
    model, prompt = form.get("model", "").strip(), form.get("prompt", "")
    if not 0 < len(model) <= 250:
        raise forms.invalid("model", "is missing: choose one")
    if not 0 < len(prompt) <= MAX_PROMPT:
        raise forms.invalid("prompt", f"must have 1 to {MAX_PROMPT:,} characters")
    if len(form.get("system", "")) > MAX_PROMPT:
        raise forms.invalid("system", f"must have at most {MAX_PROMPT:,} characters")
    messages = [{"role": "system", "content": form["system"]}] if form.get("system", "").strip() else []
    body: dict[str, Any] = {"model": model, "messages": [*messages, {"role": "user", "content": prompt}]}
    if (tokens := forms.whole(form, "max_tokens", low=1, high=MAX_TOKENS)) is not None:
        body["max_tokens"] = tokens
    return body | ({"stream": True, "stream_options": {"include_usage": True}} if stream else {})


async def _key(visit: Visit) -> tuple[str, bool]:
    """The secret to call with, and whether it is new: of a key that was typed, or of the session. Raises ApiError."""
    typed = visit.form.get("key", "").strip()
    if typed:
        if len(typed) > 512 or not typed.isascii() or not typed.isprintable():
            raise forms.invalid("key", "is no key: paste one of yours, or leave the field empty")
        return typed, False
    project = visit.form.get("project", "").strip()
    if not project:
        raise forms.invalid("project", "is missing: choose the one that pays for the call")
    if len(project) > MAX_PROJECT:
        raise forms.invalid("project", f"must have at most {MAX_PROJECT} characters")
    held = await visit.request.app[KEYS].get(visit, project)
    return held.secret, visit.services.clock.monotonic() - held.made_at < NEW_SECONDS


@asynccontextmanager
async def _asked(visit: Visit, *, stream: bool) -> AsyncIterator[Answer]:
    """The gateway's answer to what was typed. Raises ApiError."""
    body, relay = _wanted(visit, stream=stream), visit.request.app[RELAY]
    relay.check()
    secret, new = await _key(visit)
    async with relay.chat(secret, body, new=new) as answer:
        yield answer


async def playground(
    visit: Visit, problem: ApiError | None = None, answer: str = "", said: str = "", refused: bool = False
) -> web.Response:
    """The form, and the answer where there is one. `said` is what is told of it."""
    found = await visit.call("ModelService/ListModels", {"page_size": OFFERED})
    names = [model.name for model in found.models]
    payable = visit.may("keys.create")
    projects = await projects_to_choose(visit) if payable else []
    chosen = visit.asked("project") or (projects[0] if projects else "")
    typed = {
        "project": chosen,
        "model": visit.asked("model") or (names[0] if names else ""),
        "prompt": "",
        "system": "",
        "max_tokens": "512",
        **visit.form,
        "key": "",
    }
    return visit.page(
        "playground.html",
        typed=typed,
        models=names,
        projects=projects,
        payable=payable,
        answer=answer,
        said=said,
        refused=refused,
        problem=problem,
        most=MAX_TOKENS,
        minutes=SECONDS // 60,
    )


async def send(visit: Visit) -> web.Response:
    """The whole answer at once, for browsers without scripts."""
    try:
        async with _asked(visit, stream=False) as answer:
            content = b"".join([part async for part in answer.parts])
    except ApiError as error:
        return await playground(visit, error)
    if answer.status != 200:
        return await playground(visit, said=_refusal(answer.status, content), refused=True)
    try:
        found = msgspec.json.decode(content, type=_Completion)
    except _UNREADABLE:
        return await playground(visit, said="the answer cannot be read", refused=True)
    used = found.usage or _Usage()
    said = f"The answer is complete: {used.prompt_tokens:,} tokens in, {used.completion_tokens:,} tokens out."
    return await playground(visit, answer="\n".join(one.message.content or "" for one in found.choices), said=said)


def _refusal(status: int, content: bytes) -> str:
    try:
        return f"{msgspec.json.decode(content, type=_Refusal).error.message} ({status})"
    except _UNREADABLE:
        return f"the gateway's answer cannot be read ({status})"


async def stream(visit: Visit) -> web.StreamResponse:
    """The answer as the gateway streams it, as server-sent events; a refusal as plain text."""
    response: web.StreamResponse | None = None
    try:
        async with _asked(visit, stream=True) as answer:
            if answer.status != 200 or answer.kind != "text/event-stream":
                return _plain(_refusal(answer.status, b"".join([part async for part in answer.parts])), 502)
            response = web.StreamResponse(headers=HEADERS | {"X-Accel-Buffering": "no"})
            response.content_type = "text/event-stream"
            await response.prepare(visit.request)
            async for part in answer.parts:
                await response.write(part)
            await response.write_eof()
            return response
    except ApiError as error:
        if response is not None:  # the stream has begun, and breaks off (the page says so), or the browser has gone
            return response
        return _plain(error.message, 400 if error.code in BESIDE else 503)


def _plain(text: str, status: int) -> web.Response:
    return web.Response(status=status, text=text, headers=HEADERS | {"X-Content-Type-Options": "nosniff"})
