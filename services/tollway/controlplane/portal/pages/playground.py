"""A model tried out in the browser, with a key that the person types; the answer is streamed where scripts run."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from tollway.controlplane.call import ApiCode, ApiError
from tollway.controlplane.portal import forms
from tollway.controlplane.portal.relay import Relay
from tollway.controlplane.portal.visit import HEADERS, Visit

OFFERED = 200
MAX_PROMPT = 32_000
MAX_TOKENS = 4096
RELAY = web.AppKey("portal_relay", Relay)


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message


class _Answer(msgspec.Struct):
    choices: list[_Choice]


class _Problem(msgspec.Struct):
    message: str


class _Refusal(msgspec.Struct):
    error: _Problem


def _wanted(visit: Visit, *, stream: bool) -> tuple[str, dict[str, Any]]:
    """The key and the request of what was typed. Raises ApiError."""
    form = visit.form
    key, model, prompt = form.get("key", "").strip(), form.get("model", "").strip(), form.get("prompt", "")
    if not 0 < len(key) <= 512 or not key.isascii() or not key.isprintable():
        raise forms.invalid("key", "is missing: paste one of your keys; make one under Keys")
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
    return key, body | ({"stream": True} if stream else {})


async def playground(
    visit: Visit, problem: ApiError | None = None, answer: str = "", refusal: str = ""
) -> web.Response:
    """The form, and the answer where there is one."""
    found = await visit.call("ModelService/ListModels", {"page_size": OFFERED})
    typed = {"model": visit.asked("model"), "prompt": "", "system": "", "max_tokens": "512", **visit.form, "key": ""}
    names = [model.name for model in found.models]
    return visit.page(
        "playground.html",
        typed=typed,
        models=names,
        answer=answer,
        refusal=refusal,
        problem=problem,
        most=MAX_TOKENS,
    )


async def send(visit: Visit) -> web.Response:
    """The whole answer at once, for browsers without scripts."""
    try:
        key, body = _wanted(visit, stream=False)
        async with visit.request.app[RELAY].chat(key, body) as (status, _, parts):
            content = b"".join([part async for part in parts])
    except ApiError as error:
        return await playground(visit, error)
    if status != 200:
        return await playground(visit, refusal=_refusal(status, content))
    try:
        found = msgspec.json.decode(content, type=_Answer)
    except msgspec.DecodeError:
        return await playground(visit, refusal="the answer cannot be read")
    return await playground(visit, answer="\n".join(choice.message.content or "" for choice in found.choices))


def _refusal(status: int, content: bytes) -> str:
    try:
        return f"{msgspec.json.decode(content, type=_Refusal).error.message} ({status})"
    except msgspec.DecodeError:
        return f"the gateway answered {status}"


async def stream(visit: Visit) -> web.StreamResponse:
    """The answer as the gateway streams it, as server-sent events; a refusal as plain text."""
    try:
        key, body = _wanted(visit, stream=True)
        async with visit.request.app[RELAY].chat(key, body) as (status, kind, parts):
            if status != 200 or kind != "text/event-stream":
                return _plain(_refusal(status, b"".join([part async for part in parts])), 502)
            response = web.StreamResponse(headers=HEADERS | {"X-Accel-Buffering": "no"})
            response.content_type = "text/event-stream"
            await response.prepare(visit.request)
            async for part in parts:
                await response.write(part)
            await response.write_eof()
            return response
    except ApiError as error:
        return _plain(error.message, 400 if error.code is ApiCode.INVALID else 503)
    except ConnectionResetError:
        return web.Response()  # the browser has gone


def _plain(text: str, status: int) -> web.Response:
    return web.Response(status=status, text=text, headers=HEADERS | {"X-Content-Type-Options": "nosniff"})
